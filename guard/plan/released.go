package plan

import (
	"fmt"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// unseen ends what is said of a change that has Argo CD delete what was left behind before.
const unseen = "what was left behind before is deleted now, and two revisions do not show it; with --live it is planned"

// released judges Applications and sets that begin to delete what they left behind. Those that are planned as they live need no word.
func (j *judge) released() {
	for _, key := range sortedKeys(j.base.applications) {
		before, after := j.base.applications[key], j.head.applications[key]
		if len(after) == 0 || j.plan.asked[key] {
			continue
		}
		was, is := before[len(before)-1], after[len(after)-1]
		at := finding.Place{Path: is.Path, Line: is.Object.Line}
		if why := j.began(was, is); why != "" {
			j.add("HG114", at, key, key.Name, "%s prunes now, and did not before, for %s: %s", key.Name, why, unseen)
		} else if filled(was, is) {
			j.add("HG114", at, key, key.Name, "%s had no objects before, and Argo CD waited: %s", key.Name, unseen)
			j.findings[len(j.findings)-1].Severity = finding.Warning // most that have none are new
		}
	}
	for _, key := range sortedKeys(j.base.sets) {
		was, is := j.base.sets[key], j.head.sets[key]
		if is == nil || j.plan.asked[key] || is.KeepsApplications() || is.Broken != nil || !was.KeepsApplications() && was.Broken == nil {
			continue
		}
		why := fmt.Sprintf("applicationsSync was %s", was.Spec.SyncPolicy.ApplicationsSync)
		if was.Broken != nil {
			why = "it could not generate"
		}
		j.add("HG114", finding.Place{Path: is.Path, Line: is.Object.Line}, key, key.Name,
			"the ApplicationSet %s deletes Applications now, and did not before, for %s: %s", key.Name, why, unseen)
	}
}

// began says why an Application that prunes by itself did not before, nothing where it did, or does not now.
func (j *judge) began(was, is *inventory.Application) string {
	if !is.Spec.SyncPolicy.Prunes() || j.head.refusal(is, j.head.Options.Clusters) != "" {
		return ""
	}
	switch policy := was.Spec.SyncPolicy; {
	case !policy.Syncs():
		return "automated sync was off"
	case !policy.Prunes():
		return "automated.prune was off"
	}
	return j.base.refusal(was, j.base.Options.Clusters)
}

// filled says whether an Application had nothing, which Argo CD does not sync without allowEmpty, and has something now.
func filled(was, is *inventory.Application) bool {
	prunes := is.Spec.SyncPolicy.Prunes() && was.Spec.SyncPolicy.Prunes() && !was.Spec.SyncPolicy.Automated.AllowEmpty
	return prunes && plain(was) == 0 && plain(is) > 0 && was.Broken == nil && len(was.Unanalysed) == 0
}

// plain counts the objects of an Application without hooks.
func plain(a *inventory.Application) int {
	n := 0
	for i := range a.Targets {
		if !a.Targets[i].Hook() {
			n++
		}
	}
	return n
}

// asked are the Applications and the sets that live in the Argo CD that was asked.
func (a *alive) asked() map[object.Key]bool {
	asked := make(map[object.Key]bool)
	for at := range a.at {
		asked[at.key] = true
	}
	return asked
}
