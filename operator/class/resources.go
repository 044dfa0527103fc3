package class

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// Objects is what Resources needs of controller-runtime's cache: reading, and notices of changes.
type Objects interface {
	client.Reader
	GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error)
}

// Resources are the classes that are TelegrafClass and ClusterTelegrafClass.
type Resources struct {
	Objects Objects
	// SecretKey reads a key of a Secret in the operator's namespace, past any cache. Without it, references are errors.
	SecretKey func(ctx context.Context, name, key string) ([]byte, error)
	// Batch is how long changes are waited for to come together.
	Batch time.Duration
	// Period is how often texts in Secrets are read again.
	Period time.Duration

	changes *batch
	known   map[Key]Raw // the texts of the last report, so that those which did not change are not copied again
}

// NewResources returns a source that batches changes for 500 ms and reads the Secrets that are referred to every minute.
func NewResources(objects Objects, secretKey func(ctx context.Context, name, key string) ([]byte, error)) *Resources {
	const batch = 500 * time.Millisecond
	return &Resources{Objects: objects, SecretKey: secretKey, Batch: batch, Period: time.Minute, changes: newBatch(batch)}
}

// Kinds are KindTelegrafClass and KindClusterTelegrafClass.
func (s *Resources) Kinds() []Kind { return []Kind{KindTelegrafClass, KindClusterTelegrafClass} }

// Run reports the resources until ctx ends.
func (s *Resources) Run(ctx context.Context, report func(map[Key]Raw)) error {
	s.changes.period = s.Batch
	for _, object := range []client.Object{&v1alpha1.TelegrafClass{}, &v1alpha1.ClusterTelegrafClass{}} {
		informer, err := s.Objects.GetInformer(ctx, object)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch %T: %w", object, err)
		}
		registration, err := informer.AddEventHandler(s.changes.handler(sameSpec))
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		defer func() { _ = informer.RemoveEventHandler(registration) }()
		if !toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return nil
		}
	}
	period := time.NewTicker(s.Period)
	defer period.Stop()
	for {
		all, err := s.read(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read classes: %w", err)
		}
		report(all)
		if !s.changes.wait(ctx, period.C) {
			return nil
		}
	}
}

// sameSpec is whether an update changed nothing that a class is made from, such as the operator's own writing of its status.
func sameSpec(old, new any) bool {
	a, okA := old.(metav1.Object)
	b, okB := new.(metav1.Object)
	return okA && okB && a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration() && a.GetGeneration() != 0
}

func (s *Resources) read(ctx context.Context) (map[Key]Raw, error) {
	var own v1alpha1.TelegrafClassList
	var wide v1alpha1.ClusterTelegrafClassList
	if err := errors.Join(s.Objects.List(ctx, &own), s.Objects.List(ctx, &wide)); err != nil {
		return nil, err
	}
	all := make(map[Key]Raw, len(own.Items)+len(wide.Items))
	for i := range own.Items {
		s.add(ctx, all, KindTelegrafClass, &own.Items[i], &own.Items[i].Spec)
	}
	for i := range wide.Items {
		s.add(ctx, all, KindClusterTelegrafClass, &wide.Items[i], &wide.Items[i].Spec)
	}
	s.known = all
	return all, ctx.Err()
}

func (s *Resources) add(ctx context.Context, all map[Key]Raw, kind Kind, object client.Object, spec *v1alpha1.ClassSpec) {
	key := Key{kind, object.GetNamespace(), object.GetName()}
	ref := spec.ConfigSecretKeyRef
	if known, ok := s.known[key]; ok && ref == nil && known.Object.UID == object.GetUID() && known.Generation == object.GetGeneration() && known.Generation != 0 {
		all[key] = known
		return
	}
	raw := Raw{Sidecar: spec.Sidecar, Source: key.String(), Generation: object.GetGeneration(), Object: &corev1.ObjectReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: string(kind), Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(),
	}}
	switch {
	case ref == nil:
		raw.Text = []byte(spec.Config)
	case kind != KindClusterTelegrafClass: // its author may not be one who may read the operator's Secrets
		raw.Err = errors.New("configSecretKeyRef is for ClusterTelegrafClass")
	case spec.Config != "":
		raw.Err = errors.New("give config or configSecretKeyRef, not both")
	case s.SecretKey == nil:
		raw.Err = errors.New("configSecretKeyRef cannot be read here")
	default:
		raw.Text, raw.Err = s.SecretKey(ctx, ref.Name, ref.Key)
		raw.Source += fmt.Sprintf(" (key %s of Secret %s)", ref.Key, ref.Name)
		if raw.Err != nil {
			raw.Err = fmt.Errorf("read key %s of Secret %s in the operator's namespace: %w", ref.Key, ref.Name, raw.Err)
		}
	}
	all[key] = raw
}
