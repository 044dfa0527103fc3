package inventory

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// controls finds the Applications, sets and projects of the tree, and the objects of each Application.
func (i *Inventory) controls(ctx context.Context) error {
	for _, f := range i.Files {
		if f.Bad != nil || f.Skipped || i.rendered(f.Path) {
			continue
		}
		for n := range f.Objects {
			origin := Origin{f.Path, &f.Objects[n]}
			if !object.Control()[origin.Object.GroupKind()] {
				continue
			}
			i.controlled[origin] = true
			if err := i.control(origin); err != nil {
				i.Refused = append(i.Refused, Refused{origin, err})
			}
		}
	}
	for _, set := range i.Sets {
		i.generate(set)
	}
	return i.expandAll(ctx, i.Applications)
}

// expandAll finds the objects of Applications, and of those that they render, several at once.
func (i *Inventory) expandAll(ctx context.Context, wave []*Application) error {
	for len(wave) > 0 {
		var wg sync.WaitGroup
		next := make(chan *Application)
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for a := range next {
					i.expand(ctx, a)
				}
			})
		}
		for _, a := range wave {
			if ctx.Err() != nil {
				break
			}
			next <- a
		}
		close(next)
		wg.Wait()
		if err := ctx.Err(); err != nil {
			return err
		}
		var added []*Application
		for _, a := range wave {
			added = append(added, i.children(a)...)
		}
		wave = added
	}
	return nil
}

func (i *Inventory) control(origin Origin) error {
	switch o := origin.Object; o.GroupKind() {
	case argo.ApplicationKind:
		a, err := argo.ParseApplication(o)
		if err != nil {
			return err
		}
		i.resolve(&a.Spec)
		i.Applications = append(i.Applications, &Application{Application: a, Origin: origin})
	case argo.ApplicationSetKind:
		set, err := argo.ParseSet(o)
		if err != nil {
			return err
		}
		i.Sets = append(i.Sets, &Set{Set: set, Origin: origin})
	case argo.ProjectKind:
		p, err := argo.ParseProject(o)
		if err != nil {
			return err
		}
		i.Projects = append(i.Projects, &Project{Project: p, Origin: origin})
	}
	return nil
}

// resolve has sources read the folders that links in their paths lead to, as Argo CD does.
func (i *Inventory) resolve(spec *argo.Spec) {
	if spec.Source != nil && i.elsewhere(spec.Source) == "" {
		spec.Source.Path = tree.Resolve(i.tree, spec.Source.Path)
	}
	for n := range spec.Sources {
		if s := &spec.Sources[n]; i.elsewhere(s) == "" {
			s.Path = tree.Resolve(i.tree, s.Path)
		}
	}
}

// generate adds the Applications of a set.
func (i *Inventory) generate(set *Set) {
	for _, g := range set.Spec.Generators {
		if g.Git != nil {
			if why := i.elsewhere(&argo.Source{RepoURL: g.Git.RepoURL}); why != "" {
				set.Unanalysed = append(set.Unanalysed, "the git generator reads "+g.Git.RepoURL)
				return
			}
		}
	}
	made, err := set.Applications(i.tree, i.Options.Clusters)
	if err != nil {
		set.Broken = err
		return
	}
	set.Generated, set.Unanalysed = len(made.All), made.Unanalysed
	for _, a := range made.All {
		i.resolve(&a.Spec)
		i.Applications = append(i.Applications, &Application{Application: a, Origin: set.Origin, Set: set.Metadata.Name})
	}
}

// expand finds the objects of an Application.
func (i *Inventory) expand(ctx context.Context, a *Application) {
	sources := a.Spec.AllSources()
	if len(sources) == 0 {
		a.Broken = errors.New("it has no source")
	}
	for n := range sources {
		i.source(ctx, a, n, &sources[n])
	}
}

// source finds the objects of one source.
func (i *Inventory) source(ctx context.Context, a *Application, n int, s *argo.Source) {
	if why := i.elsewhere(s); why != "" {
		a.Unanalysed = append(a.Unanalysed, why)
		return
	}
	s.Path = tree.Resolve(i.tree, s.Path) // of an Application that lives, and is not of the tree
	overridden, err := s.Overridden(i.tree, a.Metadata.Name)
	if err == nil {
		_, err = overridden.Explicit()
	}
	if err != nil {
		a.fail(err)
		return
	}
	tool := argo.ToolOf(&overridden, i.tree.Files())
	if tool != "" {
		i.opaque(a, &overridden, tool)
	}
	switch tool {
	case "":
	case argo.DirectoryTool:
		i.directory(ctx, a, n, &overridden)
	default:
		i.tool(ctx, a, n, &overridden, tool)
	}
}

// elsewhere says why a source is not in the tree.
func (i *Inventory) elsewhere(s *argo.Source) string {
	switch {
	case s.Chart != "":
		return fmt.Sprintf("the chart %s is in %s", s.Chart, s.RepoURL)
	case s.Hydrated:
		return fmt.Sprintf("the path %s is of the branch %s, into which its source hydrator writes", s.Path, s.TargetRevision)
	case s.Fixed():
		return fmt.Sprintf("the path %s is of the commit %s, and not of what is read", s.Path, s.TargetRevision)
	case len(i.Options.Repositories) == 0:
		return ""
	}
	if !slices.ContainsFunc(i.Options.Repositories, func(url string) bool { return argo.Repository(url) == argo.Repository(s.RepoURL) }) {
		return fmt.Sprintf("the path %s is in %s, and not in the repository that is read", s.Path, s.RepoURL)
	}
	return ""
}

// directory adds the objects of a folder.
func (i *Inventory) directory(ctx context.Context, a *Application, source int, s *argo.Source) {
	selection, err := argo.Select(s)
	if err != nil {
		a.Broken = err
		return
	}
	for _, f := range selection.Files(i.tree.Files()) {
		file := i.File(f.Path)
		switch {
		case file == nil && !manifest(f.Path):
			i.jsonnet(ctx, a, source, s, f.Path)
		case file == nil || file.Skipped:
		case file.Bad != nil:
			if file.Bad.Message == pointed {
				a.Unanalysed = append(a.Unanalysed, f.Path+": "+pointed)
			}
			if file.Bad.Manifest {
				a.Broken = fmt.Errorf("%s: %w", f.Path, file.Bad)
			}
		default:
			i.add(a, source, file)
		}
	}
}

// add adds the objects of a file.
func (i *Inventory) add(a *Application, source int, file *File) {
	for n := range file.Objects {
		o := &file.Objects[n]
		a.Targets = append(a.Targets, Target{Key: i.Scopes.Normalise(o.Key, a.Spec.Destination.Namespace), Origin: Origin{file.Path, o}, Source: source})
	}
}

// Standing returns the targets of an Application that stand: of those with one key the last. Objects that get their name from the API
// server are all there.
func (a *Application) Standing() map[object.Key]Target {
	standing := make(map[object.Key]Target, len(a.Targets))
	for n, t := range a.Targets {
		if t.Object.Generated {
			t.Key.Name = fmt.Sprintf("%s#%d", t.Key.Name, n)
		}
		standing[t.Key] = t
	}
	return standing
}

// Hook says whether an object is a hook of a sync, or of Helm: Argo CD runs those, and does not prune them like others.
func (t *Target) Hook() bool {
	_, hook := t.Object.Annotations[argo.Hook]
	_, helm := t.Object.Annotations[argo.HelmHook]
	return hook || helm
}

// Expand reads what an Application would own if it were defined like that in this tree.
func (i *Inventory) Expand(definition *Application) *Application {
	a := &Application{Application: definition.Application, Origin: definition.Origin, Set: definition.Set}
	i.expand(context.Background(), a) // the engine has limits of its own
	return a
}
