package protect

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Finding is something that would not survive a deletion.
type Finding struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Problem   string `json:"problem"`
	Mend      string `json:"mend"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s: %s", f.Kind, strings.TrimPrefix(f.Namespace+"/"+f.Name, "/"), f.Problem, f.Mend)
}

// check is what is asked of every object of a kind.
type check struct {
	resource schema.GroupVersionResource
	find     func(*unstructured.Unstructured) []Finding
}

var checks = []check{
	{schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumes"}, volume},
	{schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}, class},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}, set},
	{schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}, application},
}

// Audit looks at volumes, classes, sets and Applications, and whether the policy is in force. Findings are sorted.
func Audit(ctx context.Context, client dynamic.Interface) ([]Finding, error) {
	all := []Finding{}
	for _, c := range checks {
		objects, err := list(ctx, client, c.resource)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", c.resource.Resource, err)
		}
		for i := range objects {
			all = append(all, c.find(&objects[i])...)
		}
	}
	missing, err := inForce(ctx, client)
	if err != nil {
		return nil, err
	}
	all = append(all, missing...)
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Problem, b.Problem))
	})
	return all, nil
}

// list returns all objects of a kind; none when the cluster does not define it.
func list(ctx context.Context, client dynamic.Interface, r schema.GroupVersionResource) (all []unstructured.Unstructured, err error) {
	o := metav1.ListOptions{Limit: 500}
	for {
		l, err := client.Resource(r).List(ctx, o)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, l.Items...)
		if o.Continue = l.GetContinue(); o.Continue == "" {
			return all, nil
		}
	}
}

func inForce(ctx context.Context, client dynamic.Interface) ([]Finding, error) {
	r := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"}
	b, err := client.Resource(r).Get(ctx, Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("looking for the policy: %w", err)
	}
	if err == nil {
		if actions, _, _ := unstructured.NestedStringSlice(b.Object, "spec", "validationActions"); slices.Contains(actions, "Deny") {
			return nil, nil
		}
	}
	return []Finding{{Kind: "ValidatingAdmissionPolicyBinding", Name: Name, Problem: "nothing refuses the deletion of what holds state", Mend: "apply what holdfast-guard protect generate prints"}}, nil
}

func about(o *unstructured.Unstructured, problem, mend string) []Finding {
	return []Finding{{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), Problem: problem, Mend: mend}}
}

func text(o *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, path...)
	return s
}

func volume(o *unstructured.Unstructured) []Finding {
	policy := text(o, "spec", "persistentVolumeReclaimPolicy")
	if policy == "Retain" {
		return nil
	}
	claim := strings.TrimPrefix(text(o, "spec", "claimRef", "namespace")+"/"+text(o, "spec", "claimRef", "name"), "/")
	return about(o, fmt.Sprintf("its disk goes with the claim %s: the reclaim policy is %s", claim, policy),
		fmt.Sprintf(`kubectl patch pv %s -p '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'`, o.GetName()))
}

func class(o *unstructured.Unstructured) []Finding {
	if policy := text(o, "reclaimPolicy"); policy == "" || policy == "Delete" {
		return about(o, "volumes made from it go with their claims: its reclaim policy is Delete", "make a class with reclaimPolicy: Retain; a class cannot be changed")
	}
	return nil
}

func set(o *unstructured.Unstructured) (all []Finding) {
	for _, when := range []string{"whenDeleted", "whenScaled"} {
		if text(o, "spec", "persistentVolumeClaimRetentionPolicy", when) == "Delete" {
			all = append(all, about(o, "its claims go with it: persistentVolumeClaimRetentionPolicy."+when+" is Delete", "set it to Retain")...)
		}
	}
	return all
}

func application(o *unstructured.Unstructured) (all []Finding) {
	options, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "syncPolicy", "syncOptions")
	if prune, _, _ := unstructured.NestedBool(o.Object, "spec", "syncPolicy", "automated", "prune"); prune && !slices.Contains(options, "Prune=false") && !slices.Contains(options, "Prune=confirm") {
		all = append(all, about(o, "it prunes by itself what leaves its path", "take prune from syncPolicy.automated, or protect what holds state (Prune=false, and Delete=false)")...)
	}
	if empty, _, _ := unstructured.NestedBool(o.Object, "spec", "syncPolicy", "automated", "allowEmpty"); empty {
		all = append(all, about(o, "it prunes everything when its path is empty", "take allowEmpty from syncPolicy.automated")...)
	}
	own := o.GetAnnotations()["argocd.argoproj.io/sync-options"]
	cascades := slices.ContainsFunc(o.GetFinalizers(), func(f string) bool { return strings.HasPrefix(f, "resources-finalizer.argocd.argoproj.io") })
	if cascades && !strings.Contains(own, "Delete=") && !slices.Contains(options, "Delete=false") && !slices.Contains(options, "Delete=confirm") {
		all = append(all, about(o, "its deletion deletes everything that it made: it has the resources finalizer", "take the finalizer off, or set Delete=confirm on what holds state")...)
	}
	if !slices.Contains(options, "FailOnSharedResource=true") {
		all = append(all, about(o, "it takes over objects of other Applications", "add FailOnSharedResource=true to syncPolicy.syncOptions")...)
	}
	return all
}
