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
	gone, after     map[object.Key]inventory.Target
	triggered       bool // there is something for which it is synced
	hold            Fate // of the whole sync
	why             string
	project, before *inventory.Project
	// places are those of the objects in the order of pruning. Where a confirmation holds, it holds from that place on.
	places    map[object.Key]int
	confirmed int
}

// pruning compares what an Application has with what it wants by the definition h.
func (s *simulation) pruning(o *outcome, h *inventory.Application, before, after map[object.Key]inventory.Target) *pruning {
	gone := s.prunable(s.cluster(h), missing(before, after))
	p := &pruning{simulation: s, from: o.base, to: h, gone: gone, after: after, triggered: s.triggers(h, gone, before, after),
		project: s.head.project(h.Application), before: s.base.project(o.base.Application)}
	if p.hold, p.why = s.hold(o, h, gone, after); p.why == "" && h.Spec.SyncPolicy.Prunes() {
		options := argo.OptionsOf(h.Spec.SyncPolicy.SyncOptions)
		if p.confirmed, p.why = confirmation(options, gone); p.why != "" {
			p.hold, p.places = Held, waves(options, gone)
		}
	}
	return p
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
	case p.becomesHook(key) && p.triggered:
		return p.hooked(key, t)
	case argo.PruneProtection(t.Object.Annotations) == argo.Kept:
		return Kept, "Prune=false" + wasLive
	case len(p.to.Unanalysed) > 0 && p.hold < Held:
		return Unknown, "what its Application wants is not known: " + p.to.Unanalysed[0]
	case !automated.Syncs():
		return Kept, "automated sync is off: it goes when someone syncs and prunes"
	case !automated.Prunes():
		return Kept, "automated pruning is off: it goes when someone syncs and prunes"
	case !p.triggered:
		return Kept, "IgnoreExtraneous was live before, and nothing else changes: the next sync of its Application deletes it"
	case !p.head.permits(p.project, key, d):
		if !p.base.permits(p.before, key, d) {
			return Orphaned, "its project does not permit it, and did not before"
		}
		return AtRisk, "its project does not permit it any more: it is deleted where the Application is synced before the project is"
	case p.hold == Held && p.places[key] < p.confirmed:
		return Deleted, p.cause() + "; its wave comes before the deletion that waits for an approval"
	case p.hold > Untouched:
		return p.hold, p.why
	}
	return Deleted, p.cause()
}

// becomesHook says whether the Application has a hook of that name now.
func (p *pruning) becomesHook(key object.Key) bool {
	t, ok := p.after[key]
	return ok && t.Hook() && argo.HookRunOf(t.Object.Annotations).Made
}

// hooked computes what becomes of an object that becomes a hook: what protects from pruning does not keep the hook from taking its place.
func (p *pruning) hooked(key object.Key, t inventory.Target) (Fate, string) {
	switch {
	case p.to.Spec.SyncPolicy.Prunes() && argo.PruneProtection(t.Object.Annotations) != argo.Kept:
		return AtRisk, "it becomes a hook: it is pruned, and the hook is made before or after that"
	case argo.HookRunOf(p.after[key].Object.Annotations).Replaced:
		return Recreated, "it becomes a hook, which is deleted before it is made"
	}
	return Kept, "it becomes a hook, and is not pruned"
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
