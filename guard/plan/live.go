package plan

import (
	"cmp"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Live is what clusters have; guard/live reads it. With it a plan does not take the base revision for what lives.
type Live interface {
	// Clusters are the servers of the clusters of which something is known.
	Clusters() []string
	// Objects are those that live in a cluster, and those that the status of an Application names there.
	Objects(cluster string) []*LiveObject
	// Reads says whether all objects of a kind in a cluster were read: one that is not among them does not live.
	Reads(cluster string, k object.Kind) bool
	// Unknown says in sentences what could not be found out.
	Unknown() []string
}

// LiveObject is an object of a cluster. Its annotations and labels are those that object.Retained names.
type LiveObject struct {
	// Object has the body of Applications, sets, projects, StatefulSets, claims and volumes only.
	object.Object
	UID string
	// Owners are the UIDs of the objects that own it: it goes with them.
	Owners []string
	// Set is the ApplicationSet that owns an Application.
	Set string
	// Application is the one that Argo CD counts the object to, by its tracking data. Without a name it is none.
	Application object.Key
	// Copied objects carry the tracking data of another object: Argo CD deletes them with the Application, but does not prune them.
	Copied bool
	// Seen says that the object itself was read. Of others the status of their Application says that they were there when it was last
	// compared, and what protects them is not known.
	Seen bool
}

// What an effect is taken from.
const (
	FromLive   = "live"
	FromStatus = "status" // of the Application, and protections from git
	FromGit    = "git"
)

// Volume is what a claim is bound to.
type Volume struct {
	Name string `json:"name"`
	// Reclaim is Retain, where the disk stays without its claim, or Delete, where it goes with it.
	Reclaim string `json:"reclaim"`
}

// alive is what lives, as a simulation asks for it. The methods of one that is nil say that nothing is known.
type alive struct {
	Live
	git       *simulation // of git alone
	at        map[live]*LiveObject
	owned     map[live][]*LiveObject // by cluster and Application
	within    map[live][]*LiveObject // by cluster and namespace
	below     map[string][]*LiveObject
	fromGit   map[object.Key]bool // Applications that do not live in the Argo CD that was asked
	elsewhere map[object.Key]bool // Applications that read another repository
	known     map[string]bool     // repositories
	unknown   []string
	lives     map[*object.Object]bool
	inBase    map[*object.Object]inventory.Target // what git has of an object that lives
}

// withLive computes again, with what lives in the place of the base.
func (s *simulation) withLive() *simulation {
	a := &alive{
		Live: s.options.Live, git: s, at: make(map[live]*LiveObject), owned: make(map[live][]*LiveObject), within: make(map[live][]*LiveObject),
		below: make(map[string][]*LiveObject), fromGit: make(map[object.Key]bool), elsewhere: make(map[object.Key]bool), known: make(map[string]bool),
		lives: make(map[*object.Object]bool), inBase: make(map[*object.Object]inventory.Target),
	}
	a.index()
	l := &simulation{options: s.options, outcomes: make(map[object.Key]*outcome), alive: a}
	l.base, l.head = a.sides()
	l.run()
	return l
}

// index finds objects by what they are asked for.
func (a *alive) index() {
	for _, cluster := range a.Clusters() {
		for _, o := range a.Objects(cluster) {
			a.at[live{cluster, o.Canonical()}] = o
			if o.Application.Name != "" && len(o.Owners) == 0 {
				at := live{cluster, o.Application}
				a.owned[at] = append(a.owned[at], o)
			}
			if o.Namespace != "" {
				at := live{cluster, object.Key{Namespace: o.Namespace}}
				a.within[at] = append(a.within[at], o)
			}
			for _, uid := range o.Owners {
				a.below[cluster+" "+uid] = append(a.below[cluster+" "+uid], o)
			}
		}
	}
	urls := slices.Concat(a.git.base.Options.Repositories, a.git.head.Options.Repositories)
	for _, app := range slices.Concat(a.git.base.apps(), a.git.head.apps()) {
		for _, source := range app.Spec.AllSources() {
			urls = append(urls, source.RepoURL)
		}
	}
	for _, url := range urls {
		a.known[argo.Repository(url)] = true
	}
}

// prunable leaves out what Argo CD does not prune although it carries tracking data.
func (s *simulation) prunable(cluster string, gone map[object.Key]inventory.Target) map[object.Key]inventory.Target {
	if s.alive == nil {
		return gone
	}
	for key := range gone {
		if o := s.alive.at[live{cluster, key}]; o != nil && o.Copied {
			delete(gone, key)
		}
	}
	return gone
}

// inGit returns what the base revision has of an object, and whether it has it.
func (s *simulation) inGit(t inventory.Target) (inventory.Target, bool) {
	if s.alive == nil || !s.alive.lives[t.Object] {
		return t, true
	}
	git, ok := s.alive.inBase[t.Object]
	return git, ok
}

// stays returns an Application that keeps its definition, with what it wants in the head.
func (s *simulation) stays(definition *inventory.Application) *inventory.Application {
	if s.alive != nil && s.alive.elsewhere[definition.Key()] {
		return &inventory.Application{
			Application: definition.Application, Origin: definition.Origin, Set: definition.Set,
			Unanalysed: []string{"it reads another repository"},
		}
	}
	return s.head.Expand(definition)
}

// unowned is what becomes of an Application that no other defines and that is not in git.
func (s *simulation) unowned(key object.Key) (Fate, string) {
	switch {
	case s.alive == nil || s.alive.fromGit[key]:
		return AtRisk, "its definition leaves git, and whoever applies it may delete it"
	case len(s.alive.git.base.applications[key]) > 0:
		return Kept, "its definition leaves git, and no Application owns the live one: it stays until a person deletes it"
	}
	return Untouched, ""
}

// source says what is known of an object, and from where.
func (a *alive) source(app object.Key, at live) string {
	o := a.at[live{at.cluster, at.key.Canonical()}]
	switch {
	case a.fromGit[app]:
		return FromGit
	case o == nil && !a.Reads(at.cluster, at.key.GroupKind()):
		return FromStatus
	case o != nil && !o.Seen:
		return FromStatus
	}
	return FromLive
}

// volume returns what a claim is bound to, nil where it is bound to nothing or nobody knows.
func (a *alive) volume(at live) *Volume {
	o := a.at[at]
	if o == nil || at.key.GroupKind() != (object.Kind{Kind: "PersistentVolumeClaim"}) {
		return nil
	}
	name, _ := field(o.Body, "spec", "volumeName").(string)
	if name == "" {
		return nil
	}
	v := &Volume{Name: name}
	if pv := a.at[live{at.cluster, object.Key{Kind: "PersistentVolume", Name: name}}]; pv != nil {
		v.Reclaim, _ = field(pv.Body, "spec", "persistentVolumeReclaimPolicy").(string)
	}
	return v
}

// words say what becomes of a volume whose claim goes.
func (v *Volume) words() string {
	switch v.Reclaim {
	case "Retain":
		return "its volume " + v.Name + " stays (Retain)"
	case "Delete":
		return "its volume " + v.Name + " goes with it, and what is on it (Delete)"
	}
	return "its volume " + v.Name + " has the reclaim policy " + cmp.Or(v.Reclaim, "unknown")
}
