package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// live is an object in a cluster.
type live struct {
	cluster string
	key     object.Key
}

// outcome is what becomes of one Application.
type outcome struct {
	fate Fate
	why  string
	// waits says what alone keeps an Application that nothing generates any more.
	waits string
	// base is its definition before, nil where there is none; after the one that is in force then, read from the head, nil where there is none.
	base, after *inventory.Application
	// frozen says why it does not sync: what it defines stays as it was.
	frozen  string
	effects map[live]Effect
	notes   []string
	running bool // while it is computed: an Application can be its own parent
}

// simulation computes the outcomes of all Applications.
type simulation struct {
	base, head *side
	options    Options
	outcomes   map[object.Key]*outcome
	owners     map[live][]object.Key // before, made when the first asks
	alive      *alive                // nil where git alone counts
}

// wasLive ends the reason of what a protection keeps.
const wasLive = " was live before"

func newSimulation(base, head *inventory.Inventory, o Options) *simulation {
	return &simulation{base: newSide(base), head: newSide(head), options: o, outcomes: make(map[object.Key]*outcome)}
}

func (s *simulation) run() {
	for _, key := range sortedKeys(s.base.applications) {
		s.outcome(key)
	}
	for _, key := range sortedKeys(s.head.applications) {
		s.outcome(key)
	}
	s.namespaces()
	s.wanted()
	s.settle()
}

// outcome computes what becomes of an Application, after its parents.
func (s *simulation) outcome(key object.Key) *outcome {
	if o, ok := s.outcomes[key]; ok {
		return o
	}
	o := &outcome{effects: make(map[live]Effect), running: true}
	s.outcomes[key] = o
	defer func() { o.running = false }()
	before, heads := s.base.applications[key], s.head.applications[key]
	if len(before) == 0 {
		s.added(o, heads)
		return o
	}
	o.base = before[len(before)-1]
	o.fate, o.why = s.own(key, before, heads)
	switch {
	case o.fate.Lost():
		if len(heads) > 0 && s.parentsFrozen(heads) == "" {
			o.after = heads[len(heads)-1]
		}
		s.cascade(o)
	case len(heads) == 0 || s.parentsFrozen(before) != "":
		s.evolve(o, s.stays(o.base))
	default:
		s.evolveAll(o, before, heads)
	}
	return o
}

// evolveAll computes what becomes of the objects of an Application that stays, with all definitions that are in force in turn. What two of them
// do to one another is no news where the base has both: each then goes from what it was. Where the last one of the base is gone, all others
// come after it.
func (s *simulation) evolveAll(o *outcome, before, heads []*inventory.Application) {
	last := o.base
	was := make(map[place]*inventory.Application)
	if slices.ContainsFunc(heads, func(h *inventory.Application) bool { return placeOf(h) == placeOf(last) }) {
		for _, b := range before {
			was[placeOf(b)] = b
		}
	}
	for _, h := range heads {
		o.base = cmp.Or(was[placeOf(h)], last)
		s.evolve(o, h)
	}
	o.base = last
	switch {
	case len(heads) < 2:
	case len(parentKeys(heads)) > 1:
		o.notes = append(o.notes, fmt.Sprintf("it is defined by more than one parent, which apply it in turn: %s", origins(heads)))
	default:
		o.notes = append(o.notes, fmt.Sprintf("it is defined more than once, and the one that is applied last counts: %s", origins(heads)))
	}
}

// place is where in a tree something is defined.
type place struct {
	path           string
	document, item int
	set            string
}

func placeOf(a *inventory.Application) place {
	return place{a.Path, a.Object.Document, a.Object.Item, a.Set}
}

func origins(apps []*inventory.Application) string {
	var text string
	for i, a := range apps {
		if i > 0 {
			text += ", "
		}
		text += a.Origin.String()
	}
	return text
}

// added is an Application that the base does not have.
func (s *simulation) added(o *outcome, heads []*inventory.Application) {
	h := heads[len(heads)-1]
	if why := s.parentsFrozen(h.Parents); len(h.Parents) > 0 && why != "" {
		o.notes = append(o.notes, "it is not made: "+why)
		return
	}
	o.after = h
}

// parentsFrozen says why the Applications that define some do not sync, empty where one of them does.
func (s *simulation) parentsFrozen(children []*inventory.Application) string {
	var why string
	for _, parent := range parentKeys(children) {
		p := s.outcome(parent)
		if p.running || p.frozen == "" {
			return ""
		}
		why = fmt.Sprintf("%s does not sync: %s", parent.Name, p.frozen)
	}
	return why
}

func parentKeys(children []*inventory.Application) []object.Key {
	keys := make(map[object.Key]bool)
	for _, c := range children {
		for _, p := range c.Parents {
			keys[p.Key()] = true
		}
	}
	return sortedKeys(keys)
}

// own computes what becomes of the Application object itself.
func (s *simulation) own(key object.Key, before, heads []*inventory.Application) (Fate, string) {
	parents := parentKeys(before)
	if set := before[len(before)-1].Set; set != "" {
		return s.ownOfSet(key, before, heads)
	}
	if len(parents) == 0 {
		if len(heads) == 0 {
			return s.unowned(key)
		}
		return Untouched, ""
	}
	fate, why := Untouched, ""
	for _, parent := range parents {
		if p := s.outcome(parent); !p.running {
			if e, ok := p.effects[live{argo.Server, key}]; ok && e.Fate > fate {
				fate, why = e.Fate, e.Why
			}
		}
	}
	if fate == Deleted && len(heads) > 0 && s.parentsFrozen(heads) == "" {
		return AtRisk, why + "; another one defines it now, and it is deleted where that comes first"
	}
	return fate, why
}

// ownOfSet computes what becomes of an Application that a set generates.
func (s *simulation) ownOfSet(key object.Key, before, heads []*inventory.Application) (Fate, string) {
	b := before[len(before)-1]
	set := setKey(b.Metadata.Namespace, b.Set)
	for _, parent := range parentKeys(before) {
		if p := s.outcome(parent); !p.running {
			if e, ok := p.effects[live{argo.Server, set}]; ok && e.Fate > Kept {
				return s.remade(e.Fate, heads), fmt.Sprintf("the ApplicationSet %s, which generates it, goes: %s", b.Set, e.Why)
			}
		}
	}
	if slices.ContainsFunc(heads, func(h *inventory.Application) bool { return h.Set == b.Set }) {
		return Untouched, ""
	}
	switch h := s.head.sets[set]; {
	case h == nil:
	case h.Broken != nil:
		return Kept, fmt.Sprintf("the ApplicationSet %s cannot generate: %v", b.Set, h.Broken)
	case len(h.Unanalysed) > 0:
		return Unknown, fmt.Sprintf("it is not known what the ApplicationSet %s generates: %s", b.Set, h.Unanalysed[0])
	case h.KeepsApplications():
		s.outcomes[key].waits = fmt.Sprintf("applicationsSync of the ApplicationSet %s is %s", b.Set, h.Spec.SyncPolicy.ApplicationsSync)
		return Kept, fmt.Sprintf("the ApplicationSet %s does not generate it any more, and does not delete Applications", b.Set)
	}
	return s.remade(Deleted, heads), fmt.Sprintf("the ApplicationSet %s does not generate it any more", b.Set)
}

// remade is the fate of an Application that goes with what generates it, where something else defines it now.
func (s *simulation) remade(f Fate, heads []*inventory.Application) Fate {
	if f == Deleted && len(heads) > 0 && s.parentsFrozen(heads) == "" {
		return Recreated
	}
	return f
}

// cluster returns where an Application's objects are.
func (s *simulation) cluster(a *inventory.Application) string {
	return a.Spec.Destination.Cluster(s.options.Clusters)
}

// effect notes what becomes of an object. Where several definitions are in force in turn, the worst counts.
func (s *simulation) effect(o *outcome, cluster string, t inventory.Target, key object.Key, fate Fate, why string) {
	at := live{cluster, key}
	if before, ok := o.effects[at]; ok && before.Fate >= fate {
		return
	}
	o.effects[at] = Effect{Cluster: cluster, Key: key, Fate: fate, Why: why, Stateful: s.options.Stateful[key.GroupKind()], Path: t.Path, Line: t.Object.Line}
}

// missing returns the live objects that an Application does not want any more. Those that become hooks are among them.
func missing(before, after map[object.Key]inventory.Target) map[object.Key]inventory.Target {
	wanted := make(map[object.Key]bool, len(after))
	for key, t := range after {
		if !t.Hook() {
			wanted[key.Canonical()] = true
		}
	}
	gone := make(map[object.Key]inventory.Target)
	for key, t := range before {
		if !wanted[key.Canonical()] && !t.Hook() && !t.Object.Generated {
			gone[key] = t
		}
	}
	return gone
}

// evolve computes what becomes of the objects of an Application that stays, with the definition h.
func (s *simulation) evolve(o *outcome, h *inventory.Application) {
	h = s.revised(o.base, h)
	o.after = h
	if unchanged(o.base, h) {
		return
	}
	before, after := s.reached(o), h.Standing()
	if from, to := s.cluster(o.base), s.cluster(h); from != to {
		for key, t := range before {
			s.effect(o, from, t, key, Orphaned, fmt.Sprintf("its Application deploys to %s now, and forgets what it has in %s", to, from))
		}
		return
	}
	if why := s.broken(h); why != "" {
		o.frozen = "Argo CD cannot render it: " + why
		if h.Broken == nil {
			s.emptied(o, h, before, why)
		}
		s.meanwhile(o, h, before)
		return
	}
	p := s.pruning(o, h, before, after)
	if p.why != "" {
		o.frozen = p.why
	}
	for key, t := range p.gone {
		fate, why := p.fate(key, t)
		s.effect(o, s.cluster(h), t, key, fate, why)
		s.waits(o, live{s.cluster(h), key}, why, p.waits(key, t))
	}
	if p.hold == Untouched && p.triggered {
		s.applied(o, h, before, after)
		s.owned(o, h, before, after)
	}
	s.operated(o, h, before)
	s.meanwhile(o, h, before)
}

// unchanged says whether two definitions are the same, and want the very same objects. What both revisions have is there once.
func unchanged(a, b *inventory.Application) bool {
	if a.Object != b.Object || a.Set != "" || a.Broken != nil || b.Broken != nil || len(a.Unanalysed)+len(b.Unanalysed) > 0 || len(a.Targets) != len(b.Targets) {
		return false
	}
	for i := range a.Targets {
		if a.Targets[i].Object != b.Targets[i].Object || a.Targets[i].Key != b.Targets[i].Key {
			return false
		}
	}
	return true
}

// hold says what keeps an Application from syncing: the fate of what would be pruned, and why. Untouched is nothing.
func (s *simulation) hold(o *outcome, h *inventory.Application, gone, after map[object.Key]inventory.Target) (Fate, string) {
	if fate, why := s.invalid(o, h); why != "" {
		return fate, why
	}
	if why := s.shared(o, h, after); why != "" {
		return Kept, why
	}
	hooks := 0
	for _, t := range after {
		if t.Hook() {
			hooks++
		}
	}
	if len(after) == hooks && len(gone) > 0 && len(h.Unanalysed) == 0 && h.Spec.SyncPolicy.Prunes() && !h.Spec.SyncPolicy.Automated.AllowEmpty {
		return Kept, "nothing would be left, and Argo CD does not sync that without allowEmpty"
	}
	return Untouched, ""
}

// invalid says why Argo CD refuses an Application's specification.
func (s *simulation) invalid(o *outcome, h *inventory.Application) (Fate, string) {
	why := s.head.refusal(h, s.options.Clusters)
	if why == "" {
		return Untouched, ""
	}
	// The two objects land one after the other: for a moment the new Application may be under the old project.
	if old := *s.head; s.projectChanged(o, h) {
		old.projects = s.base.projects
		if old.refusal(h, s.options.Clusters) == "" {
			return AtRisk, "for a moment Argo CD may sync it under the project as it was; then: " + why
		}
	}
	return Kept, why
}

// projectChanged says whether an Application's project is not what it was.
func (s *simulation) projectChanged(o *outcome, h *inventory.Application) bool {
	before, after := s.base.project(o.base.Application), s.head.project(h.Application)
	if before == nil || after == nil {
		return before != after
	}
	return !sameBody(before.Object, after.Object)
}

// shared says which object keeps an Application with FailOnSharedResource from syncing: one that another Application owns.
func (s *simulation) shared(o *outcome, h *inventory.Application, after map[object.Key]inventory.Target) string {
	if !argo.OptionsOf(h.Spec.SyncPolicy.SyncOptions).Has("FailOnSharedResource", "true") {
		return ""
	}
	own := o.base.Standing()
	for _, key := range slices.SortedFunc(maps.Keys(after), object.Key.Compare) {
		if _, ours := own[key]; ours {
			continue
		}
		if owner := s.owner(live{s.cluster(h), key}, h.Key()); owner != "" {
			return fmt.Sprintf("it has FailOnSharedResource, and %s owns %s", owner, key)
		}
	}
	return ""
}

// owner returns the name of an Application, another than that one, that owns an object before.
func (s *simulation) owner(at live, except object.Key) string {
	if s.owners == nil {
		s.owners = make(map[live][]object.Key)
		for _, a := range s.base.apps() {
			cluster := s.cluster(a)
			for key := range a.Standing() {
				s.owners[live{cluster, key}] = append(s.owners[live{cluster, key}], a.Key())
			}
		}
	}
	for _, owner := range s.owners[at] {
		if owner != except {
			return owner.Name
		}
	}
	return ""
}
