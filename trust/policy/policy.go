// Package policy writes the ClusterImagePolicy by which policy-controller admits images: one authority for each key and each place where
// signatures are, and a rule for each that ends when the key does.
//
// It promises never to write a policy without authorities, which policy-controller would admit every image by. It does not talk to a cluster.
package policy

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// Resource is that of ClusterImagePolicies.
var Resource = schema.GroupVersionResource{Group: "policy.sigstore.dev", Version: "v1beta1", Resource: "clusterimagepolicies"}

// DefaultName is the policy's name.
const DefaultName = "holdfast"

// Options are how a policy is made.
type Options struct {
	// Name is the object's.
	Name string
	// Images are globs of references; the default is all. A single * does not cross a slash.
	Images []string
	// Warn admits what the policy refuses, with a warning. It is for the first days in a cluster.
	Warn bool
}

// own is the end of the name of the authority whose signatures are beside the image; others end with the number of their source.
const own = "own"

// Build makes the policy of a list. Keys that have ended are left out; when none is left, the policy refuses every image.
func Build(l *keylist.List, now time.Time, o Options) (*unstructured.Unstructured, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if len(o.Images) == 0 {
		o.Images = []string{"**"}
	}
	var images, authorities []any
	for _, glob := range o.Images {
		images = append(images, map[string]any{"glob": glob})
	}
	var rules strings.Builder
	rules.WriteString("package sigstore\ndefault isCompliant = false\n")
	for _, k := range l.Usable(now) {
		pem, err := key.MarshalPEM(k.Public)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		for i, source := range append([]string{""}, l.Sources...) {
			a := map[string]any{"name": authority(k.ID, i), "key": map[string]any{"data": string(pem), "hashAlgorithm": "sha256"}}
			if source != "" {
				if err := keylist.CheckSource(source); err != nil { // which would keep policy-controller from reading any policy
					return nil, err
				}
				a["source"] = []any{map[string]any{"oci": source}}
			}
			authorities = append(authorities, a)
			fmt.Fprintf(&rules, "isCompliant { input.authorityMatches[%q]; time.now_ns() >= %d; time.now_ns() < %d }\n", authority(k.ID, i), k.NotBefore.UnixNano(), k.NotAfter.UnixNano())
		}
	}
	spec := map[string]any{"images": images, "mode": "enforce", "authorities": authorities,
		"policy": map[string]any{"type": "rego", "data": rules.String()}}
	if len(authorities) == 0 {
		spec["authorities"] = []any{map[string]any{"name": "no-key", "static": map[string]any{"action": "fail", "message": "no signing key counts any more"}}}
		delete(spec, "policy")
	}
	if o.Warn {
		spec["mode"] = "warn"
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": Resource.GroupVersion().String(),
		"kind":       "ClusterImagePolicy",
		"metadata":   map[string]any{"name": o.Name, "labels": map[string]any{"app.kubernetes.io/managed-by": "holdfast-trust"}},
		"spec":       spec,
	}}, nil
}

// authority names the authority of a key and a source, of which 0 is the image's own repository.
func authority(id key.ID, source int) string {
	where := own
	if source > 0 {
		where = fmt.Sprintf("source-%d", source)
	}
	return fmt.Sprintf("%s-%d-%s", id.Name, id.Version, where)
}

// Ready says whether policy-controller has taken the policy in as it is, and what it says when it has not.
func Ready(p *unstructured.Unstructured) (ready bool, message string) {
	observed, _, _ := unstructured.NestedInt64(p.Object, "status", "observedGeneration")
	if observed != p.GetGeneration() {
		return false, "policy-controller has not looked at it yet"
	}
	conditions, _, _ := unstructured.NestedSlice(p.Object, "status", "conditions")
	for _, c := range conditions {
		c, ok := c.(map[string]any)
		if !ok || c["type"] != "Ready" {
			continue
		}
		text, _ := c["message"].(string)
		return c["status"] == "True", text
	}
	return false, "policy-controller says nothing about it"
}
