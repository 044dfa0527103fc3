package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// errOutdated says that the webhook configuration was changed since it was read.
var errOutdated = errors.New("the object has been modified")

// observe returns since when all webhook configurations have carried the current authority, as far as this process has seen; zero if one
// does not, or is not there. A clock that was set back begins the wait again.
func (r *Rotator) observe(confs []*admissionv1.MutatingWebhookConfiguration, s state, now time.Time) time.Time {
	lacks := func(conf *admissionv1.MutatingWebhookConfiguration) bool { return !carries(conf, s.cas[0]) }
	if len(confs) < len(r.Webhooks) || len(s.cas) == 0 || slices.ContainsFunc(confs, lacks) {
		r.carried, r.since = "", time.Time{}
		return time.Time{}
	}
	if current := string(s.cas[0].Raw); r.carried != current || now.Before(r.since) {
		r.carried, r.since = current, now
	}
	return r.since
}

// carries reports whether every webhook's bundle has the authority.
func carries(conf *admissionv1.MutatingWebhookConfiguration, ca *x509.Certificate) bool {
	for _, hook := range conf.Webhooks {
		bundle, _ := decodeBundle(hook.ClientConfig.CABundle) // what cannot be read is not the authority
		if !slices.ContainsFunc(bundle, ca.Equal) {
			return false
		}
	}
	return true
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// publish writes the bundle to every webhook of the configuration that has another, and nothing else. The test of the resource version
// makes the places in the list safe to refer to.
func (r *Rotator) publish(ctx context.Context, conf *admissionv1.MutatingWebhookConfiguration, bundle []byte) (changed bool, err error) {
	patch := []operation{{"test", "/metadata/resourceVersion", conf.ResourceVersion}}
	for i, hook := range conf.Webhooks {
		if !bytes.Equal(hook.ClientConfig.CABundle, bundle) {
			patch = append(patch, operation{"add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), bundle})
		}
	}
	if len(patch) == 1 {
		return false, nil
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return false, fmt.Errorf("encode the patch of caBundle: %w", err)
	}
	_, err = r.webhooks.Patch(ctx, conf.Name, types.JSONPatchType, text, metav1.PatchOptions{FieldManager: fieldManager})
	switch {
	case apierrors.IsInvalid(err): // how API servers answer a failed test; told apart from a refused bundle by reading again
		return false, r.outdated(ctx, conf, err)
	case err != nil:
		return false, fmt.Errorf("patch caBundle of MutatingWebhookConfiguration %s: %w", conf.Name, err)
	}
	r.metrics.rotations.WithLabelValues("bundle").Inc()
	r.Logger.Info("published the bundle of authorities", "webhook_configuration", conf.Name)
	return true, nil
}

// outdated returns errOutdated if the configuration is no longer conf, else the refusal.
func (r *Rotator) outdated(ctx context.Context, conf *admissionv1.MutatingWebhookConfiguration, refusal error) error {
	now, err := r.webhooks.Get(ctx, conf.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read MutatingWebhookConfiguration %s: %w", conf.Name, err)
	}
	if now.ResourceVersion != conf.ResourceVersion {
		return errOutdated
	}
	return fmt.Errorf("patch caBundle of MutatingWebhookConfiguration %s: %w", conf.Name, refusal)
}
