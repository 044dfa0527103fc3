package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// resource is a kind as the API server serves it.
type resource struct {
	object.Kind
	schema.GroupVersionResource
}

// always are kinds that a plan cannot do without.
var always = map[object.Kind]bool{
	{Kind: "Namespace"}: true, {Kind: "PersistentVolumeClaim"}: true, {Kind: "PersistentVolume"}: true, {Group: "apps", Kind: "StatefulSet"}: true,
	argo.ApplicationKind: true, argo.ApplicationSetKind: true, argo.ProjectKind: true,
}

// never are kinds that nobody manages from git, and of which there are many.
var never = map[object.Kind]bool{
	{Kind: "Event"}: true, {Group: "events.k8s.io", Kind: "Event"}: true, {Kind: "Endpoints"}: true, {Kind: "Node"}: true,
	{Group: "discovery.k8s.io", Kind: "EndpointSlice"}: true, {Group: "coordination.k8s.io", Kind: "Lease"}: true,
}

// bodies has the parts of the specification that are kept of kinds of which more than the metadata is read; nil is all of it.
var bodies = map[object.Kind][]string{
	argo.ApplicationKind: nil, argo.ApplicationSetKind: nil, argo.ProjectKind: nil,
	{Kind: "PersistentVolumeClaim"}:      {"volumeName", "storageClassName"},
	{Kind: "PersistentVolume"}:           {"persistentVolumeReclaimPolicy", "claimRef", "storageClassName"},
	{Group: "apps", Kind: "StatefulSet"}: {"replicas", "ordinals", "persistentVolumeClaimRetentionPolicy", "volumeClaimTemplates"},
}

// kinds returns the kinds that are to be listed.
func (r *reader) kinds() ([]resource, error) {
	lists, err := r.direct.ServerPreferredResources()
	var failed *discovery.ErrGroupDiscoveryFailed
	switch {
	case errors.As(err, &failed):
		for group := range failed.Groups {
			r.unknown = append(r.unknown, fmt.Sprintf("the cluster %s does not say which kinds %s has", r.cluster.Name, group))
		}
	case err != nil:
		return nil, fmt.Errorf("reading which kinds it has: %w", err)
	}
	var kinds []resource
	for _, l := range lists {
		version, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("reading which kinds it has: %w", err)
		}
		for _, k := range l.APIResources {
			kind := object.Kind{Group: version.Group, Kind: k.Kind}
			if strings.Contains(k.Name, "/") || !slices.Contains(k.Verbs, "list") || !slices.Contains(k.Verbs, "watch") {
				continue // Argo CD does not look at those either
			}
			r.scopes[kind] = k.Namespaced
			switch {
			case kind == secretKind && !r.options.Secrets:
				r.unread[kind] = true
			case never[kind] || !always[kind] && r.of.excludes(kind, r.cluster.Servers[0]):
				r.unread[kind] = true
			default:
				kinds = append(kinds, resource{kind, version.WithResource(k.Name)})
			}
		}
	}
	return kinds, r.control(kinds)
}

// control says that what is asked has no Argo CD, where it should.
func (r *reader) control(kinds []resource) error {
	if slices.Contains(r.cluster.Servers, argo.Server) && !slices.ContainsFunc(kinds, func(k resource) bool { return k.Kind == argo.ApplicationKind }) {
		return errors.New("it has no Applications: Argo CD is in another cluster (--context)")
	}
	return nil
}

// list reads all objects of a kind, page by page. Where a page has gone while others were read it begins again.
func (r *reader) list(ctx context.Context, k resource) error {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		found, err := r.pages(ctx, k)
		switch {
		case err == nil:
			r.mu.Lock()
			r.objects = append(r.objects, found...)
			r.mu.Unlock()
			return nil
		case apierrors.IsResourceExpired(err) && attempt < attempts:
		case apierrors.IsForbidden(err):
			r.mu.Lock()
			r.refused[k.Kind], r.unread[k.Kind] = k.GroupResource().String(), true
			r.mu.Unlock()
			return nil
		case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
			return nil // it went while it was asked for
		default:
			return fmt.Errorf("listing %s: %w", k.GroupResource(), err)
		}
	}
}

func (r *reader) pages(ctx context.Context, k resource) ([]*plan.LiveObject, error) {
	var found []*plan.LiveObject
	o := metav1.ListOptions{Limit: page}
	for {
		some, next, err := r.page(ctx, k, o)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
		r.mu.Lock()
		r.count += len(some)
		tooMany := r.count > r.options.most
		r.mu.Unlock()
		if tooMany {
			return nil, fmt.Errorf("it has more than %d objects", r.options.most)
		}
		if o.Continue = next; next == "" {
			return found, nil
		}
	}
}

// errNoList is an answer that has no version, as every list has: an empty one of something between, for one.
var errNoList = errors.New("the answer is no list of an API server")

// page reads some objects of a kind: whole where more than metadata is wanted of them.
func (r *reader) page(ctx context.Context, k resource, o metav1.ListOptions) ([]*plan.LiveObject, string, error) {
	fields, whole := bodies[k.Kind]
	if !whole {
		l, err := r.meta.Resource(k.GroupVersionResource).List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		if l.ResourceVersion == "" {
			return nil, "", errNoList
		}
		all := make([]*plan.LiveObject, len(l.Items))
		for n := range l.Items {
			all[n] = r.object(k, &l.Items[n])
		}
		return all, l.Continue, nil
	}
	l, err := r.whole.Resource(k.GroupVersionResource).List(ctx, o)
	if err != nil {
		return nil, "", err
	}
	if l.GetResourceVersion() == "" {
		return nil, "", errNoList
	}
	all := make([]*plan.LiveObject, len(l.Items))
	for n := range l.Items {
		all[n] = r.object(k, &l.Items[n])
		if all[n].Body, err = decoded(l.Items[n].Object, fields); err != nil {
			return nil, "", fmt.Errorf("%s: %w", all[n].Key, err)
		}
	}
	return all, l.GetContinue(), nil
}

// decoded returns a body as files of a repository have it, of which only some fields of the specification are kept.
func decoded(body map[string]any, fields []string) (map[string]any, error) {
	if fields != nil {
		spec, _ := body["spec"].(map[string]any)
		kept := make(map[string]any)
		for _, f := range fields {
			if v, ok := spec[f]; ok {
				kept[f] = v
			}
		}
		body = map[string]any{"spec": kept}
	}
	slim(body)
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	var of map[string]any
	return of, json.Unmarshal(text, &of)
}

// object keeps of an object's metadata what is needed.
func (r *reader) object(k resource, m metav1.Object) *plan.LiveObject {
	o := &plan.LiveObject{UID: string(m.GetUID()), Seen: true}
	o.Key = object.Key{Group: k.Kind.Group, Kind: k.Kind.Kind, Namespace: m.GetNamespace(), Name: m.GetName()}
	o.Version = k.Version
	o.Annotations, o.Labels = retained(m.GetAnnotations(), ""), retained(m.GetLabels(), r.of.label)
	for _, owner := range m.GetOwnerReferences() {
		o.Owners = append(o.Owners, string(owner.UID))
		if owner.Kind == argo.ApplicationSetKind.Kind && k.Kind == argo.ApplicationKind {
			o.Set = owner.Name
		}
	}
	o.Application, o.Copied = r.of.owner(o.Key, o.Annotations, o.Labels)
	o.Key = o.Canonical()
	return o
}

// lacks is an error that names the kinds, among those that are needed, that may not be listed.
func (r *reader) lacks(needed map[object.Kind]bool) error {
	var names []string
	for kind, name := range r.refused {
		if needed[kind] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("it does not permit to list %s in all namespaces: give the user the ClusterRole of docs/guard/live.md, with these resources", some(names))
}

// left says which kinds were not read, though Applications or namespaces may have objects of them.
func (r *reader) left(needed map[object.Kind]bool) (unknown []string) {
	if needed[secretKind] && r.unread[secretKind] {
		unknown = append(unknown, fmt.Sprintf("Secrets of the cluster %s: they are not asked for without --live-secrets", r.cluster.Name))
	}
	if len(r.refused) > 0 {
		unknown = append(unknown, fmt.Sprintf("kinds that may not be listed in the cluster %s, and that no Application there has: %s: they are not counted where a "+
			"namespace goes", r.cluster.Name, some(slices.Collect(maps.Values(r.refused)))))
	}
	return unknown
}
