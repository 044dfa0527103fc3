package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// incidental are objects that the cluster itself puts into every namespace.
var incidental = map[object.Key]bool{
	{Kind: "ConfigMap", Name: "kube-root-ca.crt"}:         true,
	{Kind: "ConfigMap", Name: "openshift-service-ca.crt"}: true,
	{Kind: "ServiceAccount", Name: "default"}:             true,
}

// beside adds what goes with Namespaces and with owners, though no Application owns it.
func (s *simulation) beside() {
	if s.alive == nil {
		return
	}
	for _, key := range sortedKeys(s.outcomes) {
		o := s.outcomes[key]
		if o.base == nil || s.alive.fromGit[key] {
			continue
		}
		s.synced(o)
		for at, e := range maps.Clone(o.effects) {
			if !e.Fate.Lost() {
				continue
			}
			if at.key.GroupKind() == (object.Kind{Kind: "Namespace"}) {
				s.inside(o, at, e)
			}
			s.dependents(o, at, e)
		}
	}
}

// inside takes what is in a Namespace that goes: what holds state by name, and the rest as a number.
func (s *simulation) inside(o *outcome, at live, e Effect) {
	count := 0
	for _, in := range s.alive.within[live{at.cluster, object.Key{Namespace: at.key.Name}}] {
		stateful := s.options.Stateful[in.GroupKind()]
		switch {
		case in.Application.Name != "" && s.outcomes[in.Application] != nil:
		case stateful:
			s.implied(o, at.cluster, in, e.Fate, fmt.Sprintf("its namespace %s is deleted, and no Application owns it", at.key.Name))
		case len(in.Owners) == 0 && !incidental[object.Key{Kind: in.Kind, Group: in.Group, Name: in.Name}]:
			count++
		}
	}
	if count == 1 {
		o.notes = append(o.notes, fmt.Sprintf("with the namespace %s goes 1 more object, which no Application owns", at.key.Name))
	} else if count > 1 {
		o.notes = append(o.notes, fmt.Sprintf("with the namespace %s go %d more objects, which no Application owns", at.key.Name, count))
	}
}

// dependents takes what holds state and is owned by an object that goes, also through others.
func (s *simulation) dependents(o *outcome, at live, e Effect) {
	owner := s.alive.at[live{at.cluster, at.key.Canonical()}]
	if owner == nil || owner.UID == "" {
		return
	}
	gone, next := map[string]bool{owner.UID: true}, []string{owner.UID}
	for len(next) > 0 {
		below := s.alive.below[at.cluster+" "+next[0]]
		next = next[1:]
		for _, in := range below {
			if gone[in.UID] || slices.ContainsFunc(in.Owners, func(uid string) bool { return !gone[uid] }) {
				continue
			}
			gone[in.UID] = true
			next = append(next, in.UID)
			if s.options.Stateful[in.GroupKind()] {
				s.implied(o, at.cluster, in, e.Fate, fmt.Sprintf("it belongs to %s, which goes", at.key))
			}
		}
	}
}

// implied notes what becomes of an object that is not in git.
func (s *simulation) implied(o *outcome, cluster string, in *LiveObject, fate Fate, why string) {
	at := live{cluster, in.Key}
	s.effect(o, cluster, inventory.Target{Origin: inventory.Origin{Object: &in.Object}}, in.Key, fate, why)
	e := o.effects[at]
	e.Implied, e.Line = true, 0
	o.effects[at] = e
}

// readsClaims says whether the claims of a cluster are known, so that nobody has to guess them from the templates in git.
func (s *simulation) readsClaims(o *outcome, cluster string) bool {
	return s.alive != nil && !s.alive.fromGit[o.base.Key()] && s.alive.Reads(cluster, object.Kind{Kind: "PersistentVolumeClaim"})
}

// against returns the changes by what lives, each beside what git alone says.
func (l *simulation) against() []Change {
	alone, lives := make(map[object.Key]Change), make(map[object.Key]Change)
	for _, c := range l.alive.git.changes() {
		alone[c.Application] = c
	}
	for _, c := range l.changes() {
		lives[c.Application] = c
	}
	keys := maps.Clone(alone)
	maps.Copy(keys, lives)
	var all []Change
	for _, key := range sortedKeys(keys) {
		was, byGit := alone[key]
		c, ok := l.joined(key, was, lives[key])
		if ok || byGit {
			all = append(all, c)
		}
	}
	sortChanges(all)
	return all
}

// joined puts together what git alone says of one Application and what becomes of what lives. It says whether something is lost.
func (l *simulation) joined(key object.Key, git, lives Change) (Change, bool) {
	c := git
	c.Application, c.Fate, c.Waits, c.Notes, c.Effects = key, lives.Fate, lives.Waits, slices.Clone(lives.Notes), nil
	if c.Path == "" {
		c.Path, c.Line = lives.Path, lives.Line
	}
	alone := make(map[live]Effect)
	for _, e := range git.Effects {
		alone[live{e.Cluster, e.Key.Canonical()}] = e
	}
	lost, unknown, had := c.Fate.Lost(), 0, l.had(key)
	seen := make(map[live]bool)
	for _, e := range lives.Effects {
		at := live{e.Cluster, e.Key.Canonical()}
		was, known := alone[at]
		seen[at] = true
		if !known && !l.tells(key, e, had) {
			if e.Fate == Unknown {
				unknown++
			}
			continue
		}
		lost = lost || e.Fate > Orphaned
		c.Effects = append(c.Effects, l.explain(key, e, was.Fate, had))
	}
	for at, e := range alone {
		if !seen[at] && !e.Implied {
			c.Effects = append(c.Effects, l.spared(key, e))
		}
	}
	sortEffects(c.Effects)
	if unknown > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%d of its live objects are not in the tree, and it is not known whether its sources have them", unknown))
	}
	if git.Fate != lives.Fate {
		c.Notes = append(c.Notes, fmt.Sprintf("the Application itself would be %s; by git alone it would be %s", lives.Fate, git.Fate))
	}
	c.Notes = append(c.Notes, l.drift(key)...)
	return c, lost
}

// tells says whether an effect of which git alone does not know is one of this change: what was left over before is not.
func (l *simulation) tells(key object.Key, e Effect, had map[object.Key]inventory.Target) bool {
	if e.Fate.Lost() {
		return true
	}
	if git := l.alive.last(key); git != nil {
		if _, ok := had[e.Key]; ok {
			return true
		}
		heads := l.alive.git.head.applications[key]
		return e.Fate == Unknown && (len(heads) == 0 || !reflect.DeepEqual(git.Spec.AllSources(), heads[len(heads)-1].Spec.AllSources()))
	}
	return false
}

// had are the objects that an Application has in the base, by git.
func (l *simulation) had(key object.Key) map[object.Key]inventory.Target {
	if git := l.alive.last(key); git != nil {
		return git.Standing()
	}
	return nil
}

// explain says of an effect where it is from, what git alone says, and what is lost with a claim.
func (l *simulation) explain(key object.Key, e Effect, alone Fate, had map[object.Key]inventory.Target) Effect {
	at := live{e.Cluster, e.Key.Canonical()}
	e.Source = l.alive.source(key, at)
	if e.Source == FromLive {
		e.Why = l.alive.protected(at, e, had[at.key])
	}
	if e.Fate.Lost() {
		if e.Volume = l.alive.volume(at); e.Volume != nil {
			e.Why += "; " + e.Volume.words()
		}
	}
	if e.Fate != alone && !e.Implied {
		e.Git = &alone
		e.Why += fmt.Sprintf(" (by git alone: %s)", alone)
	}
	return e
}

// protected says what of a protection is live and what is only in git.
func (a *alive) protected(at live, e Effect, t inventory.Target) string {
	o := a.at[at]
	if o == nil {
		return e.Why
	}
	before, found := strings.CutSuffix(e.Why, wasLive)
	option := before[strings.LastIndexByte(before, ' ')+1:]
	switch {
	case found && t.Object != nil && !strings.Contains(t.Object.Annotations[argo.SyncOptions], option):
		return strings.TrimSuffix(before, option) + "the live object still has " + option + ", which git does not"
	case found:
		return strings.TrimSuffix(before, option) + "the live object has " + option
	case e.Fate.Lost() && t.Object != nil && stronger(t.Object.Annotations, o.Annotations):
		return e.Why + "; the protection that git has is not on the live object"
	}
	return e.Why
}

// spared is an object that git alone takes for one that goes, or that is left, and that is not.
func (l *simulation) spared(key object.Key, e Effect) Effect {
	at, alone := live{e.Cluster, e.Key.Canonical()}, e.Fate
	e.Source, e.Git, e.Fate, e.Waits = l.alive.source(key, at), &alone, Untouched, ""
	o := l.alive.at[at]
	switch {
	case o == nil && l.alive.Reads(e.Cluster, e.Key.GroupKind()):
		e.Why = "it does not live: there is nothing to lose"
	case o == nil:
		e.Why = "the status of its Application does not name it: it is not known to live"
	case o.Application.Name == "":
		e.Why = "the live object has no tracking data: Argo CD does not count it as its own"
	case len(o.Owners) > 0:
		e.Why = "it belongs to another object, and goes with that"
	case o.Application != key:
		e.Why = fmt.Sprintf("the live object belongs to %s", o.Application.Name)
	default:
		e.Why = "its Application, as it lives, keeps it"
	}
	e.Why += fmt.Sprintf(" (by git alone: %s)", alone)
	return e
}

// drift says where an Application that lives is not as git has it in the base.
func (l *simulation) drift(key object.Key) []string {
	git, lives := l.alive.last(key), l.base.applications[key]
	if git == nil || git.Set != "" || len(lives) == 0 || l.alive.fromGit[key] {
		return nil
	}
	was, _ := field(git.Object.Body, "spec").(map[string]any)
	is, _ := field(lives[0].Object.Body, "spec").(map[string]any)
	var fields []string
	for name := range was {
		if !reflect.DeepEqual(was[name], is[name]) {
			fields = append(fields, name)
		}
	}
	if git.Cascades() != lives[0].Cascades() {
		fields = append(fields, "finalizers")
	}
	if len(fields) == 0 {
		return nil
	}
	slices.Sort(fields)
	return []string{"the live Application is not as the base has it: " + strings.Join(fields, ", ")}
}

// stronger says whether some annotations protect better than others.
func stronger(git, lives map[string]string) bool {
	return argo.PruneProtection(git) > argo.PruneProtection(lives) || argo.DeleteProtection(git) > argo.DeleteProtection(lives)
}

// protectedIn says whether an object is kept when its Application is deleted, by what git has of it.
func protectedIn(objects map[object.Key]inventory.Target, key object.Key) bool {
	t, ok := objects[key]
	return ok && argo.DeleteProtection(t.Object.Annotations) == argo.Kept
}

// synced says what becomes of objects of an Application that is deleted where it is synced once more before: it takes back what is not
// counted as its own any more, and gives objects the protection that git has.
func (s *simulation) synced(o *outcome) {
	if !o.fate.Lost() || !o.base.Cascades() || !o.base.Spec.SyncPolicy.Syncs() {
		return
	}
	cluster, before := s.cluster(o.base), make(map[object.Key]inventory.Target)
	if git := s.alive.last(o.base.Key()); git != nil {
		before = git.Standing()
	}
	for key, t := range s.stays(o.base).Standing() {
		at := live{cluster, key.Canonical()}
		lives := s.alive.at[at]
		if lives == nil || t.Hook() || t.Object.Generated {
			continue
		}
		next, now := argo.DeleteProtection(t.Object.Annotations), argo.DeleteProtection(lives.Annotations)
		const first = "where its Application is synced once more before it goes"
		switch e, owned := o.effects[at]; {
		case !owned && len(lives.Owners) == 0 && next != argo.Kept && now != argo.Kept:
			s.effect(o, cluster, t, key, AtRisk, "the live object is not counted as its Application's own, but is again, and deleted, "+first)
		case owned && e.Fate == Deleted && next == argo.Kept:
			e.Fate, e.Why = AtRisk, e.Why+"; it is kept by the protection that git has "+first
			o.effects[at] = e
		case owned && e.Fate == Orphaned && now == argo.Kept && next != argo.Kept && protectedIn(before, key):
			e.Fate, e.Why = AtRisk, e.Why+"; git takes that away, and the object is deleted "+first
			o.effects[at] = e
		}
	}
}
