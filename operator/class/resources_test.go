package class_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// objects are a fake cluster's resources, and the notices of their changes, which the test gives.
type objects struct {
	client.WithWatch
	informers *informertest.FakeInformers
}

func (o *objects) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	return o.informers.GetInformer(ctx, obj, opts...)
}

func (o *objects) notices(t *testing.T, obj client.Object) *controllertest.FakeInformer {
	t.Helper()
	informer, err := o.informers.FakeInformerFor(t.Context(), obj)
	if err != nil {
		t.Fatal(err)
	}
	return informer
}

func newObjects(t *testing.T, all ...client.Object) *objects {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(all...).WithStatusSubresource(&v1alpha1.TelegrafClass{}, &v1alpha1.ClusterTelegrafClass{}).Build()
	o := &objects{WithWatch: c, informers: &informertest.FakeInformers{Scheme: scheme}}
	// The informers are made before any goroutine asks for them: the fake has no lock.
	o.notices(t, &v1alpha1.TelegrafClass{})
	o.notices(t, &v1alpha1.ClusterTelegrafClass{})
	return o
}

func wide(name, config string) *v1alpha1.ClusterTelegrafClass {
	return &v1alpha1.ClusterTelegrafClass{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid", Generation: 1}, Spec: v1alpha1.ClassSpec{Config: config}}
}

func own(namespace, name, config string) *v1alpha1.TelegrafClass {
	return &v1alpha1.TelegrafClass{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid", Generation: 1}, Spec: v1alpha1.ClassSpec{Config: config}}
}

func TestEachResourceIsAClass(t *testing.T) {
	mine := own("x", "a", output("1"))
	mine.Spec.Sidecar.Image = "telegraf"
	o := newObjects(t, mine, wide("a", output("2")))
	source := class.NewResources(o, nil)
	source.Batch = time.Millisecond
	got := runSource(t, source)
	all := got.last()
	if len(all) != 2 || string(all[cluster("a")].Text) != output("2") {
		t.Fatalf("the classes are %v", all)
	}
	r := all[inNamespace("x", "a")]
	if string(r.Text) != output("1") || r.Sidecar.Image != "telegraf" || r.Generation != 1 || r.Object.Kind != "TelegrafClass" || r.Object.UID != "uid" || r.Object.Namespace != "x" {
		t.Errorf("the class is %+v of %+v", r, r.Object)
	}
	old := mine.DeepCopy()
	mine.Spec.Config, mine.Generation = output("3"), 2
	if err := o.Update(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	mine.Generation = 2
	o.notices(t, mine).Update(old, mine)
	eventually(t, "the change is reported", func() bool { return string(got.last()[inNamespace("x", "a")].Text) == output("3") })
}

func TestAStatusThatIsWrittenIsNoChange(t *testing.T) {
	o := newObjects(t, wide("a", output("1")))
	source := class.NewResources(o, nil)
	source.Batch = time.Millisecond
	got := runSource(t, source)
	before := got.count()
	object := wide("a", output("1"))
	written := object.DeepCopy()
	written.Status.Pods = 7
	o.notices(t, object).Update(object, written)
	other := wide("b", "")
	if err := o.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	o.notices(t, other).Add(other)
	eventually(t, "the change that is one is reported", func() bool { return len(got.last()) == 2 })
	if n := got.count() - before; n != 1 {
		t.Errorf("there are %d reports", n)
	}
}

func TestTheTextMayBeInASecretOfTheOperatorsNamespace(t *testing.T) {
	good, missing, mine, both := wide("good", ""), wide("missing", ""), own("x", "mine", ""), wide("both", "[agent]")
	good.Spec.ConfigSecretKeyRef = &v1alpha1.SecretKeyRef{Name: "s", Key: "k"}
	missing.Spec.ConfigSecretKeyRef = &v1alpha1.SecretKeyRef{Name: "s", Key: "none"}
	mine.Spec.ConfigSecretKeyRef, both.Spec.ConfigSecretKeyRef = good.Spec.ConfigSecretKeyRef, good.Spec.ConfigSecretKeyRef
	var value atomic.Value
	value.Store(output("1"))
	source := class.NewResources(newObjects(t, good, missing, mine, both), func(_ context.Context, name, key string) ([]byte, error) {
		if name != "s" || key != "k" {
			return nil, errors.New("there is no such key")
		}
		return []byte(value.Load().(string)), nil
	})
	source.Batch, source.Period = time.Millisecond, 5*time.Millisecond
	got := runSource(t, source)
	if r := got.last()[cluster("good")]; r.Err != nil || string(r.Text) != output("1") {
		t.Errorf("the class is %+v", r)
	}
	for key, want := range map[class.Key]string{
		cluster("missing"): "read key none of Secret s in the operator's namespace: there is no such key", inNamespace("x", "mine"): "is for ClusterTelegrafClass", cluster("both"): "not both",
	} {
		if r := got.last()[key]; r.Err == nil || !strings.Contains(r.Err.Error(), want) || len(r.Text) > 0 {
			t.Errorf("%s is %+v, want an error with %q", key, r, want)
		}
	}
	value.Store(output("2"))
	eventually(t, "the new text is reported", func() bool { return string(got.last()[cluster("good")].Text) == output("2") })
}

func TestTextsInSecretsAreReadPeriodically(t *testing.T) {
	object := wide("a", "")
	object.Spec.ConfigSecretKeyRef = &v1alpha1.SecretKeyRef{Name: "s", Key: "k"}
	var n atomic.Int32
	source := class.NewResources(newObjects(t, object), func(context.Context, string, string) ([]byte, error) {
		n.Add(1)
		return nil, nil
	})
	source.Period = 5 * time.Millisecond
	got := runSource(t, source)
	eventually(t, "it is read again", func() bool { return n.Load() > 2 })
	if !slices.Equal(names(got.last()), []string{"a"}) {
		t.Errorf("the classes are %q", names(got.last()))
	}
}
