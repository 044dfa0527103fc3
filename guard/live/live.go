// Package live reads what lives: which objects Argo CD counts as an Application's own, what protects them, how Applications are set up now,
// and what is in the namespaces and on the volumes that would go with them.
//
// Read asks clusters; ReadExport reads what "argocd admin export" wrote, which has the Applications with their status, and no object that
// they own. A State is a plan.Live: plans are made with it in the place of the base revision.
//
// It only gets and lists, and of most objects only their metadata. Values of Secrets are never kept: clusters are not asked for Secrets
// unless the caller wants it, and of those in an export only names and addresses of clusters are taken. Where a cluster does not answer,
// or does not permit to list what is needed, there is an error and no state; what is missing otherwise is told by Unknown. What changes
// while it is read may be seen half.
package live

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// State is what lives.
type State struct {
	settings settings
	clusters map[string]*contents
	names    map[string]string // servers of clusters' names
	scopes   map[object.Kind]bool
	asked    []string
	unknown  []string
}

// contents are what is known of one cluster.
type contents struct {
	objects []*plan.LiveObject
	// all says that the cluster was asked which kinds it has: of one that it does not have nothing lives.
	all    bool
	read   map[object.Kind]bool
	unread map[object.Kind]bool
}

// Clusters are the servers of the clusters of which something is known.
func (s *State) Clusters() []string { return slices.Sorted(maps.Keys(s.clusters)) }

// Objects are those that live in a cluster, or that the status of an Application names there.
func (s *State) Objects(cluster string) []*plan.LiveObject {
	if c := s.clusters[cluster]; c != nil {
		return c.objects
	}
	return nil
}

// Reads says whether all objects of a kind in a cluster were read.
func (s *State) Reads(cluster string, k object.Kind) bool {
	c := s.clusters[cluster]
	return c != nil && !c.unread[k] && (c.all || c.read[k])
}

// Unknown says in sentences what could not be found out.
func (s *State) Unknown() []string { return s.unknown }

// Asked says in sentences what was read.
func (s *State) Asked() []string { return s.asked }

// Names has the servers of the names that Argo CD has for clusters, as far as they are known.
func (s *State) Names() map[string]string { return s.names }

// Scopes says of the kinds that clusters have whether they are namespaced.
func (s *State) Scopes() map[object.Kind]bool { return s.scopes }

// cluster returns what is known of a cluster, and begins to know it.
func (s *State) cluster(server string) *contents {
	if s.clusters[server] == nil {
		s.clusters[server] = &contents{read: make(map[object.Kind]bool), unread: make(map[object.Kind]bool)}
	}
	return s.clusters[server]
}

// status is what the status of an Application says of one of its objects.
type status struct {
	object.Key
	Hook    bool   `json:"hook"`
	Status  string `json:"status"`
	Confirm bool   `json:"requiresDeletionConfirmation"`
	Health  struct {
		Status string `json:"status"`
	} `json:"health"`
}

// controlled is an Application that lives, with what its status says.
type controlled struct {
	key         object.Key
	destination argo.Destination
	resources   []status
}

// control reads what an Application says of its objects, and takes its status from its body.
func control(o *plan.LiveObject) (*controlled, error) {
	var of struct {
		Status struct {
			Resources []status `json:"resources"`
		} `json:"status"`
	}
	if err := argo.Decode(o.Body, &of); err != nil {
		return nil, fmt.Errorf("the status of the Application %s: %w", o.Name, err)
	}
	a, err := argo.ParseApplication(&o.Object)
	if err != nil {
		return nil, err
	}
	delete(o.Body, "status")
	return &controlled{key: o.Key, destination: a.Spec.Destination, resources: of.Status.Resources}, nil
}

// named adds the objects of which only the status of Applications says that they live.
func (s *State) named(applications []*controlled) {
	here := make(map[string]map[object.Key]bool)
	for server, c := range s.clusters {
		here[server] = make(map[object.Key]bool, len(c.objects))
		for _, o := range c.objects {
			here[server][o.Key.Canonical()] = true
		}
	}
	for _, a := range applications {
		server := a.destination.Cluster(s.names)
		for _, r := range a.resources {
			key := r.Key.Canonical()
			if r.Hook || r.Health.Status == "Missing" || s.Reads(server, key.GroupKind()) || here[server][key] {
				continue
			}
			o := &plan.LiveObject{Application: a.key, Copied: r.Status == ""}
			o.Key = key
			if r.Confirm {
				o.Annotations = map[string]string{argo.SyncOptions: "Delete=confirm"}
			}
			c := s.cluster(server)
			c.objects = append(c.objects, o)
			if here[server] == nil {
				here[server] = make(map[object.Key]bool)
			}
			here[server][key] = true
		}
	}
}

// sort gives the objects of every cluster an order.
func (s *State) sort() {
	for _, c := range s.clusters {
		slices.SortFunc(c.objects, func(a, b *plan.LiveObject) int { return cmp.Or(a.Key.Compare(b.Key), strings.Compare(a.UID, b.UID)) })
	}
	slices.Sort(s.unknown)
	s.unknown = slices.Compact(s.unknown)
}

// some names the first of many.
func some(names []string) string {
	const most = 8
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
