// Package protect is the belt in the cluster: admission policies that refuse the deletion of what holds state, and an audit of what
// would not survive one.
//
// A policy refuses each DELETE of a protected object, whoever asks: people, GitOps controllers, the garbage collector, operators. The
// deletion of a namespace is refused at the Namespace itself: once that is accepted the namespace controller empties it, and refusing
// its requests one by one would only leave a namespace that never ends.
//
// A deletion is approved by an annotation on the object with a time until when, at most a day ahead. Admission policies know no time;
// the leases of the API servers, which each renews every few seconds, are the clock. Where there is no such lease every protected
// deletion is refused.
//
// It does not protect against who may change the policies themselves, write annotations on protected objects, or delete a disk
// outside Kubernetes.
package protect

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Approval is the annotation that approves the deletion of an object until the time that it says, in RFC 3339.
const Approval = "guard.holdfast.dev/approve-deletion-until"

// Name is that of the policy and of its binding.
const Name = "holdfast-guard-protect"

// Kind is a kind of objects that are protected.
type Kind struct {
	Group, Resource string // the resource in the plural
}

// ParseKind reads statefulsets.apps, or persistentvolumes.
func ParseKind(s string) (Kind, error) {
	resource, group, _ := strings.Cut(s, ".")
	if !regexp.MustCompile(`^[a-z]+$`).MatchString(resource) || group != "" && !regexp.MustCompile(`^[a-z0-9.-]+$`).MatchString(group) {
		return Kind{}, fmt.Errorf("%q is no kind: write resource.group, as in statefulsets.apps", s)
	}
	return Kind{group, resource}, nil
}

// DefaultKinds hold state, or take it with them.
var DefaultKinds = []Kind{{"", "namespaces"}, {"", "persistentvolumes"}, {"", "persistentvolumeclaims"}, {"apps", "statefulsets"}}

// Options are what is protected.
type Options struct {
	// Namespaces are those whose objects are protected, themselves, and the volumes that their claims have. None means all but the
	// system's own.
	Namespaces []string
	// Kinds are added to DefaultKinds.
	Kinds []Kind
	// Audit only writes what would be refused into the audit log, and warns.
	Audit bool
}

const (
	// clock is the newest renewal that is known.
	approved = `has(oldObject.metadata.annotations) && '` + Approval + `' in oldObject.metadata.annotations` +
		` && timestamp(oldObject.metadata.annotations['` + Approval + `']) > timestamp(params.spec.renewTime)` +
		` && timestamp(oldObject.metadata.annotations['` + Approval + `']) < timestamp(params.spec.renewTime) + duration('24h')`
	// emptied is what goes with a namespace whose deletion was approved and has begun.
	emptied = `namespaceObject != null && has(namespaceObject.metadata.deletionTimestamp)` +
		` && has(namespaceObject.metadata.annotations) && '` + Approval + `' in namespaceObject.metadata.annotations`
)

// Policies makes the policy and its binding.
func Policies(o Options) (*admissionv1.ValidatingAdmissionPolicy, *admissionv1.ValidatingAdmissionPolicyBinding, error) {
	var errs []error
	for _, ns := range o.Namespaces {
		if !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`).MatchString(ns) {
			errs = append(errs, fmt.Errorf("%q is no name of a namespace", ns))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	fail, deny := admissionv1.Fail, admissionv1.DenyAction
	policy := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicy"}, ObjectMeta: metav1.ObjectMeta{Name: Name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &fail,
			ParamKind:        &admissionv1.ParamKind{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: rules(o.Kinds)},
			MatchConditions:  []admissionv1.MatchCondition{{Name: "protected", Expression: protected(o.Namespaces)}},
			Validations: []admissionv1.Validation{{
				Expression: "(" + approved + ") || (" + emptied + ")",
				MessageExpression: `'holdfast-guard protects ' + request.resource.resource + ' ' + (has(request.namespace) && request.resource.resource != 'namespaces' ? request.namespace + '/' : '') + request.name + '. ` +
					`To delete it, a person sets the annotation ` + Approval + ` on it to a time within 24 hours, as 2006-01-02T15:04:05Z.'`,
			}},
		},
	}
	actions := []admissionv1.ValidationAction{admissionv1.Deny}
	if o.Audit {
		actions = []admissionv1.ValidationAction{admissionv1.Audit, admissionv1.Warn}
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicyBinding"}, ObjectMeta: metav1.ObjectMeta{Name: Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: Name, ValidationActions: actions, ParamRef: &admissionv1.ParamRef{
			Namespace: metav1.NamespaceSystem, ParameterNotFoundAction: &deny,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"apiserver.kubernetes.io/identity": "kube-apiserver"}},
		}},
	}
	return policy, binding, nil
}

// rules match the deletions of all versions of the kinds.
func rules(more []Kind) (all []admissionv1.NamedRuleWithOperations) {
	byGroup := map[string][]string{}
	var groups []string
	for _, k := range slices.Concat(DefaultKinds, more) {
		if byGroup[k.Group] == nil {
			groups = append(groups, k.Group)
		}
		if !slices.Contains(byGroup[k.Group], k.Resource) {
			byGroup[k.Group] = append(byGroup[k.Group], k.Resource)
		}
	}
	for _, g := range groups {
		all = append(all, admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Delete},
			Rule:       admissionv1.Rule{APIGroups: []string{g}, APIVersions: []string{"*"}, Resources: byGroup[g]},
		}})
	}
	return all
}

var system = []string{"kube-system", "kube-public", "kube-node-lease"}

// protected is an expression for the objects that a request is about. A volume is protected with the namespace of its claim; where all
// namespaces are protected every volume is.
func protected(namespaces []string) string {
	names, not := namespaces, ""
	if len(names) == 0 {
		names, not = system, "!"
	}
	list := "['" + strings.Join(names, "', '") + "']"
	volume := "true"
	if not == "" {
		volume = "has(oldObject.spec.claimRef) && oldObject.spec.claimRef.namespace in " + list
	}
	return fmt.Sprintf("request.resource.group == '' && request.resource.resource == 'namespaces' ? %[1]s(request.name in %[2]s)"+
		" : request.resource.group == '' && request.resource.resource == 'persistentvolumes' ? %[3]s"+
		" : !has(request.namespace) || %[1]s(request.namespace in %[2]s)", not, list, volume)
}

// YAML is the policy and its binding, for kubectl apply. The same options have the same bytes.
func YAML(o Options) ([]byte, error) {
	policy, binding, err := Policies(o)
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for _, v := range []any{policy, binding} {
		b, err := yaml.Marshal(v)
		if err != nil {
			return nil, err
		}
		text := string(b)
		for _, empty := range []string{"  creationTimestamp: null\n", "status: {}\n"} {
			text = strings.ReplaceAll(text, empty, "")
		}
		all.WriteString("---\n" + text)
	}
	return all.Bytes(), nil
}
