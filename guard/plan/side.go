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

// side is one of the two revisions: what is in force in it.
type side struct {
	*inventory.Inventory
	// applications has the definitions of each Application that may be in force: more than one where two parents, or nobody known,
	// define it.
	applications map[object.Key][]*inventory.Application
	projects     map[object.Key]*inventory.Project
	sets         map[object.Key]*inventory.Set
}

func newSide(i *inventory.Inventory) *side {
	s := &side{Inventory: i, applications: make(map[object.Key][]*inventory.Application), projects: make(map[object.Key]*inventory.Project), sets: make(map[object.Key]*inventory.Set)}
	beaten := s.beaten()
	for _, a := range i.Applications {
		if !beaten[a.Origin] {
			s.applications[a.Key()] = append(s.applications[a.Key()], a)
		}
	}
	for _, p := range i.Projects {
		if !beaten[p.Origin] {
			s.projects[object.Key{Group: object.ArgoGroup, Kind: "AppProject", Namespace: p.Metadata.Namespace, Name: p.Metadata.Name}] = p
		}
	}
	for _, set := range i.Sets {
		if !beaten[set.Origin] {
			s.sets[setKey(set.Metadata.Namespace, set.Metadata.Name)] = set
		}
	}
	return s
}

func setKey(namespace, name string) object.Key {
	return object.Key{Group: object.ArgoGroup, Kind: "ApplicationSet", Namespace: cmp.Or(namespace, argo.DefaultNamespace), Name: name}
}

// beaten finds the definitions that another one of the same Application beats wherever they are read.
func (s *side) beaten() map[inventory.Origin]bool {
	standing, lost := make(map[inventory.Origin]bool), make(map[inventory.Origin]bool)
	for _, a := range s.Applications {
		last := make(map[object.Key]inventory.Origin)
		for _, t := range a.Targets {
			if t.Object.Group != object.ArgoGroup {
				continue
			}
			if before, ok := last[t.Key]; ok {
				lost[before] = true
			}
			last[t.Key] = t.Origin
		}
		for _, origin := range last {
			standing[origin] = true
		}
	}
	maps.DeleteFunc(lost, func(origin inventory.Origin, _ bool) bool { return standing[origin] })
	return lost
}

// apps returns the Applications in force in the order of their keys.
func (s *side) apps() []*inventory.Application {
	var all []*inventory.Application
	for _, key := range sortedKeys(s.applications) {
		all = append(all, s.applications[key]...)
	}
	return all
}

func sortedKeys[V any](m map[object.Key]V) []object.Key {
	return slices.SortedFunc(maps.Keys(m), object.Key.Compare)
}

// project returns the project of an Application, nil where the tree does not have it.
func (s *side) project(a *argo.Application) *inventory.Project {
	return s.projects[object.Key{Group: object.ArgoGroup, Kind: "AppProject", Namespace: a.Metadata.Namespace, Name: cmp.Or(a.Spec.Project, "default")}]
}

// destination returns the destination of an Application with both the server and the name of the cluster, where they are known.
func (s *side) destination(a *argo.Application, clusters map[string]string) argo.Destination {
	d := a.Spec.Destination
	if d.Server == "" {
		d.Server = d.Cluster(clusters)
		if d.Server == d.Name {
			d.Server = "" // the name of a cluster that nobody has told of
		}
	} else if d.Name == "" {
		for name, server := range clusters {
			if server == d.Server {
				d.Name = name
			}
		}
		if d.Server == argo.Server {
			d.Name = argo.InCluster
		}
	}
	return d
}

// permits says whether the project of an Application permits one of its objects. Of a project that is not known it says yes.
func (s *side) permits(p *inventory.Project, key object.Key, d argo.Destination) bool {
	return p == nil || p.Permits(key, s.Scopes.Namespaced(key.GroupKind()), d)
}

// refusal says why the project of an Application has Argo CD refuse its specification, nothing where it does not.
func (s *side) refusal(a *inventory.Application, clusters map[string]string) string {
	p := s.project(a.Application)
	if p == nil {
		return ""
	}
	if d := s.destination(a.Application, clusters); !p.PermitsDestination(d) {
		return fmt.Sprintf("its project %s does not permit the destination %s, namespace %q", p.Metadata.Name, a.Spec.Destination.Cluster(clusters), d.Namespace)
	}
	for _, source := range a.Spec.AllSources() {
		if !p.PermitsSource(source.RepoURL) {
			return fmt.Sprintf("its project %s does not permit the repository %s", p.Metadata.Name, source.RepoURL)
		}
	}
	return ""
}
