package recovery

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func TestAParentIsKnownByAnnotationByLabelAndByTheSetOfItsChild(t *testing.T) {
	object := func(kind, name, uid string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": kind}}
		o.SetName(name)
		o.SetUID(types.UID(uid))
		return o
	}
	annotated, labelled, both, own := object(kindApplication, "app", ""), object(kindApplication, "app", ""), object(kindApplication, "app", ""), object(kindApplication, "app", "")
	annotated.SetAnnotations(map[string]string{trackingID: "argocd_root:argoproj.io/Application:argocd/app"})
	labelled.SetLabels(map[string]string{instance: "root"})
	both.SetAnnotations(map[string]string{trackingID: "root:argoproj.io/Application:argocd/app"})
	both.SetLabels(map[string]string{instance: "chart"}) // Helm's, which says nothing of Argo CD
	own.SetLabels(map[string]string{instance: "app"})
	for what, c := range map[string]struct {
		o    *unstructured.Unstructured
		want string
	}{
		"an annotation": {annotated, "root"}, "a label": {labelled, "root"}, "both": {both, "root"}, "its own name": {own, ""}, "nothing": {object(kindApplication, "app", ""), ""},
	} {
		if got := parentOf(c.o); got != c.want {
			t.Errorf("%s: the parent is %q, want %q", what, got, c.want)
		}
	}
	set := object(kindSet, "app", "u")
	set.SetLabels(map[string]string{instance: "app"})
	if got := parentOf(set); got != "app" {
		t.Errorf("a set may be called as its parent is: %q", got)
	}
	sets := []unstructured.Unstructured{*object(kindSet, "other", "v"), *set}
	made := object(kindApplication, "made", "")
	made.SetOwnerReferences([]metav1.OwnerReference{{Kind: kindSet, Name: "app", UID: "u"}})
	if got := setOf(made, sets); got == nil || got.GetUID() != "u" || setOf(labelled, sets) != nil {
		t.Errorf("the set of it is %v", got)
	}
}
