// Package plan says what Argo CD would do with the objects of a cluster when git goes from one revision to another: what it deletes,
// deletes and makes again, leaves without an owner, or keeps because something protects it.
//
// It is computed from two inventories, without a cluster. The base revision stands for what is live: an annotation protects only if it
// was there before. Where the order of two of Argo CD's steps decides, the plan says "at risk", and never "kept". docs/guard/argocd.md has
// the cases in which it was held against a real Argo CD.
package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Fate is what becomes of an object.
type Fate int

// Fates, from the best to the worst.
const (
	Untouched Fate = iota
	// Kept objects would go, and something keeps them.
	Kept
	// Orphaned objects stay, and no Application owns them any more.
	Orphaned
	// Unknown is what becomes of objects of sources that cannot be analysed.
	Unknown
	// Held objects wait, and with them the whole sync, until a person approves their deletion.
	Held
	// AtRisk objects are deleted or not, as the order of two steps has it.
	AtRisk
	// Recreated objects are deleted and made again, without their state.
	Recreated
	// Deleted objects are gone.
	Deleted
)

var fates = [...]string{"untouched", "kept", "orphaned", "unknown", "held", "at risk", "recreated", "deleted"}

func (f Fate) String() string { return fates[f] }

// MarshalText writes the fate as its word.
func (f Fate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads the word.
func (f *Fate) UnmarshalText(text []byte) error {
	i := slices.Index(fates[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no fate of an object", text)
	}
	*f = Fate(i)
	return nil
}

// Lost says whether the object that was there is gone, or may be.
func (f Fate) Lost() bool { return f >= Held }

// Effect is what becomes of one object.
type Effect struct {
	// Cluster is the server of the cluster that the object is in.
	Cluster string     `json:"cluster"`
	Key     object.Key `json:"object"`
	Fate    Fate       `json:"fate"`
	// Why is a clause that says what brings it about.
	Why string `json:"why"`
	// Waits is a clause that says what alone keeps an object that its Application does not want any more: it goes when that ends. It is
	// empty where the object is kept by a protection of its own.
	Waits string `json:"waits,omitempty"`
	// Stateful objects hold state, or their loss takes state with it.
	Stateful bool `json:"stateful,omitempty"`
	// Implied objects are not in git: claims that a StatefulSet's templates made.
	Implied bool `json:"implied,omitempty"`
	// Source is what it is taken from, where the plan was made with what lives: FromLive, FromStatus or FromGit.
	Source string `json:"source,omitempty"`
	// Git is the fate by git alone, where that is another.
	Git *Fate `json:"git,omitempty"`
	// Volume is what a claim that goes is bound to.
	Volume *Volume `json:"volume,omitempty"`
	// Hook objects are deleted, and made again, as every sync does it with hooks of their kind.
	Hook bool `json:"hook,omitempty"`
	// Path and Line are where the base has it.
	Path string `json:"path,omitempty"`
	Line int    `json:"line,omitempty"`
}

// Change is what becomes of one Application and of what it owns.
type Change struct {
	// Application is its key on the cluster of Argo CD.
	Application object.Key `json:"application"`
	// Fate is the Application's own.
	Fate Fate `json:"fate"`
	// Waits says what alone keeps an Application that nothing generates any more.
	Waits string `json:"waits,omitempty"`
	// Added says that the base does not have it.
	Added bool `json:"added,omitempty"`
	// Repointed has what changed of where it reads from and deploys to, as "path: a -> b".
	Repointed []string `json:"repointed,omitempty"`
	// Created and Updated are the objects that it makes and changes.
	Created []object.Key `json:"created,omitempty"`
	Updated []object.Key `json:"updated,omitempty"`
	// Effects has the objects that are not simply updated, the worst first.
	Effects []Effect `json:"effects,omitempty"`
	// Notes are sentences a reviewer should know.
	Notes []string `json:"notes,omitempty"`
	// Path and Line are where the head defines it, or the base where the head does not.
	Path string `json:"path,omitempty"`
	Line int    `json:"line,omitempty"`
}

// Count returns how many objects have a fate.
func (c *Change) Count(f Fate) int {
	n := 0
	for _, e := range c.Effects {
		if e.Fate == f {
			n++
		}
	}
	return n
}

// Plan is what becomes of everything.
type Plan struct {
	Base string `json:"base"`
	Head string `json:"head"`
	// Changes are of those Applications of which something changes, the worst first.
	Changes []Change `json:"changes"`
	// Tree has the Applications of which something changes and those that define them.
	Tree []Node `json:"tree"`
	// Unanalysed says of which Applications the objects are not known, and why.
	Unanalysed []string `json:"unanalysed,omitempty"`
	// Unknown says what of the clusters could not be found out, where the plan was made with what lives.
	Unknown []string `json:"unknown,omitempty"`

	asked map[object.Key]bool // Applications and sets that are planned as they live
}

// Node is an Application and those that define it.
type Node struct {
	Application object.Key   `json:"application"`
	Parents     []object.Key `json:"parents,omitempty"`
}

// Options bound what a plan takes for state.
type Options struct {
	// Stateful are the kinds that hold state.
	Stateful object.Kinds
	// Clusters has the servers of clusters' names.
	Clusters map[string]string
	// Live is what clusters have. Without it the base revision stands for that.
	Live Live
}

// Between returns what going from one inventory to another does.
func Between(base, head *inventory.Inventory, o Options) *Plan {
	if o.Stateful == nil {
		o.Stateful = object.Stateful()
	}
	s := newSimulation(base, head, o)
	s.run()
	p := &Plan{Base: base.Name, Head: head.Name}
	if o.Live != nil {
		s = s.withLive()
		p.Changes, p.Unknown = s.against(), slices.Concat(o.Live.Unknown(), s.alive.unknown)
		p.asked = s.alive.asked()
	} else {
		p.Changes = s.changes()
	}
	p.Tree = s.tree(p.Changes)
	for _, u := range unanalysed(s.base, s.head) {
		p.Unanalysed = append(p.Unanalysed, fmt.Sprintf("%s: %s", u.key, u.why))
	}
	for _, u := range slices.Concat(base.Unread, head.Unread) {
		p.Unanalysed = append(p.Unanalysed, u.Why)
	}
	slices.Sort(p.Unanalysed)
	p.Unanalysed = slices.Compact(p.Unanalysed)
	return p
}

// sortEffects puts the worst first, and of those the stateful ones.
func sortEffects(effects []Effect) {
	slices.SortFunc(effects, func(a, b Effect) int {
		return cmp.Or(int(b.Fate-a.Fate), boolean(b.Stateful)-boolean(a.Stateful), cmp.Compare(a.Cluster, b.Cluster), a.Key.Compare(b.Key))
	})
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// unknown is something of which the objects are not known.
type unknown struct {
	key object.Key
	why string
	at  inventory.Origin
}

// unanalysed returns what is not known of either revision, in the order of keys: of what is not known any more, deletions are not either.
func unanalysed(base, head *side) []unknown {
	var all []unknown
	for _, s := range []*side{head, base} {
		for _, a := range s.apps() {
			for _, why := range a.Unanalysed {
				all = append(all, unknown{a.Key(), why, a.Origin})
			}
		}
		for _, key := range sortedKeys(s.sets) {
			for _, why := range s.sets[key].Unanalysed {
				all = append(all, unknown{key, why, s.sets[key].Origin})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b unknown) int { return cmp.Or(a.key.Compare(b.key), cmp.Compare(a.why, b.why)) })
	return slices.CompactFunc(all, func(a, b unknown) bool { return a.key == b.key && a.why == b.why })
}
