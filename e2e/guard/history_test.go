//go:build e2e

package guard_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// history is what was seen of an environment, by what a watch said of it: each thing with the resource version at which it first was
// so. Resource versions are those of one store and order all objects.
type history struct {
	e     *environment
	mu    sync.Mutex
	first map[string]uint64
}

// record watches from now on until the test ends.
func (e *environment) record() *history {
	e.Helper()
	client, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		e.Fatal(err)
	}
	h := &history{e: e, first: map[string]uint64{}}
	ctx, cancel := context.WithCancel(context.Background())
	var watches sync.WaitGroup
	for _, w := range []struct {
		ns, group, version, resource string
	}{
		{e.ns, "", "v1", "pods"}, {e.ns, "", "v1", "persistentvolumeclaims"}, {e.ns, "apps", "v1", "statefulsets"}, {e.ns, "apps", "v1", "deployments"},
		{e.ns, "batch", "v1", "cronjobs"}, {"argocd", "apps", "v1", "statefulsets"}, {"argocd", "argoproj.io", "v1alpha1", "applications"},
	} {
		r := client.Resource(schema.GroupVersionResource{Group: w.group, Version: w.version, Resource: w.resource}).Namespace(w.ns)
		watches.Go(func() { h.watch(ctx, r) })
	}
	e.Cleanup(func() {
		cancel()
		watches.Wait()
	})
	return h
}

func (h *history) watch(ctx context.Context, r dynamic.ResourceInterface) {
	l, err := r.List(ctx, metav1.ListOptions{})
	if err != nil {
		h.e.Errorf("watching: %v", err)
		return
	}
	w, err := r.Watch(ctx, metav1.ListOptions{ResourceVersion: l.GetResourceVersion()})
	if err != nil {
		h.e.Errorf("watching: %v", err)
		return
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-w.ResultChan():
			if !ok {
				if ctx.Err() == nil {
					h.e.Error("a watch ended")
				}
				return
			}
			if o, ok := event.Object.(*unstructured.Unstructured); ok {
				h.saw(o)
			}
		}
	}
}

func (h *history) note(o *unstructured.Unstructured, format string, args ...any) {
	version, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		h.e.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if what := fmt.Sprintf(format, args...); h.first[what] == 0 {
		h.first[what] = version
	}
}

func field(o *unstructured.Unstructured, path ...string) any {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	return v
}

func (h *history) saw(o *unstructured.Unstructured) {
	switch o.GetKind() {
	case "Pod":
		h.note(o, "pod %s", o.GetName())
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, c := range conditions {
			if m := c.(map[string]any); m["type"] == string(corev1.PodReady) && m["status"] == "True" {
				h.note(o, "Ready %s", o.GetName())
			}
		}
	case "PersistentVolumeClaim":
		if field(o, "status", "phase") == "Bound" {
			h.note(o, "Bound %s", o.GetName())
		}
	case "StatefulSet":
		h.sawSet(o)
	case "Deployment":
		h.note(o, "deployment %s", o.GetName())
		h.note(o, "deployment %s %v", o.GetName(), field(o, "spec", "replicas"))
	case "CronJob":
		if field(o, "spec", "suspend") == true {
			h.note(o, "cron %s suspended", o.GetName())
		} else {
			h.note(o, "cron %s runs", o.GetName())
		}
	case "Application":
		if field(o, "spec", "syncPolicy", "automated") != nil && h.seen("paused "+o.GetName()) {
			h.note(o, "syncs %s", o.GetName())
		} else if field(o, "spec", "syncPolicy", "automated") == nil {
			h.note(o, "paused %s", o.GetName())
		}
	}
}

func (h *history) sawSet(o *unstructured.Unstructured) {
	if o.GetNamespace() == "argocd" {
		if field(o, "spec", "replicas") == int64(0) {
			h.note(o, "frozen %s", o.GetName())
		} else if h.seen("frozen " + o.GetName()) {
			h.note(o, "thawed %s", o.GetName())
		}
		return
	}
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if containers[0].(map[string]any)["readinessProbe"] == nil {
		h.note(o, "bare %s", o.GetName())
	} else {
		h.note(o, "probes %s", o.GetName())
	}
}

func (h *history) seen(what string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first[what] != 0
}

// before fails unless both were seen, in that order.
func (h *history) before(a, b string) {
	h.e.Helper()
	deadline := time.Now().Add(30 * time.Second) // what a watch says may come after what a client was told
	for !(h.seen(a) && h.seen(b)) && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first[a] == 0 || h.first[b] == 0 || h.first[a] >= h.first[b] {
		h.e.Errorf("%q (at %d) does not come before %q (at %d)", a, h.first[a], b, h.first[b])
	}
}
