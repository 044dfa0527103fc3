package class

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
)

// Secret is one Secret of classes: each key is one. It is watched by its name alone, so that the operator needs no right to read others.
// A Secret that is not there has no classes.
type Secret struct {
	// Secrets are those of the operator's namespace.
	Secrets         typedcorev1.SecretInterface
	Namespace, Name string
	// Batch is how long changes are waited for to come together.
	Batch time.Duration
}

// NewSecret returns a source that batches changes for 500 ms.
func NewSecret(secrets typedcorev1.SecretInterface, namespace, name string) *Secret {
	return &Secret{Secrets: secrets, Namespace: namespace, Name: name, Batch: 500 * time.Millisecond}
}

// Kinds is KindSecret.
func (s *Secret) Kinds() []Kind { return []Kind{KindSecret} }

// Object is what events about the classes are attached to.
func (s *Secret) Object() *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: s.Namespace, Name: s.Name}
}

// Run reports the Secret's classes until ctx ends. While the API server cannot be reached, or refuses, there is no report.
func (s *Secret) Run(ctx context.Context, report func(map[Key]Raw)) error {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, s.Name).String()
	listWatch := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return s.Secrets.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return s.Secrets.Watch(ctx, o)
		},
	}
	changes := newBatch(s.Batch)
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(listWatch, s.Secrets),
		ObjectType:    &corev1.Secret{},
		Handler:       changes.handler(nil),
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		informer.RunWithContext(ctx)
	}()
	defer func() { <-ended }()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil
	}
	for {
		all := map[Key]Raw{}
		for _, object := range store.List() {
			if secret, ok := object.(*corev1.Secret); ok && secret.Name == s.Name {
				for name, text := range secret.Data {
					all[Key{Kind: KindSecret, Name: name}] = Raw{Text: text, Source: fmt.Sprintf("key %s of Secret %s/%s", name, s.Namespace, s.Name)}
				}
			}
		}
		report(all)
		if !changes.wait(ctx, nil) {
			return nil
		}
	}
}
