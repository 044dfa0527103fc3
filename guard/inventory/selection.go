package inventory

import (
	"github.com/holdfast-telemetry/holdfast/guard/argo"
)

// Selection returns which files of the tree a source reads as they are. It is nil where the source is elsewhere, where a tool renders
// it, and where it says what no pattern is.
func (i *Inventory) Selection(s *argo.Source) *argo.Selection {
	if i.elsewhere(s) != "" || argo.ToolOf(s, i.tree.Files()) != argo.DirectoryTool {
		return nil
	}
	selection, err := argo.Select(s)
	if err != nil {
		return nil
	}
	return selection
}

// Elsewhere says whether a source is known not to be in the tree.
func (i *Inventory) Elsewhere(s *argo.Source) bool { return i.elsewhere(s) != "" }

// Rendered says whether a file is in a folder that Helm or Kustomize render: it is then no manifest by itself.
func (i *Inventory) Rendered(path string) bool { return i.rendered(path) }
