package recovery

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

const boundByController = "pv.kubernetes.io/bound-by-controller"

// typed converts what the API server gave.
func typed[T any](o *unstructured.Unstructured) (*T, error) {
	var v T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &v); err != nil {
		return nil, fmt.Errorf("reading %s: %w", refOf(o), err)
	}
	return &v, nil
}

// handle names the disk behind a volume: two objects with one handle are the same disk.
func handle(pv *corev1.PersistentVolume) string {
	if csi := pv.Spec.CSI; csi != nil {
		return "csi:" + csi.Driver + "/" + csi.VolumeHandle
	}
	b, err := json.Marshal(pv.Spec.PersistentVolumeSource) // the field names sort it
	if err != nil || len(b) <= 2 {
		return "none"
	}
	var source map[string]any
	if json.Unmarshal(b, &source) != nil {
		return "none"
	}
	kinds := slices.Sorted(maps.Keys(source))
	text := strings.TrimSuffix(strings.TrimPrefix(string(b), `{"`+kinds[0]+`":`), "}")
	return kinds[0] + ":" + text
}

// source makes the source that a handle names, as far as a scratch cluster needs it.
func source(handle string) (map[string]any, error) {
	kind, rest, _ := strings.Cut(handle, ":")
	if kind == "csi" {
		driver, id, _ := strings.Cut(rest, "/")
		return map[string]any{"csi": map[string]any{"driver": driver, "volumeHandle": id}}, nil
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(rest), &m); err != nil {
		return nil, fmt.Errorf("the disk %q is of no kind that can be made up: %w", handle, err)
	}
	return map[string]any{kind: m}, nil
}

func capacity(pv *corev1.PersistentVolume) string {
	q := pv.Spec.Capacity[corev1.ResourceStorage]
	return q.String()
}

func candidate(pv *corev1.PersistentVolume) Candidate {
	c := Candidate{Volume: pv.Name, Handle: handle(pv), Capacity: capacity(pv), Class: pv.Spec.StorageClassName, Mode: string(corev1.PersistentVolumeFilesystem)}
	if pv.Spec.ClaimRef != nil {
		c.ClaimUID = string(pv.Spec.ClaimRef.UID)
	}
	for _, m := range pv.Spec.AccessModes {
		c.Modes = append(c.Modes, string(m))
	}
	if pv.Spec.VolumeMode != nil {
		c.Mode = string(*pv.Spec.VolumeMode)
	}
	return c
}

// claimOf is the claim that a volume belongs to, as namespace/name, or empty.
func claimOf(pv *corev1.PersistentVolume) string {
	if pv == nil || pv.Spec.ClaimRef == nil {
		return ""
	}
	return pv.Spec.ClaimRef.Namespace + "/" + pv.Spec.ClaimRef.Name
}

// object is the claim that is made for a volume. It asks for that volume by name, has its class even when that is empty, and has
// neither a selector nor a source.
func (c *Claim) object(v Candidate, plan string) *unstructured.Unstructured {
	request := c.Request
	if request == "" {
		request = v.Capacity
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"spec": map[string]any{
			"volumeName": v.Volume, "storageClassName": v.Class, "volumeMode": v.Mode, "accessModes": anySlice(v.Modes),
			"resources": map[string]any{"requests": map[string]any{"storage": request}},
		},
	}}
	o.SetNamespace(c.Namespace)
	o.SetName(c.Name)
	o.SetLabels(c.Labels)
	annotations := maps.Clone(c.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationPlan] = plan[:min(len(plan), 12)]
	o.SetAnnotations(annotations)
	return o
}

func (c *Claim) key() string { return c.Namespace + "/" + c.Name }

func anySlice(s []string) []any {
	all := make([]any, len(s))
	for i := range s {
		all[i] = s[i]
	}
	return all
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func escape(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

// reservation is the patch that lets only one claim name take a volume. It fails when the volume has changed since it was read: it
// tests the resource version. Where the volume has a claimRef only the UID and the resource version go from it.
func reservation(pv *corev1.PersistentVolume, namespace, name string) []operation {
	ops := []operation{
		{Op: "test", Path: "/metadata/resourceVersion", Value: pv.ResourceVersion},
		{Op: "add", Path: "/spec/persistentVolumeReclaimPolicy", Value: string(corev1.PersistentVolumeReclaimRetain)},
	}
	ref := pv.Spec.ClaimRef
	if ref == nil {
		claim := map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name}
		return append(ops, operation{Op: "add", Path: "/spec/claimRef", Value: claim})
	}
	ops = append(ops, operation{Op: "test", Path: "/spec/claimRef/namespace", Value: namespace}, operation{Op: "test", Path: "/spec/claimRef/name", Value: name})
	if ref.UID != "" {
		ops = append(ops, operation{Op: "remove", Path: "/spec/claimRef/uid"})
	}
	if ref.ResourceVersion != "" {
		ops = append(ops, operation{Op: "remove", Path: "/spec/claimRef/resourceVersion"})
	}
	if _, ok := pv.Annotations[boundByController]; ok {
		ops = append(ops, operation{Op: "remove", Path: "/metadata/annotations/" + escape(boundByController)})
	}
	return ops
}
