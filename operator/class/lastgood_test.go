package class_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

const ownNamespace = "holdfast-operator"

// oneSecret is a Secret on a cluster. Apply gives its data to the one owner that it has.
type oneSecret struct {
	typedcorev1.SecretInterface
	mu     sync.Mutex
	secret *corev1.Secret
}

func (o *oneSecret) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Secret, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.secret == nil {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
	return o.secret.DeepCopy(), nil
}

func (o *oneSecret) Apply(_ context.Context, a *applycorev1.SecretApplyConfiguration, opts metav1.ApplyOptions) (*corev1.Secret, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a.Namespace != nil || opts.FieldManager != "holdfast-operator" || !opts.Force {
		return nil, apierrors.NewBadRequest("not what was agreed on")
	}
	o.secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: *a.Name, Labels: a.Labels}, Data: maps.Clone(a.Data)}
	return o.secret.DeepCopy(), nil
}

func TestLastGoodTextsOutliveTheProcess(t *testing.T) {
	s := class.NewLastGood(&oneSecret{}, "last-good", quiet(), prometheus.NewRegistry())
	if good, err := s.Load(t.Context()); err != nil || len(good) != 0 {
		t.Errorf("without a Secret: %v, %v", good, err)
	}
	want := map[class.Key]class.Good{
		inNamespace("x", "a.b_c"):                     {Text: []byte("\xe4 [agent]"), UID: "1", Sure: true},
		inNamespace("x-a", "b"):                       {Text: []byte("1")},
		cluster("x.a.b"):                              {Text: []byte("2"), Sidecar: v1alpha1.SidecarSpec{Image: "telegraf@sha256:0"}},
		folder("cluster.a"):                           {Text: []byte("3")},
		{Kind: class.KindSecret, Name: "directory.a"}: {Text: []byte("4"), Sure: true},
	}
	for range 2 {
		if err := s.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read back are %v, %v; want %v", got, err, want)
		}
		delete(want, cluster("x.a.b")) // what is gone from the registry is gone from the Secret
	}
}

func TestLastGoodTextsThatDoNotFitDoNotKeepTheOthersOut(t *testing.T) {
	reg, api := prometheus.NewRegistry(), &oneSecret{}
	s := class.NewLastGood(api, "last-good", quiet(), reg)
	good := map[class.Key]class.Good{}
	for i := range 8 {
		random := make([]byte, 100_000)
		_, _ = rand.Read(random)
		good[folder(fmt.Sprint("large", i))] = class.Good{Text: []byte(hex.EncodeToString(random))}
		good[folder(fmt.Sprint("small", i))] = class.Good{Text: []byte(output("1"))}
		good[folder(fmt.Sprint("gone", i))] = class.Good{Text: []byte(hex.EncodeToString(random[:len(random)*9/10])), Gone: true}
	}
	if err := s.Save(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if _, kept := got[folder(fmt.Sprint("small", i))]; !kept {
			t.Errorf("the text small%d is not kept", i)
		}
		if _, kept := got[folder(fmt.Sprint("gone", i))]; kept {
			t.Errorf("the text of a class that is gone, gone%d, is kept before one that is there", i)
		}
	}
	secret, err := api.Get(t.Context(), "last-good", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, value := range secret.Data {
		size += len(value)
	}
	if dropped := gauge(t, reg, "holdfast_operator_last_good_dropped"); size > corev1.MaxSecretSize || len(got) == len(good) || dropped != float64(len(good)-len(got)) {
		t.Errorf("of %d texts %d are kept in %d bytes, and %v are counted as left out", len(good), len(got), size, dropped)
	}
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func TestAValueThatCannotBeReadIsLeftOut(t *testing.T) {
	api := &oneSecret{}
	s := class.NewLastGood(api, "last-good", quiet(), nil)
	if err := s.Save(t.Context(), map[class.Key]class.Good{folder("a"): {Text: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	data := api.secret.Data
	data["directory.b"], data["other.c"], data["directory."] = []byte("torn"), data["directory.a"], data["directory.a"]
	if good, err := s.Load(t.Context()); err != nil || len(good) != 1 {
		t.Errorf("read are %v, %v", good, err)
	}
}

func TestTheLeaderKeepsWhatIsInUse(t *testing.T) {
	source, api := newHand(class.KindDirectory), &oneSecret{}
	r := start(t, class.Options{}, source)
	s := class.NewLastGood(api, "last-good", quiet(), nil)
	s.Batch = time.Millisecond
	background(t, func() error { return s.Run(t.Context(), r) })
	for _, want := range []string{output("1"), output("2")} {
		source.reports <- map[class.Key]class.Raw{folder("a"): raw(want), folder("broken"): raw("[agent")}
		eventually(t, "the text is kept", func() bool {
			good, err := s.Load(t.Context())
			return err == nil && len(good) == 1 && string(good[folder("a")].Text) == want
		})
	}
}

// background runs something that ends with the test's context.
func background(t *testing.T, f func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}
