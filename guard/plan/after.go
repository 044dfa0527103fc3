package plan

import (
	"fmt"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// namespaces takes everything in a namespace that is deleted with it, protected or not, whoever owns it.
func (s *simulation) namespaces() {
	gone := make(map[live]Effect)
	for _, o := range s.outcomes {
		for at, e := range o.effects {
			if at.key.GroupKind() == (object.Kind{Kind: "Namespace"}) && e.Fate.Lost() {
				gone[live{at.cluster, object.Key{Namespace: at.key.Name}}] = e
			}
		}
	}
	for _, key := range sortedKeys(s.outcomes) {
		if o := s.outcomes[key]; o.base != nil {
			s.withNamespace(o, gone)
		}
	}
	for _, o := range s.outcomes {
		if o.base != nil && !s.readsClaims(o, s.cluster(o.base)) {
			s.claims(o, gone)
		}
		s.scaled(o)
	}
	s.beside()
}

func (s *simulation) withNamespace(o *outcome, gone map[live]Effect) {
	if len(gone) == 0 {
		return
	}
	cluster := s.cluster(o.base)
	for key, t := range o.base.Standing() {
		if e, ok := gone[live{cluster, object.Key{Namespace: key.Namespace}}]; ok && key.Namespace != "" && !t.Object.Generated {
			s.effect(o, cluster, t, key, e.Fate, fmt.Sprintf("its namespace %s is deleted, and protects nothing in it: %s", key.Namespace, e.Why))
		}
	}
}

// claims adds what becomes of the claims that the templates of StatefulSets made.
func (s *simulation) claims(o *outcome, gone map[live]Effect) {
	cluster := s.cluster(o.base)
	for key, t := range o.base.Standing() {
		if key.GroupKind() != (object.Kind{Group: "apps", Kind: "StatefulSet"}) {
			continue
		}
		fate, why := Untouched, ""
		if e, ok := gone[live{cluster, object.Key{Namespace: key.Namespace}}]; ok {
			fate, why = e.Fate, fmt.Sprintf("its namespace %s is deleted", key.Namespace)
		} else if e := o.effects[live{cluster, key}]; e.Fate.Lost() && deletesClaims(t.Object) {
			fate, why = e.Fate, fmt.Sprintf("the StatefulSet %s deletes its claims with it (persistentVolumeClaimRetentionPolicy)", key.Name)
		}
		if fate == Untouched {
			continue
		}
		for _, name := range claimsOf(t.Object) {
			claim := object.Key{Kind: "PersistentVolumeClaim", Namespace: key.Namespace, Name: name}
			s.effect(o, cluster, t, claim, fate, why)
			e := o.effects[live{cluster, claim}]
			e.Implied = true
			o.effects[live{cluster, claim}] = e
		}
	}
}

// field returns a value inside an object's body.
func field(body map[string]any, way ...string) any {
	var v any = body
	for _, step := range way {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[step]
	}
	return v
}

func deletesClaims(set *object.Object) bool {
	return field(set.Body, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete"
}

// maxReplicas bounds the claims that are listed of one StatefulSet.
const maxReplicas = 1000

// claimsOf returns the names of the claims that a StatefulSet has, by its replicas in git.
func claimsOf(set *object.Object) []string {
	replicas, start := 1, 0
	if n, ok := field(set.Body, "spec", "replicas").(float64); ok {
		replicas = min(int(n), maxReplicas)
	}
	if n, ok := field(set.Body, "spec", "ordinals", "start").(float64); ok {
		start = int(n)
	}
	templates, _ := field(set.Body, "spec", "volumeClaimTemplates").([]any)
	var names []string
	for _, template := range templates {
		body, _ := template.(map[string]any)
		name, _ := field(body, "metadata", "name").(string)
		for n := range replicas {
			names = append(names, fmt.Sprintf("%s-%s-%d", name, set.Name, start+n))
		}
	}
	return names
}

// scaled adds what becomes of the claims of a StatefulSet that gets fewer replicas, and is to delete claims then.
func (s *simulation) scaled(o *outcome) {
	if o.base == nil || o.after == nil || unchanged(o.base, o.after) {
		return
	}
	cluster, after := s.cluster(o.base), o.after.Standing()
	for key, t := range o.base.Standing() {
		is, ok := after[key]
		if !ok || t.Object.Body == nil || o.effects[live{cluster, key}].Fate.Lost() ||
			field(is.Object.Body, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled") != "Delete" || field(is.Object.Body, "spec", "replicas") == nil {
			continue
		}
		stay := claimsOf(is.Object)
		for _, name := range claimsOf(t.Object) {
			claim := object.Key{Kind: "PersistentVolumeClaim", Namespace: key.Namespace, Name: name}
			if slices.Contains(stay, name) || s.readsClaims(o, cluster) && s.alive.at[live{cluster, claim}] == nil {
				continue
			}
			s.unscaled(o, live{cluster, claim}, t, key.Name)
		}
	}
}

// unscaled notes what becomes of one of those claims.
func (s *simulation) unscaled(o *outcome, claim live, t inventory.Target, set string) {
	fate, waits := Deleted, ""
	why := fmt.Sprintf("the StatefulSet %s gets fewer replicas, and deletes the claims of those that go (whenScaled)", set)
	if o.frozen != "" || !o.after.Spec.SyncPolicy.Syncs() {
		fate, waits = Kept, "its Application is not synced"
	}
	s.effect(o, claim.cluster, t, claim.key, fate, why)
	s.waits(o, claim, why, waits)
	e := o.effects[claim]
	e.Implied = true
	o.effects[claim] = e
}

// wanted finds the objects that are deleted, or lose their Application, and that an Application, the same or another, has in the head.
func (s *simulation) wanted() {
	lost := make(map[live]bool)
	for _, o := range s.outcomes {
		for at, e := range o.effects {
			if e.Fate.Lost() || e.Fate == Orphaned || e.Waits != "" {
				lost[at] = true
			}
		}
	}
	if len(lost) == 0 {
		return
	}
	wanting := make(map[live][]object.Key)
	for _, key := range sortedKeys(s.outcomes) {
		if o := s.outcomes[key]; o.after != nil && o.frozen == "" && o.after.Spec.SyncPolicy.Syncs() {
			s.wants(o.after, lost, wanting)
		}
	}
	for key, o := range s.outcomes {
		for at, e := range o.effects {
			if e.Fate == Deleted && len(wanting[at]) > 0 {
				o.effects[at] = again(e, key, o, wanting[at])
			} else if e.Fate == Orphaned || e.Waits != "" {
				o.effects[at] = adopted(e, key, wanting[at])
			}
		}
	}
}

func (s *simulation) wants(a *inventory.Application, lost map[live]bool, wanting map[live][]object.Key) {
	cluster := s.cluster(a)
	for key, t := range a.Standing() {
		if at := (live{cluster, key}); lost[at] && (!t.Hook() || left(t)) {
			wanting[at] = append(wanting[at], a.Key())
		}
	}
}

// again is the effect on an object that is deleted and that Applications want.
func again(e Effect, owner object.Key, o *outcome, wanting []object.Key) Effect {
	by := wanting[0].Name
	if by == owner.Name && len(wanting) > 1 {
		by = wanting[1].Name
	}
	if by == owner.Name || o.fate.Lost() {
		e.Fate = Recreated
		e.Why += fmt.Sprintf("; %s makes it again, without what it held", by)
		return e
	}
	e.Fate = AtRisk
	e.Why += fmt.Sprintf("; %s has it now, and it is deleted where that comes second", by)
	return e
}

// adopted is the effect on an object that its Application leaves, and that others may want.
func adopted(e Effect, owner object.Key, wanting []object.Key) Effect {
	for _, other := range wanting {
		if other != owner {
			e.Fate, e.Waits = Kept, ""
			e.Why += "; " + other.Name + " has it now"
			break
		}
	}
	return e
}
