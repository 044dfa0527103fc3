package certs

import (
	"context"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
)

// secretClient and webhookClient let a test do something between a read and the write that follows it. The fake client holds a lock
// while it reacts, so that cannot be done there.
type secretClient struct {
	coreclient.SecretInterface
	*cluster
}

type webhookClient struct {
	admissionclient.MutatingWebhookConfigurationInterface
	*cluster
}

func (c *cluster) secretClient() coreclient.SecretInterface {
	return secretClient{c.fake.CoreV1().Secrets(testNamespace), c}
}

func (c *cluster) webhookClient() admissionclient.MutatingWebhookConfigurationInterface {
	return webhookClient{c.fake.AdmissionregistrationV1().MutatingWebhookConfigurations(), c}
}

func (c *cluster) interrupt() {
	c.mu.Lock()
	hook := c.beforeWrite
	c.beforeWrite = nil
	c.mu.Unlock()
	if hook != nil {
		hook()
	}
}

func (s secretClient) Apply(ctx context.Context, secret *applycorev1.SecretApplyConfiguration, o metav1.ApplyOptions) (*corev1.Secret, error) {
	s.interrupt()
	return s.SecretInterface.Apply(ctx, secret, o)
}

func (s secretClient) Update(ctx context.Context, secret *corev1.Secret, o metav1.UpdateOptions) (*corev1.Secret, error) {
	s.interrupt()
	return s.SecretInterface.Update(ctx, secret, o)
}

func (w webhookClient) Patch(ctx context.Context, name string, t types.PatchType, patch []byte, o metav1.PatchOptions, sub ...string) (*admissionv1.MutatingWebhookConfiguration, error) {
	w.interrupt()
	return w.MutatingWebhookConfigurationInterface.Patch(ctx, name, t, patch, o, sub...)
}

// The fake client does not stream lists; the reflector asks.
func (secretClient) IsWatchListSemanticsUnSupported() bool  { return true }
func (webhookClient) IsWatchListSemanticsUnSupported() bool { return true }
