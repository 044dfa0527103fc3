package settings

import (
	"fmt"
	"reflect"
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

// rendered finds outputs that are rendered no more, or in another way, and files in them that may be another's.
func (w *weakening) rendered() {
	for n := range w.before.Render {
		was := w.before.Render[n]
		at := slices.IndexFunc(w.after.Render, func(o render.Entry) bool {
			return o.Output == was.Output && o.Source == was.Source && o.Each == was.Each
		})
		if at < 0 {
			w.add("render", was.Output, "render does not write %s from %s any more", was.Output, was.Source)
			continue
		}
		is := w.after.Render[at]
		for _, p := range added(was.Keep, is.Keep) {
			w.add("render", p, "render leaves %s in %s to others", p, was.Output)
		}
		if is.Keep = was.Keep; !reflect.DeepEqual(was, is) {
			w.add("render", was.Output, "render makes %s from %s in another way", was.Output, was.Source)
		}
	}
}
