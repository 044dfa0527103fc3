package settings

import (
	"fmt"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/render"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// checkRender says whether what is to be rendered can be.
func (s *Settings) checkRender() error {
	for n := range s.Render {
		if err := s.Render[n].Check(); err != nil {
			return fmt.Errorf("render[%d]: %w", n, err)
		}
	}
	return nil
}

// Outputs returns the folders of a tree that are rendered, and from what.
func (s *Settings) Outputs(t tree.Tree) ([]*render.Output, error) {
	return render.Outputs(s.Render, t.Files())
}

// rendered finds outputs that are rendered no more, or from something else, and files in them that may be another's.
func (w *weakening) rendered() {
	for n := range w.before.Render {
		e := &w.before.Render[n]
		same := func(o render.Entry) bool { return o.Output == e.Output && o.Source == e.Source && o.Each == e.Each }
		if now := slices.IndexFunc(w.after.Render, same); now < 0 {
			w.add("render", e.Output, "render does not write %s from %s any more", e.Output, e.Source)
		} else {
			for _, p := range added(e.Keep, w.after.Render[now].Keep) {
				w.add("render", p, "render leaves %s in %s to others", p, e.Output)
			}
		}
	}
}
