package plan

import (
	"fmt"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// pruning is the pruning of one Application's objects.
type pruning struct {
	*simulation
	from, to        *inventory.Application
	hold            Fate // of the whole sync
	why             string
	project, before *inventory.Project
}

// fate computes what becomes of an object that the Application does not want any more.
func (p *pruning) fate(key object.Key, t inventory.Target) (Fate, string) {
	d := p.head.destination(p.to.Application, p.options.Clusters)
	automated := p.to.Spec.SyncPolicy
	switch {
	case isDefinition(key):
		return Kept, "Argo CD does not prune CustomResourceDefinitions"
	case p.hold == Kept:
		return Kept, p.why
	case argo.PruneProtection(t.Object.Annotations) == argo.Kept:
		return Kept, "Prune=false" + wasLive
	case len(p.to.Unanalysed) > 0 && p.hold < Held:
		return Unknown, "what its Application wants is not known: " + p.to.Unanalysed[0]
	case !automated.Syncs():
		return Kept, "automated sync is off: it goes when someone syncs and prunes"
	case !automated.Prunes():
		return Kept, "automated pruning is off: it goes when someone syncs and prunes"
	case !p.head.permits(p.project, key, d):
		if !p.base.permits(p.before, key, d) {
			return Orphaned, "its project does not permit it, and did not before"
		}
		return AtRisk, "its project does not permit it any more: it is deleted where the Application is synced before the project is"
	case p.hold > Untouched:
		return p.hold, p.why
	}
	return Deleted, p.cause()
}

// cause says what brings a pruning about.
func (p *pruning) cause() string {
	if from, to := paths(p.from), paths(p.to); from != to {
		return fmt.Sprintf("its Application reads %s instead of %s, which does not have it", to, from)
	}
	return "its Application does not have it any more, and prunes"
}

// paths are where an Application reads from.
func paths(a *inventory.Application) string {
	var text string
	for i, source := range a.Spec.AllSources() {
		if i > 0 {
			text += " and "
		}
		text += source.Path + source.Chart
	}
	return text
}
