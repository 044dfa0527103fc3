//go:build e2e

package argocd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// resource is a kind that is watched.
type resource struct {
	schema.GroupVersionResource
	kind string
}

func kind(group, version, plural, name string) resource {
	return resource{schema.GroupVersionResource{Group: group, Version: version, Resource: plural}, name}
}

// watched are the kinds whose objects are looked after.
var watched = []resource{
	kind("", "v1", "namespaces", "Namespace"),
	kind("", "v1", "pods", "Pod"),
	kind("", "v1", "services", "Service"),
	kind("", "v1", "configmaps", "ConfigMap"),
	kind("", "v1", "secrets", "Secret"),
	kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
	kind("apps", "v1", "statefulsets", "StatefulSet"),
	kind("batch", "v1", "jobs", "Job"),
	kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
	kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole"),
	kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
	kind(object.ArgoGroup, "v1alpha1", "applications", "Application"),
	kind(object.ArgoGroup, "v1alpha1", "applicationsets", "ApplicationSet"),
	kind(object.ArgoGroup, "v1alpha1", "appprojects", "AppProject"),
}

// applications are watched whole.
var (
	applications    = schema.GroupVersionResource{Group: object.ArgoGroup, Version: "v1alpha1", Resource: "applications"}
	applicationSets = schema.GroupVersionResource{Group: object.ArgoGroup, Version: "v1alpha1", Resource: "applicationsets"}
)

// item is an object that lives.
type item struct {
	uid      types.UID
	deleting bool
	owner    string // the Application that its tracking data names; none for what it does not track
}

// application is the state of an Application.
type application struct {
	name      string
	version   uint64   // of the object
	revisions []string // last compared, one for each source
	synced    bool     // what git has is there
	phase     string   // of the last operation
	operated  []string // on what commits, one for each source
	results   int      // how many objects it came to
	pending   bool     // an operation is asked for, and has not begun
	refresh   bool     // is asked for, and has not come yet
	deleting  bool
	resources map[object.Key]bool // that it counts as its own
}

// watch follows all objects of a cluster that have to do with a case.
type watch struct {
	tracking  Tracking
	client    dynamic.Interface
	informers map[resource]cache.SharedIndexInformer
	apps      cache.SharedIndexInformer
	cancel    context.CancelFunc
	wait      func()

	mu     sync.Mutex
	said   map[string][]string // what Argo CD said of an Application, each text once
	before map[string][]string // what it said before heard was to start anew
}

// startWatch returns when all that there is is known.
func startWatch(ctx context.Context, config *rest.Config, tracking Tracking) (*watch, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("watching the cluster: %w", err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("watching the cluster: %w", err)
	}
	w := &watch{tracking: tracking, client: client, informers: make(map[resource]cache.SharedIndexInformer), said: make(map[string][]string), before: make(map[string][]string)}
	objects := metadatainformer.NewSharedInformerFactory(meta, 0)
	for _, r := range watched {
		w.informers[r] = objects.ForResource(r.GroupVersionResource).Informer()
	}
	whole := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	w.apps = whole.ForResource(applications).Informer()
	if _, err := w.apps.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.listen(o) },
		UpdateFunc: func(_, o any) { w.listen(o) },
	}); err != nil {
		return nil, fmt.Errorf("watching the cluster: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel, w.wait = cancel, func() { objects.Shutdown(); whole.Shutdown() }
	objects.Start(running.Done())
	whole.Start(running.Done())
	for r, ok := range objects.WaitForCacheSync(ctx.Done()) {
		if !ok {
			w.stop()
			return nil, fmt.Errorf("watching the cluster: %s did not come", r.Resource)
		}
	}
	if !cache.WaitForCacheSync(ctx.Done(), w.apps.HasSynced) {
		w.stop()
		return nil, errors.New("watching the cluster: the Applications did not come")
	}
	return w, nil
}

func (w *watch) stop() {
	w.cancel()
	w.wait()
}

// objects returns all that live and have to do with a case.
func (w *watch) objects(name string) map[object.Key]item {
	found := make(map[object.Key]item)
	for r, informer := range w.informers {
		for _, o := range informer.GetStore().List() {
			m := o.(*metav1.PartialObjectMetadata)
			k := object.Key{Group: r.Group, Kind: r.kind, Namespace: m.Namespace, Name: m.Name}
			if !strings.HasPrefix(k.Namespace, name+"-") && !strings.HasPrefix(k.Name, name+"-") || k.Name == "kube-root-ca.crt" {
				continue
			}
			found[k] = item{uid: m.UID, deleting: m.DeletionTimestamp != nil, owner: w.owner(m)}
		}
	}
	return found
}

// owner returns the Application that an object is tracked by.
func (w *watch) owner(m *metav1.PartialObjectMetadata) string {
	if w.tracking == ByLabel {
		return m.Labels["app.kubernetes.io/instance"]
	}
	app, _, _ := strings.Cut(m.Annotations["argocd.argoproj.io/tracking-id"], ":")
	return app
}

// applications returns the Applications of a case, by name.
func (w *watch) applications(name string) map[string]application {
	found := make(map[string]application)
	for _, o := range w.apps.GetStore().List() {
		u := o.(*unstructured.Unstructured)
		if strings.HasPrefix(u.GetName(), name+"-") {
			found[u.GetName()] = read(u.Object, u)
		}
	}
	return found
}

func read(body map[string]any, u *unstructured.Unstructured) application {
	a := application{name: u.GetName(), version: versionOf(u, true, nil), deleting: u.GetDeletionTimestamp() != nil, resources: make(map[object.Key]bool)}
	_, a.refresh = u.GetAnnotations()["argocd.argoproj.io/refresh"]
	a.revisions, _, _ = unstructured.NestedStringSlice(body, "status", "sync", "revisions")
	if one, _, _ := unstructured.NestedString(body, "status", "sync", "revision"); one != "" {
		a.revisions = append(a.revisions, one)
	}
	status, _, _ := unstructured.NestedString(body, "status", "sync", "status")
	a.synced = status == "Synced"
	a.phase, _, _ = unstructured.NestedString(body, "status", "operationState", "phase")
	a.operated, _, _ = unstructured.NestedStringSlice(body, "status", "operationState", "syncResult", "revisions")
	if one, _, _ := unstructured.NestedString(body, "status", "operationState", "syncResult", "revision"); one != "" {
		a.operated = append(a.operated, one)
	}
	results, _, _ := unstructured.NestedSlice(body, "status", "operationState", "syncResult", "resources")
	_, asked := body["operation"]
	a.results, a.pending = len(results), asked && a.phase != "Running"
	resources, _, _ := unstructured.NestedSlice(body, "status", "resources")
	for _, r := range resources {
		m, _ := r.(map[string]any)
		a.resources[object.Key{Group: text(m["group"]), Kind: text(m["kind"]), Namespace: text(m["namespace"]), Name: text(m["name"])}] = true
	}
	return a
}

func text(v any) string { s, _ := v.(string); return s }

// listen keeps what Argo CD says of an Application: conditions, and how syncs went, which later ones overwrite.
func (w *watch) listen(o any) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	var said []string
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		said = append(said, text(m["type"])+": "+text(m["message"]))
	}
	if message, _, _ := unstructured.NestedString(u.Object, "status", "operationState", "message"); message != "" {
		said = append(said, "operation: "+message)
	}
	results, _, _ := unstructured.NestedSlice(u.Object, "status", "operationState", "syncResult", "resources")
	for _, r := range results {
		m, _ := r.(map[string]any)
		said = append(said, fmt.Sprintf("%s %s %s/%s: %s", text(m["status"]), text(m["kind"]), text(m["namespace"]), text(m["name"]), text(m["message"])))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range said {
		if !slices.Contains(w.said[u.GetName()], s) && !slices.Contains(w.before[u.GetName()], s) {
			w.said[u.GetName()] = append(w.said[u.GetName()], s)
		}
	}
}

// heard returns all that Argo CD said of the Applications of a case, each as "application: text" without the case's name.
func (w *watch) heard(name string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for app, said := range w.said {
		if short, ok := strings.CutPrefix(app, name+"-"); ok {
			for _, s := range said {
				all = append(all, short+": "+s)
			}
		}
	}
	slices.Sort(all)
	return all
}

// anew has heard return only what was not said before.
func (w *watch) anew(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for app, said := range w.said {
		if strings.HasPrefix(app, name+"-") {
			w.before[app] = append(w.before[app], said...)
			delete(w.said, app)
		}
	}
}

// refresh has Argo CD compare an Application with git at once. It returns the version at which the Application says so.
func (w *watch) refresh(ctx context.Context, name string) (uint64, error) {
	return w.annotate(ctx, name, "argocd.argoproj.io/refresh", "hard")
}

func (w *watch) annotate(ctx context.Context, name, key, value string) (uint64, error) {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, key, value)
	u, err := w.client.Resource(applications).Namespace(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return versionOf(u, true, err), err
}
