package settings

import (
	"fmt"

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
