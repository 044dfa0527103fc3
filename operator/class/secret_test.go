package class_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// watched are a fake cluster's Secrets; they say what the fake cannot do.
type watched struct{ typedcorev1.SecretInterface }

func (watched) IsWatchListSemanticsUnSupported() bool { return true }

func TestEachKeyOfASecretIsAClass(t *testing.T) {
	api := watched{fake.NewClientset().CoreV1().Secrets(ownNamespace)}
	create := func(name string, data map[string][]byte) {
		t.Helper()
		if _, err := api.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ownNamespace}, Data: data}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create("other", map[string][]byte{"not-a-class": nil})
	source := class.NewSecret(api, ownNamespace, "classes")
	source.Batch = time.Millisecond
	got := runSource(t, source)
	if len(got.last()) != 0 {
		t.Errorf("without the Secret there are %q", names(got.last()))
	}
	create("classes", map[string][]byte{"default": []byte(output("1")), "infra": nil})
	eventually(t, "the classes are reported", func() bool { return slices.Equal(names(got.last()), []string{"default", "infra"}) })
	if r := got.last()[class.Key{Kind: class.KindSecret, Name: "default"}]; string(r.Text) != output("1") || r.Source != "key default of Secret holdfast-operator/classes" {
		t.Errorf("the class is %+v", r)
	}
	if err := api.Delete(t.Context(), "classes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the classes are gone", func() bool { return len(got.last()) == 0 })
}
