package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// sides returns the base as it lives, and the head as it comes to live: with what git does not say.
func (a *alive) sides() (base, head *side) {
	git := a.git
	base = &side{
		Inventory: git.base.Inventory, applications: make(map[object.Key][]*inventory.Application),
		projects: maps.Clone(git.base.projects), sets: maps.Clone(git.base.sets),
	}
	head = &side{
		Inventory: git.head.Inventory, applications: maps.Clone(git.head.applications),
		projects: maps.Clone(git.head.projects), sets: maps.Clone(git.head.sets),
	}
	for _, o := range a.Objects(argo.Server) {
		var err error
		switch o.GroupKind() {
		case argo.ApplicationKind:
			err = a.application(base, o)
		case argo.ProjectKind:
			err = a.project(base, head, o)
		case argo.ApplicationSetKind:
			err = a.set(base, head, o)
		}
		if err != nil {
			a.unknown = append(a.unknown, fmt.Sprintf("%s as it lives: %v", o.Key, err))
		}
	}
	a.parents(base)
	a.missing(base)
	for key, apps := range base.applications {
		if a.fromGit[key] {
			continue
		}
		heads := slices.Clone(head.applications[key])
		for n := range heads {
			heads[n] = a.after(base, head, apps[0], heads[n])
		}
		if len(heads) > 0 {
			head.applications[key] = heads
		} else if a.foreign(apps[0]) {
			a.elsewhere[key] = true
		}
	}
	return base, head
}

// last returns the last of the definitions that git has in the base, nil where there is none.
func (a *alive) last(key object.Key) *inventory.Application {
	if apps := a.git.base.applications[key]; len(apps) > 0 {
		return apps[len(apps)-1]
	}
	return nil
}

// application adds an Application that lives, with the objects that it owns.
func (a *alive) application(base *side, o *LiveObject) error {
	parsed, err := argo.ParseApplication(&o.Object)
	if err != nil {
		return err
	}
	own := o.Object
	app := &inventory.Application{Application: parsed, Set: o.Set, Origin: inventory.Origin{Object: &own}}
	wanted := make(map[object.Key]inventory.Target)
	if git := a.last(app.Key()); git != nil {
		app.Path, own.Line, own.Column = git.Path, git.Object.Line, git.Object.Column
		if app.Set == "" {
			app.Set = git.Set
		}
		for key, t := range git.Standing() {
			wanted[key.Canonical()] = t
		}
	}
	cluster := a.git.cluster(app)
	for _, owned := range a.owned[live{cluster, app.Key()}] {
		app.Targets = append(app.Targets, a.target(owned, wanted))
	}
	base.applications[app.Key()] = []*inventory.Application{app}
	return nil
}

// target is an object that lives, as one of those that an Application has: at the place where git has it.
func (a *alive) target(o *LiveObject, wanted map[object.Key]inventory.Target) inventory.Target {
	own := o.Object
	t := inventory.Target{Key: o.Key, Origin: inventory.Origin{Object: &own}}
	a.lives[&own] = true
	git, ok := wanted[o.Canonical()]
	if !ok {
		return t
	}
	a.inBase[&own] = git
	t.Path, own.Line, own.Column, t.Source = git.Path, git.Object.Line, git.Object.Column, git.Source
	if own.Body == nil {
		own.Body = git.Object.Body
	}
	if !o.Seen {
		own.Annotations = git.Object.Annotations
		if more := o.Annotations[argo.SyncOptions]; more != "" {
			own.Annotations = maps.Clone(own.Annotations)
			if own.Annotations == nil {
				own.Annotations = make(map[string]string)
			}
			own.Annotations[argo.SyncOptions] += "," + more
		}
	}
	return t
}

// project adds a project that lives. One that git does not have stays; one that is as git has it in the head is the very same.
func (a *alive) project(base, head *side, o *LiveObject) error {
	parsed, err := argo.ParseProject(&o.Object)
	if err != nil {
		return err
	}
	lives := &inventory.Project{Project: parsed, Origin: inventory.Origin{Object: &o.Object}}
	switch is := head.projects[o.Key]; {
	case is != nil && reflect.DeepEqual(is.Spec, parsed.Spec):
		lives = is
	case is == nil && (a.git.base.projects[o.Key] == nil || o.Application.Name == ""):
		head.projects[o.Key] = lives
	}
	base.projects[o.Key] = lives
	return nil
}

// set adds an ApplicationSet that lives. One that git does not have, or that leaves it and has no owner, generates as before.
func (a *alive) set(base, head *side, o *LiveObject) error {
	parsed, err := argo.ParseSet(&o.Object)
	if err != nil {
		return err
	}
	lives := &inventory.Set{Set: parsed, Origin: inventory.Origin{Object: &o.Object}}
	base.sets[o.Key] = lives
	if head.sets[o.Key] != nil || a.git.base.sets[o.Key] != nil && o.Application.Name != "" {
		return nil
	}
	head.sets[o.Key] = lives
	for _, g := range parsed.Spec.Generators {
		if g.Git != nil && !a.known[argo.Repository(g.Git.RepoURL)] {
			lives.Unanalysed = []string{"it reads " + g.Git.RepoURL}
			return nil
		}
	}
	made, err := parsed.Applications(a.git.head.Tree(), a.git.options.Clusters)
	if err != nil {
		lives.Broken = err
		return nil
	}
	lives.Generated, lives.Unanalysed = len(made.All), made.Unanalysed
	for _, m := range made.All {
		app := a.git.head.Expand(&inventory.Application{Application: m, Origin: lives.Origin, Set: parsed.Metadata.Name})
		if key := app.Key(); head.applications[key] == nil {
			head.applications[key] = []*inventory.Application{app}
		}
	}
	return nil
}

// parents joins the Applications that live with those that own them, by their tracking data; those of a set with what owns the set.
func (a *alive) parents(base *side) {
	for key, apps := range base.applications {
		owner := a.at[live{argo.Server, key}].Application
		if set := apps[0].Set; set != "" {
			owner = object.Key{}
			if o := a.at[live{argo.Server, setKey(key.Namespace, set)}]; o != nil {
				owner = o.Application
			}
		}
		if parent := base.applications[owner]; len(parent) > 0 {
			apps[0].Parents = parent
		}
	}
}

// missing finds the Applications of git that do not live. Where what defines them lives, they are not there; others may be of another Argo
// CD, and are taken from git.
func (a *alive) missing(base *side) {
	for key, apps := range a.git.base.applications {
		if base.applications[key] != nil || slices.ContainsFunc(apps, func(app *inventory.Application) bool { return a.defined(base, app, nil) }) {
			continue
		}
		a.fromGit[key] = true
	}
	for key := range a.fromGit {
		base.applications[key] = a.git.base.applications[key]
		a.unknown = append(a.unknown, fmt.Sprintf("%s is in git and does not live in the Argo CD that was asked: what it loses is from git alone", key))
	}
	slices.Sort(a.unknown)
}

// defined says whether something that lives defines an Application of git.
func (a *alive) defined(base *side, app *inventory.Application, seen []*inventory.Application) bool {
	if app.Set != "" && a.at[live{argo.Server, setKey(app.Metadata.Namespace, app.Set)}] != nil {
		return true
	}
	return slices.ContainsFunc(app.Parents, func(p *inventory.Application) bool {
		if slices.Contains(seen, p) {
			return false
		}
		return base.applications[p.Key()] != nil || a.defined(base, p, append(seen, p))
	})
}

// foreign says whether an Application that is not in git reads another repository, as far as one can tell: none of what it owns is where
// it reads.
func (a *alive) foreign(app *inventory.Application) bool {
	if a.last(app.Key()) != nil {
		return false
	}
	for _, s := range app.Spec.AllSources() {
		if !a.known[argo.Repository(s.RepoURL)] {
			return true
		}
	}
	wants := a.git.base.Expand(app).Standing()
	return len(app.Targets) > 0 && !slices.ContainsFunc(app.Targets, func(t inventory.Target) bool { _, ok := wants[t.Key]; return ok })
}

// applied says whether something that syncs by itself applies an Application.
func (a *alive) applied(base *side, app *inventory.Application, seen []*inventory.Application) bool {
	return slices.ContainsFunc(app.Parents, func(p *inventory.Application) bool {
		lives := p
		if apps := base.applications[p.Key()]; len(apps) > 0 {
			lives = apps[0]
		}
		if lives.Spec.SyncPolicy.Syncs() {
			return true
		}
		return p.Spec.SyncPolicy.Syncs() && !slices.Contains(seen, p) && a.applied(base, p, append(seen, p))
	})
}

// after returns an Application as it is once the head is applied: what git says, and what only the live one has. Where nothing applies it
// by itself and git does not change it, it is what lives.
func (a *alive) after(base, head *side, lives, is *inventory.Application) *inventory.Application {
	if is.Set != "" {
		return is // a set writes the whole specification
	}
	was, next := any(nil), field(is.Object.Body, "spec")
	before := a.last(lives.Key())
	if before != nil && before.Set == "" {
		was = field(before.Object.Body, "spec")
	}
	now := field(lives.Object.Body, "spec")
	spec := merge(was, next, now)
	if reflect.DeepEqual(was, next) && !a.applied(base, is, nil) {
		spec = now
	}
	if reflect.DeepEqual(spec, next) {
		return is
	}
	body := maps.Clone(is.Object.Body)
	body["spec"] = spec
	merged := new(argo.Application)
	if err := argo.Decode(body, merged); err != nil {
		return is
	}
	merged.Metadata = is.Metadata
	result := *is
	result.Application = merged
	if !reflect.DeepEqual(merged.Spec.AllSources(), is.Spec.AllSources()) || merged.Spec.Destination != is.Spec.Destination {
		parents := is.Parents
		result = *head.Expand(&result)
		result.Parents = parents
	}
	return &result
}

// merge returns what an apply makes of a live value: what it says, and without what it said before and does not say any more.
func merge(was, next, now any) any {
	after, ok := next.(map[string]any)
	lives, has := now.(map[string]any)
	if !ok || !has {
		return next
	}
	before, _ := was.(map[string]any)
	merged := maps.Clone(lives)
	for key := range before {
		if _, still := after[key]; !still {
			delete(merged, key)
		}
	}
	for key, value := range after {
		merged[key] = merge(before[key], value, lives[key])
	}
	return merged
}
