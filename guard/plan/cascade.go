package plan

import (
	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// cascade is what an Application that is deleted does with what it owns.
type cascade struct {
	*simulation
	of            *outcome
	whole         Fate // of all that it deletes
	destination   argo.Destination
	before, after *inventory.Project
}

// cascade computes what becomes of the objects of an Application that is deleted, by what is live.
func (s *simulation) cascade(o *outcome) {
	c := cascade{simulation: s, of: o, whole: o.fate, destination: s.base.destination(o.base.Application, s.options.Clusters),
		before: s.base.project(o.base.Application), after: s.head.project(o.base.Application)}
	if c.whole == Recreated {
		c.whole = Deleted // what its new definition does not have is not made again
	}
	standing := s.reached(o)
	for _, t := range standing {
		if o.base.Cascades() && argo.DeleteProtection(t.Object.Annotations) == argo.Confirmed {
			c.whole = min(c.whole, Held)
		}
	}
	for key, t := range standing {
		if t.Object.Generated || t.Hook() && !left(t) {
			continue
		}
		fate, why := c.fate(key, t)
		s.effect(o, s.cluster(o.base), t, key, fate, why)
	}
	switch {
	case !o.base.Cascades():
	case c.whole == Held:
		o.fate, o.frozen = Held, "its deletion waits for an approval"
	case c.projectGoes():
		o.fate, o.why = AtRisk, c.withoutProject()
	}
	o.notes = append(o.notes, o.base.Unanalysed...)
}

// left says whether a hook is there after a sync.
func left(t inventory.Target) bool {
	run := argo.HookRunOf(t.Object.Annotations)
	return run.Made && run.Stays
}

// projectGoes says whether the project leaves git with the Application.
func (c *cascade) projectGoes() bool { return c.before != nil && c.after == nil }

func (c *cascade) withoutProject() string {
	return "its project " + c.before.Metadata.Name + " goes in the same change: where that comes first, the Application stays half deleted, and its objects with it"
}

func (c *cascade) fate(key object.Key, t inventory.Target) (Fate, string) {
	name := "its Application " + c.of.base.Metadata.Name
	switch {
	case !c.of.base.Cascades():
		return Orphaned, name + " is deleted, and has no finalizer that deletes what it owns"
	case isDefinition(key):
		return Kept, "Argo CD tracks no CustomResourceDefinitions, and deletes none"
	case argo.DeleteProtection(t.Object.Annotations) == argo.Kept:
		return Orphaned, name + " is deleted, and Delete=false was live before"
	case !c.base.permits(c.before, key, c.destination):
		return Orphaned, name + " is deleted, and its project does not permit it, and did not before"
	case c.whole == Held:
		return Held, name + " is deleted, and deletes what it owns, once a person approves it"
	case c.projectGoes():
		return AtRisk, name + " is deleted, and deletes what it owns; " + c.withoutProject()
	case !c.head.permits(c.after, key, c.destination):
		return AtRisk, name + " is deleted, and deletes what it owns where that comes before its project stops to permit it, which orphans it"
	}
	return c.whole, name + " is deleted, and deletes what it owns"
}

func isDefinition(k object.Key) bool {
	return k.GroupKind() == object.Kind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
}

// settle gives every Application one fate, whether its parents or its own cascade decide it.
func (s *simulation) settle() {
	for _, key := range sortedKeys(s.outcomes) {
		o := s.outcomes[key]
		if o.base == nil {
			continue
		}
		parents, at := parentKeys(s.base.applications[key]), live{argo.Server, key}
		if o.fate != Held && o.fate != AtRisk {
			for _, parent := range parents {
				o.fate = max(o.fate, s.outcomes[parent].effects[at].Fate)
			}
		}
		for _, parent := range parents {
			if e, ok := s.outcomes[parent].effects[at]; ok && e.Fate.Lost() && e.Fate != o.fate {
				e.Fate = o.fate
				if o.why != "" && o.why != e.Why {
					e.Why += "; " + o.why
				}
				s.outcomes[parent].effects[at] = e
			}
		}
	}
}
