package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// MaxObjects is how many objects of one cluster are read. A cluster with more is an error.
const MaxObjects = 2_000_000

// page is how many objects one request asks for, and atOnce how many kinds are listed at once.
const page, atOnce = 500, 4

// Cluster is an API server that is asked.
type Cluster struct {
	// Servers are what Argo CD calls it: the server or the name of destinations. The first cluster is Argo CD's own, and has argo.Server
	// too.
	Servers []string
	// Name is what people call it.
	Name   string
	Config *rest.Config
}

// Options are how clusters are asked.
type Options struct {
	// Namespace is Argo CD's own, argocd by default.
	Namespace string
	// Secrets has the clusters asked for Secrets too. Whoever may list their metadata may read their values.
	Secrets bool
	// Names has the servers of clusters' names.
	Names map[string]string
	most  int // objects of one cluster
}

// Read asks clusters what lives. The first is the one that Argo CD is in.
func Read(ctx context.Context, clusters []Cluster, o Options) (*State, error) {
	if len(clusters) == 0 {
		return nil, errors.New("no cluster is to be asked")
	}
	if o.Namespace == "" {
		o.Namespace = argo.DefaultNamespace
	}
	if o.most == 0 {
		o.most = MaxObjects
	}
	s := &State{clusters: make(map[string]*contents), names: maps.Clone(o.Names), scopes: make(map[object.Kind]bool)}
	if s.names == nil {
		s.names = make(map[string]string)
	}
	clusters = slices.Clone(clusters)
	if !slices.Contains(clusters[0].Servers, argo.Server) {
		clusters[0].Servers = append([]string{argo.Server}, clusters[0].Servers...)
	}
	readers := make([]*reader, len(clusters))
	for n := range clusters {
		r, err := newReader(&clusters[n], o)
		if err == nil && n == 0 {
			s.settings, err = r.settings(ctx, o.Namespace)
		}
		if err == nil {
			r.of = &s.settings
			err = r.read(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("asking the cluster %s: %w", clusters[n].Name, err)
		}
		readers[n] = r
	}
	return s, s.gather(readers)
}

// gather joins what was read of all clusters.
func (s *State) gather(readers []*reader) error {
	var applications []*controlled
	for n, r := range readers {
		s.asked = append(s.asked, fmt.Sprintf("the cluster %s, with %d objects", r.cluster.Name, len(r.objects)))
		s.unknown = append(s.unknown, r.unknown...)
		maps.Copy(s.scopes, r.scopes)
		for _, server := range r.cluster.Servers {
			s.clusters[strings.TrimSuffix(server, "/")] = &contents{objects: slices.Clone(r.objects), all: true, unread: r.unread}
		}
		if n > 0 {
			continue
		}
		for _, o := range r.objects {
			if o.GroupKind() == argo.ApplicationKind {
				a, err := control(o)
				if err != nil {
					return err
				}
				applications = append(applications, a)
			}
		}
	}
	if err := s.needed(readers, applications); err != nil {
		return err
	}
	s.named(applications)
	s.sort()
	return nil
}

// needed says which kinds that Applications have could not be read: those that are forbidden are an error, those that nobody asked for are
// unknown; and which clusters of theirs were not asked.
func (s *State) needed(readers []*reader, applications []*controlled) error {
	wanted, absent := make(map[string]map[object.Kind]bool), make(map[string]bool)
	for _, a := range applications {
		server := a.destination.Cluster(s.names)
		if s.clusters[server] == nil {
			absent[server] = true
			continue
		}
		if wanted[server] == nil {
			wanted[server] = make(map[object.Kind]bool)
		}
		for _, r := range a.resources {
			wanted[server][r.Key.Canonical().GroupKind()] = true
		}
	}
	for _, r := range readers {
		kinds := maps.Clone(always)
		for _, server := range r.cluster.Servers {
			maps.Copy(kinds, wanted[strings.TrimSuffix(server, "/")])
		}
		if err := r.lacks(kinds); err != nil {
			return fmt.Errorf("asking the cluster %s: %w", r.cluster.Name, err)
		}
		s.unknown = append(s.unknown, r.left(kinds)...)
	}
	if len(absent) > 0 {
		s.unknown = append(s.unknown, fmt.Sprintf("clusters that Applications deploy to and that were not asked: %s: which objects live there is what the "+
			"status of Applications said when they were last compared, and what protects them is from git", some(slices.Collect(maps.Keys(absent)))))
	}
	return nil
}

// reader reads one cluster.
type reader struct {
	cluster *Cluster
	options Options
	of      *settings
	direct  discovery.DiscoveryInterface
	whole   dynamic.Interface
	meta    metadata.Interface

	mu      sync.Mutex
	objects []*plan.LiveObject
	count   int
	unread  map[object.Kind]bool
	refused map[object.Kind]string // with the resource, as a rule of a ClusterRole names it
	scopes  map[object.Kind]bool
	unknown []string
}

func newReader(c *Cluster, o Options) (*reader, error) {
	r := &reader{cluster: c, options: o, unread: make(map[object.Kind]bool), refused: make(map[object.Kind]string), scopes: make(map[object.Kind]bool)}
	var err error
	if r.direct, err = discovery.NewDiscoveryClientForConfig(c.Config); err != nil {
		return nil, err
	}
	if r.whole, err = dynamic.NewForConfig(c.Config); err != nil {
		return nil, err
	}
	r.meta, err = metadata.NewForConfig(c.Config)
	return r, err
}

// settings reads Argo CD's.
func (r *reader) settings(ctx context.Context, namespace string) (settings, error) {
	o, err := r.whole.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(namespace).Get(ctx, settingsName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return settings{}, fmt.Errorf("there is no ConfigMap %s/%s: Argo CD is in another cluster or in another namespace (--argocd-namespace)", namespace, settingsName)
	}
	if err != nil {
		return settings{}, fmt.Errorf("reading Argo CD's settings, the ConfigMap %s/%s: %w", namespace, settingsName, err)
	}
	return parseSettings(namespace, texts(o.Object["data"]))
}

// read lists every kind that is to be read.
func (r *reader) read(ctx context.Context) error {
	kinds, err := r.kinds()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next, errs := make(chan resource), make(chan error, atOnce)
	for range atOnce {
		go func() {
			var err error
			for k := range next {
				if err == nil {
					if err = r.list(ctx, k); err != nil {
						cancel()
					}
				}
			}
			errs <- err
		}()
	}
	for _, k := range kinds {
		next <- k
	}
	close(next)
	var failed error
	for range atOnce {
		if err := <-errs; err != nil && (failed == nil || errors.Is(failed, context.Canceled)) {
			failed = err
		}
	}
	if failed != nil {
		return failed
	}
	r.once()
	return nil
}

// once leaves out objects that came a second time, by another group.
func (r *reader) once() {
	slices.SortFunc(r.objects, func(a, b *plan.LiveObject) int { return a.Key.Compare(b.Key) })
	seen := make(map[object.Key]bool, len(r.objects))
	uids := make(map[string]bool, len(r.objects))
	r.objects = slices.DeleteFunc(r.objects, func(o *plan.LiveObject) bool {
		again := seen[o.Key] || o.UID != "" && uids[o.UID]
		seen[o.Key], uids[o.UID] = true, true
		return again
	})
}
