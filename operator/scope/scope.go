// Package scope says which namespaces may have sidecars, and which classes may be delivered where. Admission, delivery and the re-check
// ask here, so that none of them does what another would not.
//
// The rule for admission is in the webhook configurations, for it is the API server that follows it: a namespace is in scope when the
// selector of one of their webhooks selects its labels. It is read from there each time it is needed, so there is no second copy to
// differ from it. A class text may hold credentials, and who may create pods in a namespace chooses their labels: that a pod says it has
// a sidecar is no reason to bring a text to a namespace where no pod may have one.
package scope

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// Scope is the rule.
type Scope struct {
	// Live reads from the API server.
	Live client.Reader
	// Webhooks are the names of the webhook configurations.
	Webhooks []string
	// Exempt are namespaces that are never in scope, whatever the webhook configurations say.
	Exempt []string
	// Also are classes that go to namespaces which need not be in scope: to pods that mount them without being injected.
	Also []Grant
}

// Grant is one class for one namespace.
type Grant struct{ Namespace, Class string }

// ParseGrant reads NAMESPACE/CLASS.
func ParseGrant(text string) (Grant, error) {
	namespace, name, _ := strings.Cut(text, "/")
	if len(validation.IsDNS1123Label(namespace)) > 0 || class.ValidName(name) != nil {
		return Grant{}, fmt.Errorf("%q is not NAMESPACE/CLASS", text)
	}
	return Grant{namespace, name}, nil
}

// Exempts says whether a namespace is never in scope. It is all that admission has to ask: the API server has looked at the rest.
func (s *Scope) Exempts(namespace string) bool { return slices.Contains(s.Exempt, namespace) }

// Grants says whether a class may be delivered to a namespace that is not in scope.
func (s *Scope) Grants(namespace, class string) bool {
	return slices.Contains(s.Also, Grant{namespace, class})
}

// Holds says whether a namespace is in scope now.
func (s *Scope) Holds(ctx context.Context, namespace string) (bool, error) {
	if s.Exempts(namespace) {
		return false, nil
	}
	selectors, err := s.selectors(ctx)
	if err != nil {
		return false, err
	}
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := s.Live.Get(ctx, client.ObjectKey{Name: namespace}, ns); err != nil {
		return false, fmt.Errorf("reading the labels of the namespace: %w", err)
	}
	return selects(selectors, ns), nil
}

// Namespaces are those that are in scope now and stay.
func (s *Scope) Namespaces(ctx context.Context) (map[string]bool, error) {
	selectors, err := s.selectors(ctx)
	if err != nil {
		return nil, err
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := s.Live.List(ctx, list); err != nil {
		return nil, fmt.Errorf("listing namespaces: %w", err)
	}
	names := map[string]bool{}
	for i := range list.Items {
		if ns := &list.Items[i]; ns.DeletionTimestamp == nil && !s.Exempts(ns.Name) && selects(selectors, ns) {
			names[ns.Name] = true
		}
	}
	return names, nil
}

func selects(selectors []labels.Selector, ns *metav1.PartialObjectMetadata) bool {
	return slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(ns.Labels)) })
}

// selectors are those of all webhooks. A configuration that is not there selects nothing, but not all of them may be missing: then
// nothing is known.
func (s *Scope) selectors(ctx context.Context) (all []labels.Selector, err error) {
	var missing error
	found := 0
	for _, name := range s.Webhooks {
		conf := &admissionregistrationv1.MutatingWebhookConfiguration{}
		switch err := s.Live.Get(ctx, client.ObjectKey{Name: name}, conf); {
		case apierrors.IsNotFound(err):
			missing = err
			continue
		case err != nil:
			return nil, fmt.Errorf("reading the webhook configuration, whose selector says which namespaces may have sidecars: %w", err)
		}
		found++
		for _, hook := range conf.Webhooks {
			selector := labels.Everything() // which is what the API server takes none for
			if hook.NamespaceSelector != nil {
				if selector, err = metav1.LabelSelectorAsSelector(hook.NamespaceSelector); err != nil {
					return nil, fmt.Errorf("the webhook configuration %s: %w", name, err)
				}
			}
			all = append(all, selector)
		}
	}
	if found == 0 {
		return nil, fmt.Errorf("no webhook configuration says which namespaces may have sidecars: %w", missing)
	}
	return all, nil
}
