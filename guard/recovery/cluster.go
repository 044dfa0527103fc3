package recovery

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// manager is the field manager of what is applied.
const manager = "holdfast-guard-recover"

// What is written on objects.
const (
	// annotationWas keeps what a frozen workload's replicas were.
	annotationWas = "guard.holdfast.dev/replicas-before"
	// annotationAutomated keeps what an Application's automated sync was, as JSON.
	annotationAutomated = "guard.holdfast.dev/automated-before"
	// annotationPlan is the ID of the plan that made a claim.
	annotationPlan = "guard.holdfast.dev/recovery-plan"
)

// Cluster is a live one. It may be used by several goroutines.
type Cluster struct {
	// UID is that of the namespace kube-system.
	UID    string
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
	dryRun bool // every write is one
}

// Connect finds out which cluster it is.
func Connect(ctx context.Context, config *rest.Config) (*Cluster, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	c := &Cluster{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))}
	system, err := c.get(ctx, Ref{APIVersion: "v1", Kind: "Namespace", Name: "kube-system"})
	if err != nil {
		return nil, fmt.Errorf("finding out which cluster this is: %w", err)
	}
	c.UID = string(system.GetUID())
	return c, nil
}

// Client is the one that it uses.
func (c *Cluster) Client() dynamic.Interface { return c.client }

// dry returns the same cluster, with every write as a dry run of the API server's.
func (c *Cluster) dry() *Cluster {
	d := *c
	d.dryRun = true
	return &d
}

func (c *Cluster) dryRunOption() []string {
	if c.dryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// resource finds what serves a kind, asking anew once when it is not known.
func (c *Cluster) resource(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	m, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		m, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.client.Resource(m.Resource).Namespace(namespace), nil
	}
	return c.client.Resource(m.Resource), nil
}

func (c *Cluster) of(r Ref) (dynamic.ResourceInterface, error) {
	return c.resource(schema.FromAPIVersionAndKind(r.APIVersion, r.Kind), r.Namespace)
}

func (c *Cluster) get(ctx context.Context, r Ref) (*unstructured.Unstructured, error) {
	i, err := c.of(r)
	if err != nil {
		return nil, err
	}
	return i.Get(ctx, r.Name, metav1.GetOptions{})
}

// find is get, with nil for what is not there, be it that its kind is not.
func (c *Cluster) find(ctx context.Context, r Ref) (*unstructured.Unstructured, error) {
	o, err := c.get(ctx, r)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	return o, err
}

func (c *Cluster) list(ctx context.Context, apiVersion, kind, namespace string) ([]unstructured.Unstructured, error) {
	i, err := c.resource(schema.FromAPIVersionAndKind(apiVersion, kind), namespace)
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []unstructured.Unstructured
	o := metav1.ListOptions{Limit: 500}
	for {
		l, err := i.List(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("listing every %s: %w", kind, err)
		}
		all = append(all, l.Items...)
		if o.Continue = l.GetContinue(); o.Continue == "" {
			return all, nil
		}
	}
}

func (c *Cluster) apply(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	i, err := c.of(refOf(o))
	if err != nil {
		return nil, err
	}
	return i.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true, DryRun: c.dryRunOption()})
}

func (c *Cluster) create(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	i, err := c.of(refOf(o))
	if err != nil {
		return nil, err
	}
	return i.Create(ctx, o, metav1.CreateOptions{FieldManager: manager, DryRun: c.dryRunOption()})
}

func (c *Cluster) patch(ctx context.Context, r Ref, kind types.PatchType, patch any) (*unstructured.Unstructured, error) {
	i, err := c.of(r)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	return i.Patch(ctx, r.Name, kind, b, metav1.PatchOptions{FieldManager: manager, DryRun: c.dryRunOption()})
}

func volumeRef(name string) Ref { return Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: name} }

func claimRef(namespace, name string) Ref {
	return Ref{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: namespace, Name: name}
}
