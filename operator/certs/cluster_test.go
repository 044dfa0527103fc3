package certs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
)

const testNamespace, testSecret, testWebhook = "holdfast-operator", "holdfast-operator-tls", "holdfast-operator"

var (
	secretsResource  = corev1.SchemeGroupVersion.WithResource("secrets")
	webhooksResource = admissionv1.SchemeGroupVersion.WithResource("mutatingwebhookconfigurations")
	errDied          = errors.New("the process died")
)

// cluster is an API server with a clock. It keeps resource versions, which the fake client does not, and can end a process at any write.
type cluster struct {
	t    testing.TB
	fake *fake.Clientset
	log  bytes.Buffer

	registry *prometheus.Registry

	mu      sync.Mutex
	now     time.Time
	version int
	writes  []string
	lives   int  // writes until the process dies; negative: never
	dead    bool // nothing answers

	beforeWrite func() // once
	afterWrite  func()
}

func newCluster(t testing.TB) *cluster {
	c := &cluster{t: t, fake: fake.NewClientset(), registry: prometheus.NewRegistry(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), lives: -1}
	c.fake.PrependReactor("*", "*", c.react)
	c.putWebhooks(webhookConfiguration())
	return c
}

func webhookConfiguration() *admissionv1.MutatingWebhookConfiguration {
	path, none := "/mutate-v1-pod", admissionv1.SideEffectClassNone
	hook := admissionv1.MutatingWebhook{
		Name: "sidecar.holdfast.dev",
		ClientConfig: admissionv1.WebhookClientConfig{
			Service: &admissionv1.ServiceReference{Namespace: testNamespace, Name: "holdfast-operator", Path: &path},
		},
		SideEffects:             &none,
		AdmissionReviewVersions: []string{"v1"},
		MatchConditions:         []admissionv1.MatchCondition{{Name: "annotated", Expression: "has(object.metadata.annotations)"}},
	}
	second := *hook.DeepCopy()
	second.Name = "second.holdfast.dev"
	return &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: testWebhook, Labels: map[string]string{"app": "x"}},
		Webhooks:   []admissionv1.MutatingWebhook{hook, second},
	}
}

func (c *cluster) react(action kubetesting.Action) (bool, runtime.Object, error) {
	write := slices.Contains([]string{"create", "update", "patch", "delete"}, action.GetVerb())
	if c.isDead() {
		return true, nil, errDied
	}
	if !write {
		return false, nil, nil
	}
	if update, ok := action.(kubetesting.UpdateActionImpl); ok {
		if err := c.conflict(update); err != nil {
			return true, nil, err
		}
	}
	_, object, err := kubetesting.ObjectReaction(c.fake.Tracker())(action)
	if err != nil {
		if action.GetVerb() == "patch" && !apierrors.IsNotFound(err) { // as API servers answer a failed test
			err = apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "patch", webhooksResource.GroupResource(), testWebhook, err.Error(), 0, false)
		}
		return true, nil, err
	}
	c.stored(action, object)
	if c.isDead() {
		return true, nil, errDied
	}
	return true, object, nil
}

func (c *cluster) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

func (c *cluster) conflict(update kubetesting.UpdateActionImpl) error {
	wrote, _ := meta.Accessor(update.GetObject())
	present, err := c.fake.Tracker().Get(update.GetResource(), update.GetNamespace(), wrote.GetName())
	if err != nil {
		return err
	}
	if has, _ := meta.Accessor(present); has.GetResourceVersion() != wrote.GetResourceVersion() {
		return apierrors.NewConflict(update.GetResource().GroupResource(), wrote.GetName(), errors.New("modified"))
	}
	return nil
}

// stored gives the object its new version and tells the test.
func (c *cluster) stored(action kubetesting.Action, object runtime.Object) {
	c.mu.Lock()
	c.version++
	version := strconv.Itoa(c.version)
	c.writes = append(c.writes, action.GetVerb()+" "+action.GetResource().Resource)
	if c.lives > 0 {
		c.lives--
		c.dead = c.lives == 0
	}
	hook := c.afterWrite
	c.mu.Unlock()
	if object != nil {
		m, _ := meta.Accessor(object)
		m.SetResourceVersion(version)
		if err := c.fake.Tracker().Update(action.GetResource(), object, action.GetNamespace()); err != nil {
			c.t.Error(err)
		}
	}
	if hook != nil {
		hook()
	}
}

// putSecret and putWebhooks are someone else's writes.
func (c *cluster) putSecret(s *corev1.Secret) {
	c.t.Helper()
	s = s.DeepCopy()
	c.mu.Lock()
	c.version++
	s.ResourceVersion = strconv.Itoa(c.version)
	c.mu.Unlock()
	err := c.fake.Tracker().Create(secretsResource, s, testNamespace)
	if apierrors.IsAlreadyExists(err) {
		err = c.fake.Tracker().Update(secretsResource, s, testNamespace)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) putWebhooks(w *admissionv1.MutatingWebhookConfiguration) {
	c.t.Helper()
	w = w.DeepCopy()
	c.mu.Lock()
	c.version++
	w.ResourceVersion = strconv.Itoa(c.version)
	c.mu.Unlock()
	err := c.fake.Tracker().Create(webhooksResource, w, "")
	if apierrors.IsAlreadyExists(err) {
		err = c.fake.Tracker().Update(webhooksResource, w, "")
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// secret and webhooks return nil for what is not there.
func (c *cluster) secret() *corev1.Secret {
	o, err := c.fake.Tracker().Get(secretsResource, testNamespace, testSecret)
	if err != nil {
		return nil
	}
	return o.(*corev1.Secret)
}

func (c *cluster) webhooks() *admissionv1.MutatingWebhookConfiguration {
	o, err := c.fake.Tracker().Get(webhooksResource, "", testWebhook)
	if err != nil {
		return nil
	}
	return o.(*admissionv1.MutatingWebhookConfiguration)
}

// state is what is in the Secret; one that is not there has nothing in it.
func (c *cluster) state() state {
	if secret := c.secret(); secret != nil {
		return inspect(secret)
	}
	return inspect(&corev1.Secret{})
}

func (c *cluster) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *cluster) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// restart brings up a new process that dies after so many writes.
func (c *cluster) restart(lives int) *Rotator {
	c.mu.Lock()
	c.dead, c.lives = false, lives
	c.mu.Unlock()
	return c.rotator()
}

func (c *cluster) rotator() *Rotator {
	r := NewRotator(c.secretClient(), c.webhookClient(), c.registry)
	r.Now = c.clock
	r.Logger = slog.New(slog.NewTextHandler(&c.log, nil))
	r.IPs = []net.IP{net.IPv4(127, 0, 0, 1)}
	return r
}

func (c *cluster) ensure(r *Rotator) time.Duration {
	c.t.Helper()
	next, err := r.Ensure(context.Background())
	if err != nil {
		c.t.Fatalf("Ensure: %v", err)
	}
	return next
}

// metric returns the value of the series of that name and label.
func (c *cluster) metric(name, label string) float64 {
	c.t.Helper()
	families, err := c.registry.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "holdfast_operator_certificate_"+name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}
