package argo

import (
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Difference says of which fields of which objects Argo CD is to ignore that git has them otherwise.
type Difference struct {
	Group                 string   `json:"group"`
	Kind                  string   `json:"kind"`
	Name                  string   `json:"name"`
	Namespace             string   `json:"namespace"`
	JSONPointers          []string `json:"jsonPointers"`
	JQPathExpressions     []string `json:"jqPathExpressions"`
	ManagedFieldsManagers []string `json:"managedFieldsManagers"`
}

// builtIn are managers of Kubernetes itself, which write no sync options.
var builtIn = []string{"kube-controller-manager", "kube-scheduler", "kubelet"}

// annotations says whether annotations are among the ignored fields, as far as one can tell.
func (d *Difference) annotations() bool {
	const at = "/metadata/annotations"
	return slices.ContainsFunc(d.JSONPointers, func(p string) bool {
		option, below := strings.CutPrefix(p, at+"/")
		return p == "" || p == "/metadata" || p == at || below && strings.ReplaceAll(option, "~1", "/") == SyncOptions
	}) || slices.ContainsFunc(d.JQPathExpressions, func(e string) bool {
		e = strings.TrimSpace(e)
		return e == "." || e == ".metadata" || strings.Contains(e, "..") || strings.Contains(e, "annotations")
	}) || slices.ContainsFunc(d.ManagedFieldsManagers, func(m string) bool { return !slices.Contains(builtIn, m) })
}

// IgnoresAnnotations says whether the annotations that git gives an object may never come to be live.
func (s *Spec) IgnoresAnnotations(k object.Key) bool {
	return slices.ContainsFunc(s.IgnoreDifferences, func(d Difference) bool {
		named := (d.Name == "" || d.Name == k.Name) && (d.Namespace == "" || d.Namespace == k.Namespace)
		return named && matches(d.Group, k.Group) && matches(d.Kind, k.Kind) && d.annotations()
	})
}
