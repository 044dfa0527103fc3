package plan

import (
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// noFolder says which folder of an Application is not there, without which Argo CD renders nothing of it.
func (s *side) noFolder(a *inventory.Application) string {
	for _, source := range a.Spec.AllSources() {
		folder := tree.Clean(source.Path)
		if source.Path == "" || source.Chart != "" || folder == "" || s.Elsewhere(&source) {
			continue
		}
		if len(tree.Under(s.Tree().Files(), folder)) == 0 {
			return "there is no folder " + source.Path
		}
	}
	return ""
}

// folders judges Applications whose folder goes. A folder that an Application is new with may come later.
func (j *judge) folders() {
	for _, key := range sortedKeys(j.base.applications) {
		before, after := j.base.applications[key], j.head.applications[key]
		if len(after) == 0 {
			continue
		}
		was, is := before[len(before)-1], after[len(after)-1]
		if is.Broken != nil || j.base.noFolder(was) != "" {
			continue
		}
		if why := j.head.noFolder(is); why != "" {
			at := finding.Place{Path: is.Path, Line: is.Object.Line}
			j.add("HG112", at, key, key.Name, "%s cannot be rendered any more, and stays as it is until it can: %s", key.Name, why)
		}
	}
}
