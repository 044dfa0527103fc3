package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// ErrNotEmpty tells that a cluster has something in it, and is no scratch.
var ErrNotEmpty = errors.New("the cluster is not empty, and a rehearsal only runs in one that is")

// Rehearse runs a whole plan against a scratch API server with its controller manager: an empty cluster, in which it makes up the
// volumes of the plan as they are after the loss, the controllers that the plan stops, the definitions that it needs, and what people
// bring (Secrets without values, restored claims). Pods become ready in name only where the scratch has no nodes. Checks do not run.
// Questions about volumes and data must have answers, as in an emergency; what people confirm is taken as confirmed.
//
// The scratch is left as the plan leaves it, so that it can be looked at.
func Rehearse(ctx context.Context, r *Run) ([]Finding, error) {
	if err := empty(ctx, r.Cluster); err != nil {
		return nil, err
	}
	plan, err := r.Plan.rehearsed(r.Cluster.UID)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rehearsal-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	run := &Run{Plan: plan, Manifests: r.Manifests, Cluster: r.Cluster, Dir: dir, Journal: filepath.Join(dir, "journal"), Progress: r.Progress, unchecked: true}
	if err := run.prepare(); err != nil {
		return nil, err
	}
	set := &scene{Run: run}
	if err := set.make(ctx); err != nil {
		return nil, fmt.Errorf("making up the cluster of the rehearsal: %w", err)
	}
	within, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		set.kubelet(within)
	}()
	err = run.Apply(ctx)
	end()
	<-ended
	if err != nil {
		return nil, err
	}
	return run.Verify(ctx)
}

// rehearsed is the plan for a scratch cluster.
func (p *Plan) rehearsed(uid string) (*Plan, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var c Plan
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, err
	}
	c.Cluster = uid
	var open []Question
	for i := range c.Questions {
		q := &c.Questions[i]
		if q.Answer == "" && q.Before == phaseName(2) {
			open = append(open, *q)
		} else if q.Answer == "" {
			q.Answer = q.Choices[0].Answer
		}
	}
	if len(open) > 0 {
		return nil, &AskError{Questions: open}
	}
	c.Steps(func(_ *Phase, s *Step) bool {
		if s.Action == Quiet {
			s.For = "1s"
		}
		return true
	})
	return &c, nil
}

// empty refuses a cluster that anybody could miss.
func empty(ctx context.Context, c *Cluster) error {
	system := []string{"default", "kube-system", "kube-public", "kube-node-lease"}
	namespaces, err := c.list(ctx, "v1", "Namespace", "")
	if err != nil {
		return err
	}
	for _, ns := range namespaces {
		if !slices.Contains(system, ns.GetName()) {
			return fmt.Errorf("%w: it has the namespace %s", ErrNotEmpty, ns.GetName())
		}
	}
	for _, k := range []schema.GroupVersionKind{
		{Version: "v1", Kind: "PersistentVolume"}, {Version: "v1", Kind: "PersistentVolumeClaim"}, {Version: "v1", Kind: "Pod"},
		{Group: "apps", Version: "v1", Kind: "StatefulSet"}, {Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "DaemonSet"},
		{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
	} {
		objects, err := c.list(ctx, k.GroupVersion().String(), k.Kind, "")
		if err != nil {
			return err
		}
		if len(objects) > 0 {
			return fmt.Errorf("%w: it has the %s %s", ErrNotEmpty, k.Kind, objects[0].GetName())
		}
	}
	return nil
}

// scene is what a rehearsal finds.
type scene struct {
	*Run
	nodes bool // are there, with kubelets of their own
}

func (c *scene) make(ctx context.Context) error {
	nodes, err := c.Cluster.list(ctx, "v1", "Node", "")
	if err != nil {
		return err
	}
	c.nodes = len(nodes) > 0
	if err := c.definitions(ctx); err != nil {
		return err
	}
	recreated := map[string]bool{}
	c.Plan.Steps(func(_ *Phase, s *Step) bool {
		recreated[s.Volume] = s.Action == Recreate
		return true
	})
	c.Plan.Steps(func(p *Phase, s *Step) bool {
		err = c.props(ctx, p, s, recreated)
		return err == nil
	})
	return err
}

// props makes what one step finds.
func (c *scene) props(ctx context.Context, p *Phase, s *Step, recreated map[string]bool) error {
	switch {
	case s.Action == Rebind:
		for _, v := range s.Claim.Volumes {
			if recreated[v.Volume] {
				continue
			}
			if err := c.volume(ctx, v, s.Claim.Namespace, s.Claim.Name); err != nil {
				return err
			}
		}
	case s.Action == Scale && p.Number == 0:
		return c.put(ctx, controller(s))
	case s.Action == PauseSync:
		return c.put(ctx, application(s))
	case s.Action == AwaitKeys && !c.moot(s):
		data := map[string]any{}
		for _, k := range s.Keys {
			data[k] = ""
		}
		return c.put(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"namespace": s.Object.Namespace, "name": s.Object.Name}, "data": data}})
	case s.Action == Restored && !c.moot(s):
		return c.restored(ctx, s)
	}
	return nil
}

// put makes an object, and the namespace that it is in.
func (c *scene) put(ctx context.Context, o *unstructured.Unstructured) error {
	if ns := o.GetNamespace(); ns != "" {
		_, err := c.Cluster.create(ctx, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	_, err := c.Cluster.create(ctx, o)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%s: %w", refOf(o), err)
	}
	return nil
}

// volume makes one that has lost its claim.
func (c *scene) volume(ctx context.Context, v Candidate, namespace, name string) error {
	spec, err := source(v.Handle)
	if err != nil {
		return err
	}
	uid := orElse(v.ClaimUID, "00000000-0000-0000-0000-000000000000")
	maps.Copy(spec, map[string]any{
		"capacity": map[string]any{"storage": v.Capacity}, "accessModes": anySlice(v.Modes), "volumeMode": v.Mode, "storageClassName": v.Class,
		"persistentVolumeReclaimPolicy": "Retain",
		"claimRef":                      map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name, "uid": uid},
	})
	return c.put(ctx, (&Step{Volume: v.Volume, Spec: spec}).volume())
}

// restored makes the claims that a person would bring back from a backup.
func (c *scene) restored(ctx context.Context, s *Step) error {
	for i, key := range s.Claims {
		namespace, name := split(key)
		v := Candidate{Volume: fmt.Sprintf("rehearsal-%s-%s-%d", namespace, name, i), Handle: "csi:rehearsal/" + key, Capacity: "1Gi", Modes: []string{"ReadWriteOnce"}, Mode: "Filesystem"}
		spec, _ := source(v.Handle)
		maps.Copy(spec, map[string]any{"capacity": map[string]any{"storage": v.Capacity}, "accessModes": anySlice(v.Modes), "persistentVolumeReclaimPolicy": "Retain",
			"claimRef": map[string]any{"namespace": namespace, "name": name}})
		claim := &Claim{Namespace: namespace, Name: name}
		if err := errors.Join(c.put(ctx, (&Step{Volume: v.Volume, Spec: spec}).volume()), c.put(ctx, claim.object(v, "rehearsal"))); err != nil {
			return err
		}
	}
	return nil
}

// controller stands in for one that the plan stops.
func controller(s *Step) *unstructured.Unstructured {
	labels := map[string]any{"rehearsal": s.Object.Name}
	spec := map[string]any{
		"replicas": *s.Was, "selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "controller", "image": "rehearsal"}}}},
	}
	if s.Object.Kind == "StatefulSet" {
		spec["serviceName"] = s.Object.Name
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": s.Object.APIVersion, "kind": s.Object.Kind,
		"metadata": map[string]any{"namespace": s.Object.Namespace, "name": s.Object.Name}, "spec": spec}}
}

func application(s *Step) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": s.Object.APIVersion, "kind": s.Object.Kind,
		"metadata": map[string]any{"namespace": s.Object.Namespace, "name": s.Object.Name},
		"spec":     map[string]any{"syncPolicy": map[string]any{"automated": s.Automated}}}}
}

// definitions makes those of the kinds that the plan names, and neither the scratch nor the manifests have. They check nothing.
func (c *scene) definitions(ctx context.Context) error {
	own := c.Manifests.defined()
	made := map[schema.GroupKind]bool{}
	var err error
	c.Plan.Steps(func(_ *Phase, s *Step) bool {
		if s.Object == nil {
			return true
		}
		gvk := schema.FromAPIVersionAndKind(s.Object.APIVersion, s.Object.Kind)
		if _, ok := own[object.Kind(gvk.GroupKind())]; ok || made[gvk.GroupKind()] {
			return true
		}
		if _, rerr := c.Cluster.resource(gvk, ""); !meta.IsNoMatchError(rerr) {
			err = rerr
			return err == nil
		}
		made[gvk.GroupKind()] = true
		err = c.put(ctx, definition(gvk, s.Object.Namespace != ""))
		return err == nil
	})
	if err != nil {
		return err
	}
	return c.served(ctx, made)
}

func definition(gvk schema.GroupVersionKind, namespaced bool) *unstructured.Unstructured {
	plural, singular := meta.UnsafeGuessKindToResource(gvk)
	scope := "Cluster"
	if namespaced {
		scope = "Namespaced"
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural.Resource + "." + gvk.Group, "annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, a rehearsal"}},
		"spec": map[string]any{"group": gvk.Group, "scope": scope,
			"names": map[string]any{"kind": gvk.Kind, "plural": plural.Resource, "singular": singular.Resource, "listKind": gvk.Kind + "List"},
			"versions": []any{map[string]any{"name": gvk.Version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}}}
}

// served waits until the definitions count.
func (c *scene) served(ctx context.Context, kinds map[schema.GroupKind]bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for kind := range kinds {
		for {
			c.Cluster.mapper.Reset()
			if _, err := c.Cluster.mapper.RESTMapping(kind); err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the definition of %s is not served: %w", kind, ctx.Err())
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	return nil
}

// kubelet makes pods ready in name, until its context ends. Errors are of objects that come and go; a pod that stays as it is stops the
// rehearsal by its step's timeout.
func (c *scene) kubelet(ctx context.Context) {
	if c.nodes {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pods, err := c.Cluster.list(ctx, "v1", "Pod", "")
		if err != nil {
			continue
		}
		for i := range pods {
			c.run(ctx, &pods[i])
		}
	}
}

// run makes one pod ready, once its claims are bound.
func (c *scene) run(ctx context.Context, pod *unstructured.Unstructured) {
	if phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase"); phase != "Pending" || !c.bound(ctx, pod) {
		return
	}
	now := time.Now().UTC().Format(time.RFC3339)
	var all []any
	for _, t := range []string{"Initialized", "ContainersReady", "Ready"} {
		all = append(all, map[string]any{"type": t, "status": "True", "lastTransitionTime": now})
	}
	status := map[string]any{"phase": "Running", "startTime": now, "conditions": all}
	if owners := pod.GetOwnerReferences(); slices.ContainsFunc(owners, func(o metav1.OwnerReference) bool { return o.Kind == "Job" }) {
		status["phase"] = "Succeeded"
	}
	pod.Object["status"] = status
	pods, err := c.Cluster.of(refOf(pod))
	if err == nil {
		_, _ = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}) // it may have changed; the next round sees it
	}
}

func (c *scene) bound(ctx context.Context, pod *unstructured.Unstructured) bool {
	spec, err := podSpec(pod)
	if err != nil {
		return false
	}
	for _, v := range spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := c.Cluster.find(ctx, claimRef(pod.GetNamespace(), v.PersistentVolumeClaim.ClaimName))
		if err != nil || claim == nil {
			return false
		}
		if phase, _, _ := unstructured.NestedString(claim.Object, "status", "phase"); !strings.EqualFold(phase, "Bound") {
			return false
		}
	}
	return true
}
