package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
)

// SecretWatch keeps a Serving up to date with one Secret of the operator's namespace. It watches this one by name, so that no right on
// other Secrets is needed and no other Secret is held in memory.
type SecretWatch struct {
	Secret  string // its name
	Serving *Serving
	Logger  *slog.Logger

	secrets coreclient.SecretInterface
}

// NewSecretWatch returns a watch of the Secret of a default installation. secrets are those of the operator's namespace.
func NewSecretWatch(secrets coreclient.SecretInterface, serving *Serving) *SecretWatch {
	return &SecretWatch{Secret: "holdfast-operator-tls", Serving: serving, Logger: slog.New(slog.DiscardHandler), secrets: secrets}
}

// Start watches until ctx ends. A Secret that is missing or empty is waited for; one that is removed leaves the certificate served.
func (w *SecretWatch) Start(ctx context.Context) error {
	return watchSecret(ctx, w.secrets, w.Secret, w.Logger, w.Serving.metrics, func(secret *corev1.Secret) {
		if secret == nil || len(secret.Data) == 0 {
			return
		}
		if err := w.Serving.Update(secret); err != nil {
			w.Logger.Warn("certificate not taken", "error", err)
		}
	})
}

// NeedLeaderElection says that every replica watches.
func (w *SecretWatch) NeedLeaderElection() bool { return false }

// watchSecret calls changed with the Secret now and after every change, and with nil when it was removed. It returns when ctx ends.
func watchSecret(ctx context.Context, secrets coreclient.SecretInterface, name string, logger *slog.Logger, m *metrics, changed func(*corev1.Secret)) error {
	return watchOne(ctx, "Secret", name, &corev1.Secret{}, &cache.ListWatch{
		ListWithContextFunc:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return secrets.List(ctx, o) },
		WatchFuncWithContext: secrets.Watch,
	}, secrets, logger, m, func(o runtime.Object) {
		secret, _ := o.(*corev1.Secret)
		changed(secret)
	})
}

// watch has Trigger called on every change of the Secret and of the webhook configurations until ctx ends.
func (r *Rotator) watch(ctx context.Context) error {
	var secret error
	hooks := make([]error, len(r.Webhooks))
	var watches sync.WaitGroup
	watches.Go(func() {
		secret = watchSecret(ctx, r.secrets, r.Secret, r.Logger, r.metrics, func(*corev1.Secret) { r.Trigger() })
	})
	for i, name := range r.Webhooks {
		watches.Go(func() {
			hooks[i] = watchOne(ctx, "MutatingWebhookConfiguration", name, &admissionv1.MutatingWebhookConfiguration{}, &cache.ListWatch{
				ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
					return r.webhooks.List(ctx, o)
				},
				WatchFuncWithContext: r.webhooks.Watch,
			}, r.webhooks, r.Logger, r.metrics, func(runtime.Object) { r.Trigger() })
		})
	}
	watches.Wait()
	return errors.Join(append(hooks, secret)...)
}

// watchOne watches the one object of that name; the server selects it.
func watchOne(ctx context.Context, kind, name string, example runtime.Object, lw *cache.ListWatch, client any, logger *slog.Logger, m *metrics, changed func(runtime.Object)) error {
	selected := fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	named := *lw
	named.ListWithContextFunc = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		o.FieldSelector = selected
		return lw.ListWithContextFunc(ctx, o)
	}
	named.WatchFuncWithContext = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		o.FieldSelector = selected
		return lw.WatchFuncWithContext(ctx, o)
	}
	informer := cache.NewSharedInformer(cache.ToListWatcherWithWatchListSemantics(&named, client), example, 0)
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			m.errors.WithLabelValues("watch").Inc()
			logger.Warn("watch interrupted", "kind", kind, "name", name, "error", err)
		}
	})
	if err != nil {
		return fmt.Errorf("watch %s %s: %w", kind, name, err)
	}
	notify := func(o any, removed bool) {
		if known, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = known.Obj
		}
		object, ok := o.(runtime.Object)
		if meta, is := o.(metav1.Object); !ok || !is || meta.GetName() != name {
			return
		}
		if removed {
			object = nil
		}
		changed(object)
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { notify(o, false) },
		UpdateFunc: func(_, o any) { notify(o, false) },
		DeleteFunc: func(o any) { notify(o, true) },
	})
	if err != nil {
		return fmt.Errorf("watch %s %s: %w", kind, name, err)
	}
	informer.RunWithContext(ctx)
	return nil
}
