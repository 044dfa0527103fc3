package plan

import (
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
)

// broken judges Applications that Argo CD cannot render, and sets that it cannot generate from: nothing of them is deleted at once, and what
// is deleted later is not known.
func (j *judge) broken() {
	for _, key := range sortedKeys(j.base.applications) {
		before, after := j.base.applications[key], j.head.applications[key]
		if len(after) == 0 {
			continue
		}
		was, is := before[len(before)-1], after[len(after)-1]
		switch {
		case was.Broken == nil && is.Broken != nil:
			at := finding.Place{Path: is.Path, Line: is.Object.Line}
			j.add("HG112", at, key, key.Name, "%s cannot be rendered any more, and stays as it is until it can: %v", key.Name, is.Broken)
		case was.Broken != nil:
			j.unread(was)
		}
	}
	for _, key := range sortedKeys(j.head.sets) {
		if was, is := j.base.sets[key], j.head.sets[key]; was != nil && was.Broken == nil && is.Broken != nil {
			at := finding.Place{Path: is.Path, Line: is.Object.Line}
			j.add("HG112", at, key, key.Name,
				"the ApplicationSet %s generates nothing any more, and its Applications stay as they are until it can: %v", key.Name, is.Broken)
		}
	}
}

// unread finds the files of an Application that could not be read before, and are not there any more: what they had is pruned.
func (j *judge) unread(was *inventory.Application) {
	sources := was.Spec.AllSources()
	for n := range sources {
		selection := j.base.Selection(&sources[n])
		if selection == nil {
			continue
		}
		for _, f := range selection.Files(j.base.Tree().Files()) {
			before := j.base.File(f.Path)
			if before == nil || before.Bad == nil || !before.Bad.Manifest || j.head.File(f.Path) != nil {
				continue
			}
			name := was.Metadata.Name
			j.add("HG112", finding.Place{Path: f.Path}, was.Key(), name,
				"%s could not be rendered before because of %s, which is gone: what it had before that is deleted, and not known here", name, f.Path)
		}
	}
}
