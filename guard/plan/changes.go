package plan

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// changes returns what becomes of the Applications of which something changes, the worst first.
func (s *simulation) changes() []Change {
	var changes []Change
	for _, key := range sortedKeys(s.outcomes) {
		if c, any := s.change(key, s.outcomes[key]); any {
			changes = append(changes, c)
		}
	}
	sortChanges(changes)
	return changes
}

// sortChanges puts the worst first.
func sortChanges(changes []Change) {
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Compare(weight(&b), weight(&a)) })
}

// weight orders changes: by the worst that happens to state, then to anything, then by how much.
func weight(c *Change) int {
	worst, stateful := int(c.Fate), 0
	for _, e := range c.Effects {
		worst = max(worst, int(e.Fate))
		if e.Stateful {
			stateful = max(stateful, int(e.Fate))
		}
	}
	return stateful*1_000_000_000 + worst*10_000_000 + min(len(c.Effects), 1_000_000)
}

func (s *simulation) change(key object.Key, o *outcome) (Change, bool) {
	c := Change{Application: key, Fate: o.fate, Waits: o.waits, Added: o.base == nil, Notes: o.notes, Effects: slices.Collect(maps.Values(o.effects))}
	sortEffects(c.Effects)
	if o.frozen != "" {
		c.Notes = append(c.Notes, "it does not sync: "+o.frozen)
	}
	if o.why != "" {
		c.Notes = append(c.Notes, o.why)
	}
	if defined := cmp.Or(o.after, o.base); defined != nil {
		c.Path, c.Line = defined.Path, defined.Object.Line
	}
	if o.after != nil {
		s.made(&c, o)
	}
	if o.base != nil && o.after != nil {
		c.Repointed = s.repointed(o.base, o.after)
	}
	return c, c.Added || c.Fate != Untouched || len(c.Repointed)+len(c.Created)+len(c.Updated)+len(c.Effects) > 0
}

// made lists what an Application creates and updates.
func (s *simulation) made(c *Change, o *outcome) {
	var before map[object.Key]inventory.Target
	if o.base != nil {
		if unchanged(o.base, o.after) {
			return
		}
		before = o.base.Standing()
	}
	for key, t := range o.after.Standing() {
		if was, ok := before[key]; !ok {
			c.Created = append(c.Created, key)
		} else if s.updated(was, t) {
			c.Updated = append(c.Updated, key)
		}
	}
	if o.base != nil && o.after.Set == "" && len(o.after.Parents) == 0 && !sameBody(o.base.Object, o.after.Object) {
		c.Updated = append(c.Updated, c.Application) // no other Application counts it
	}
	slices.SortFunc(c.Created, object.Key.Compare)
	slices.SortFunc(c.Updated, object.Key.Compare)
}

// updated says whether an object is not what it was.
func (s *simulation) updated(was, is inventory.Target) bool {
	was, known := s.inGit(was)
	if !known {
		return true
	}
	a, b := s.base.Digest(was.Origin), s.head.Digest(is.Origin)
	if a == "" || b == "" || a == b && was.Object.Document == is.Object.Document && was.Object.Item == is.Object.Item {
		return false
	}
	x, errX := s.base.Body(was.Origin)
	y, errY := s.head.Body(is.Origin)
	return errX != nil || errY != nil || !reflect.DeepEqual(x, y)
}

// sameBody says whether two objects that were kept whole are the same.
func sameBody(a, b *object.Object) bool { return reflect.DeepEqual(a.Body, b.Body) }

// repointed lists what changed of where an Application reads from and deploys to.
func (s *simulation) repointed(a, b *inventory.Application) []string {
	var changed []string
	for _, f := range []struct{ name, from, to string }{
		{"path", paths(a), paths(b)},
		{"repository", repositories(a), repositories(b)},
		{"revision", s.revision(a, a), s.revision(a, b)},
		{"cluster", s.cluster(a), s.cluster(b)},
		{"namespace", a.Spec.Destination.Namespace, b.Spec.Destination.Namespace},
		{"project", cmp.Or(a.Spec.Project, "default"), cmp.Or(b.Spec.Project, "default")},
	} {
		if f.from != f.to {
			changed = append(changed, fmt.Sprintf("%s: %s -> %s", f.name, f.from, f.to))
		}
	}
	return changed
}

func repositories(a *inventory.Application) string {
	var text string
	for i, source := range a.Spec.AllSources() {
		if i > 0 {
			text += " and "
		}
		text += source.RepoURL
	}
	return text
}

// tree returns the changed Applications and all above them, in the order of their keys.
func (s *simulation) tree(changes []Change) []Node {
	nodes := make(map[object.Key][]object.Key)
	var add func(key object.Key)
	add = func(key object.Key) {
		if _, ok := nodes[key]; ok {
			return
		}
		definitions := slices.Concat(s.base.applications[key], s.head.applications[key])
		nodes[key] = parentKeys(definitions)
		for _, parent := range nodes[key] {
			add(parent)
		}
	}
	for _, c := range changes {
		add(c.Application)
	}
	var tree []Node
	for _, key := range sortedKeys(nodes) {
		tree = append(tree, Node{key, nodes[key]})
	}
	return tree
}
