package deliver

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// injected is the metadata of a pod with a sidecar, as the API server has it; classes are names and hashes.
func injected(name string, classes map[string]string) *metav1.PartialObjectMetadata {
	pod := podMeta()
	asked := map[string]string{"telegraf.influxdata.com/port": "8080"}
	pod.Namespace, pod.Name, pod.UID, pod.ResourceVersion = "n", name, "u", "1"
	pod.Labels = map[string]string{sidecar.InjectedLabel: "true", "app": "a", "pod-template-hash": "1"}
	for class, hash := range classes {
		pod.Labels["class.holdfast.dev/"+class] = hash
	}
	pod.Annotations = maps.Clone(asked)
	pod.Annotations[sidecar.StatusAnnotation] = "telegraf: injected"
	pod.Annotations[sidecar.SourceAnnotation] = sidecar.SourceHash(asked)
	pod.Annotations[sidecar.HashAnnotation] = "h"
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "r", Controller: new(true), BlockOwnerDeletion: new(true)}, {Kind: "Other", Name: "o"}}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
	return pod
}

func stripped(t *testing.T, pod *metav1.PartialObjectMetadata) *metav1.PartialObjectMetadata {
	t.Helper()
	kept, err := strip(pod)
	if err != nil {
		t.Fatal(err)
	}
	return kept.(*metav1.PartialObjectMetadata)
}

func TestCacheKeepsOfAUsualPodItsNameItsOwnerAndItsClasses(t *testing.T) {
	kept := stripped(t, injected("p", map[string]string{"c": "1"}))
	want := podMeta()
	want.Namespace, want.Name, want.UID, want.ResourceVersion = "n", "p", "u", "1"
	want.Labels = map[string]string{sidecar.InjectedLabel: "true", "class.holdfast.dev/c": "1"}
	want.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "r", Controller: new(true)}}
	if got, want := kept.String(), want.String(); got != want {
		t.Errorf("kept\n%s\nwant\n%s", got, want)
	}
}

func TestCacheKeepsWhatIsToldOfAPod(t *testing.T) {
	refused := injected("p", nil)
	refused.Labels[sidecar.InjectedLabel] = "false"
	if kept := stripped(t, refused); kept.Annotations[sidecar.StatusAnnotation] == "" || len(kept.OwnerReferences) != 1 {
		t.Errorf("of a pod without its sidecar were kept %v and %v", kept.Annotations, kept.OwnerReferences)
	}
	brings := injected("p", nil)
	brings.Annotations[sidecar.InputsAnnotation("telegraf")] = strings.Repeat("x", 1000)
	if kept := stripped(t, brings); kept.Annotations[sidecar.HashAnnotation] != "h" || len(kept.OwnerReferences) != 1 || len(kept.String()) > 1000 {
		t.Errorf("of a pod with raw inputs were kept %v and %v", kept.Annotations, kept.OwnerReferences)
	}
	changed := injected("p", nil)
	if edited(stripped(t, changed)) {
		t.Error("a pod with the annotations that it was made from counts as edited")
	}
	changed.Annotations["telegraf.influxdata.com/port"] = "9090"
	if !edited(stripped(t, changed)) {
		t.Error("a pod with another annotation does not count as edited")
	}
}

func TestCacheKeepsWhatAPodMountsItsClassesFrom(t *testing.T) {
	pod := injected("p", map[string]string{"c": "1"})
	pod.Labels[sidecar.ClassesInLabel] = string(sidecar.InConfigMap)
	for kind, want := range map[sidecar.ClassesObject]bool{sidecar.InSecret: false, sidecar.InConfigMap: true} {
		if c := (&Controller{Object: kind}); c.serves(stripped(t, pod)) != want {
			t.Errorf("a controller that delivers in a %s serves a pod that mounts a ConfigMap: %v", kind, !want)
		}
	}
}

func TestPodsShareTheirTexts(t *testing.T) {
	a, b := stripped(t, injected("a", map[string]string{"c": strings.Clone("hash")})), stripped(t, injected("b", map[string]string{"c": strings.Clone("hash")}))
	if unsafe.StringData(a.Labels["class.holdfast.dev/c"]) != unsafe.StringData(b.Labels["class.holdfast.dev/c"]) {
		t.Error("two pods have two copies of one hash")
	}
}

func TestSharedTextsAreBounded(t *testing.T) {
	var s texts
	for i := range 3 * maxShared {
		if text := strings.Repeat("x", i%7) + string(rune(i)); s.of(text) != text {
			t.Fatalf("text %d came back as another", i)
		}
	}
	if len(s.seen) > maxShared {
		t.Errorf("%d texts are kept", len(s.seen))
	}
}

// held is a cache with these objects.
type held struct {
	client.Reader
	object *metav1.PartialObjectMetadata
	pods   []metav1.PartialObjectMetadata
}

func (h held) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	out := into.(*metav1.PartialObjectMetadata)
	if h.object != nil && out.Kind == h.object.Kind {
		*out = *h.object
		return nil
	}
	return apierrors.NewNotFound(corev1.Resource("secrets"), key.Name)
}

func (h held) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	into.(*metav1.PartialObjectMetadataList).Items = h.pods
	return nil
}

func delivered(pairs string) *metav1.PartialObjectMetadata {
	s := objectMeta(sidecar.InSecret)
	s.Namespace, s.Name = "n", sidecar.ClassesName
	s.Labels, s.Annotations = map[string]string{ManagedBy: ManagedByValue}, map[string]string{deliveredAnnotation: pairs}
	return s
}

func TestLabelsFollowWhatWasDelivered(t *testing.T) {
	old, current := injected("old", map[string]string{"c": "1", "d": "1"}), injected("current", map[string]string{"c": "2", "d": "1"})
	other, refused := injected("other", map[string]string{"e": "1"}), injected("refused", map[string]string{"c": "1"})
	refused.Labels[sidecar.InjectedLabel] = "false"
	secret := delivered("c=2,d=1")
	c := &Controller{Object: sidecar.InSecret, Cache: held{object: secret, pods: []metav1.PartialObjectMetadata{*old, *current, *other, *refused}}}
	got := c.outdated(t.Context(), secret)
	if len(got) != 1 || got[0].Name != "old" {
		t.Errorf("outdated are %v, want the pod old", got)
	}
	if labels := c.news(old, deliveredTo(secret)); len(labels) != 1 || labels["class.holdfast.dev/c"] != "2" {
		t.Errorf("its labels become %v", labels)
	}
	secret.Labels = nil
	if got := c.outdated(t.Context(), secret); len(got) != 0 {
		t.Errorf("%v follow a Secret that the operator has not made", got)
	}
}

func TestCacheAsksForWhatIsDeliveredByItsNameAlone(t *testing.T) {
	for _, kind := range []sidecar.ClassesObject{sidecar.InSecret, sidecar.InConfigMap} {
		var asked []string
		for o, by := range CacheOptions(kind, []string{"a", "b"}) {
			if o.GetObjectKind().GroupVersionKind().Kind == "Pod" {
				continue
			}
			asked = append(asked, o.GetObjectKind().GroupVersionKind().Kind+" "+by.Field.String())
			if len(by.Namespaces) != 2 {
				t.Errorf("%s: it asks in %v", kind, by.Namespaces)
			}
		}
		if want := []string{string(kind) + " metadata.name=holdfast-classes"}; !slices.Equal(asked, want) {
			t.Errorf("it asks for %q, want %q", asked, want)
		}
	}
}

// later is a queue that tells what is put off.
type later struct {
	requests
	now, soon int
}

func (l *later) Add(reconcile.Request)                     { l.now++ }
func (l *later) AddAfter(reconcile.Request, time.Duration) { l.soon++ }

func TestPodThatWaitsForATextIsServedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name      string
		secret    *metav1.PartialObjectMetadata
		now, soon int
	}{
		{"no Secret", nil, 1, 0},
		{"another class", delivered("d=1"), 1, 0},
		{"its class", delivered("c=1,d=1"), 0, 1},
		{"another text of its class", delivered("c=0"), 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := &later{requests: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())}
			defer q.ShutDown()
			c := &Controller{Object: sidecar.InSecret, Cache: held{object: tt.secret}}
			c.podEvents().Create(t.Context(), event.CreateEvent{Object: injected("p", map[string]string{"c": "1"})}, q)
			if q.now != tt.now || q.soon != tt.soon {
				t.Errorf("at once %d, later %d; want %d and %d", q.now, q.soon, tt.now, tt.soon)
			}
		})
	}
}
