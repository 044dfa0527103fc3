package plan

import (
	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// waits notes what alone keeps an object, where the effect is the one that has that reason.
func (s *simulation) waits(o *outcome, at live, why, waits string) {
	if e, ok := o.effects[at]; ok && e.Why == why {
		e.Waits = waits
		o.effects[at] = e
	}
}

// waits says what alone keeps an object that the Application does not want any more, nothing where a protection of its own does, or where
// it goes.
func (p *pruning) waits(key object.Key, t inventory.Target) string {
	d := p.head.destination(p.to.Application, p.options.Clusters)
	automated := p.to.Spec.SyncPolicy
	switch {
	case isDefinition(key) || argo.PruneProtection(t.Object.Annotations) == argo.Kept:
		return ""
	case p.hold == Kept:
		return p.why
	case p.becomesHook(key) && p.triggered, len(p.to.Unanalysed) > 0 && p.hold < Held:
		return ""
	case !automated.Syncs():
		return "automated sync is off"
	case !automated.Prunes():
		return "automated.prune is off"
	case !p.triggered:
		return "nothing else of its Application changes (IgnoreExtraneous)"
	case !p.head.permits(p.project, key, d) && !p.base.permits(p.before, key, d):
		return "its project does not permit it"
	}
	return ""
}

// emptied notes what an Application leaves behind whose folder is gone: Argo CD waits for it, and prunes by what it has then.
func (s *simulation) emptied(o *outcome, h *inventory.Application, before map[object.Key]inventory.Target, folder string) {
	for key, t := range s.prunable(s.cluster(h), missing(before, nil)) {
		why, waits := folder+": Argo CD deletes nothing before there is one", folder
		if argo.PruneProtection(t.Object.Annotations) == argo.Kept {
			why, waits = "Prune=false"+wasLive, ""
		}
		s.effect(o, s.cluster(h), t, key, Kept, why)
		s.waits(o, live{s.cluster(h), key}, why, waits)
	}
}

// outlives are the kinds that, left behind, take what holds state with them when they go.
func outlives(e *Effect) bool {
	k := e.Key.GroupKind()
	return e.Stateful || k == argo.ApplicationKind || k == argo.ApplicationSetKind
}

// left judges what a change leaves behind: no later change shows it any more.
func (j *judge) left(c *Change) {
	name := c.Application.Name
	if c.Waits != "" {
		j.add("HG113", c.place(), c.Application, name, "the Application %s is not generated any more, and stays only while %s", name, c.Waits)
	}
	for n := range c.Effects {
		if e := &c.Effects[n]; e.Waits != "" && outlives(e) {
			j.add("HG113", e.place(), e.Key, name, "%s: %s leaves its definition, and stays only while %s", name, e.Key, e.Waits)
		}
	}
}
