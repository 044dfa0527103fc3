//go:build e2e

package trust_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// endpoint is one that gives what a test wants.
type endpoint struct {
	*testing.T
	answer  atomic.Pointer[http.HandlerFunc]
	url     string
	listKey *ecdsa.PrivateKey
	image   *ecdsa.PrivateKey
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{T: t, listKey: generate(t), image: generate(t)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*e.answer.Load())(w, r) }))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

func generate(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// give has the endpoint answer with bytes.
func (e *endpoint) give(raw []byte) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) })
	e.answer.Store(&h)
}

// list is a good one of now.
func (e *endpoint) list() *keylist.List {
	now := time.Now().UTC().Truncate(time.Second)
	return &keylist.List{Version: now.Unix(), Issued: now, Expires: now.Add(time.Hour), Keys: []keylist.Key{{ID: key.ID{Name: "images", Version: 1}, Public: &e.image.PublicKey,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), State: keylist.Active}}}
}

func (e *endpoint) seal(l *keylist.List, by *ecdsa.PrivateKey) []byte {
	e.Helper()
	raw, err := l.Marshal()
	if err != nil {
		e.Fatal(err)
	}
	hash := keylist.HashOf(raw)
	sig, err := ecdsa.SignASN1(rand.Reader, by, hash[:])
	if err != nil {
		e.Fatal(err)
	}
	sealed, err := keylist.Seal(raw, key.ID{Name: "keylist", Version: 1}, sig)
	if err != nil {
		e.Fatal(err)
	}
	return sealed
}

// agent is one that asks an endpoint.
type agent struct {
	*testing.T
	policy, namespace string
	program           *kube.Program
}

// startAgent runs an agent of an endpoint until the test ends, for the images of a registry, or of one that is not there.
func startAgent(t *testing.T, e *endpoint, registries ...string) *agent {
	t.Helper()
	dir := t.TempDir()
	pem, err := key.MarshalPEM(&e.listKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pin := filepath.Join(dir, "pin.pem")
	if err := os.WriteFile(pin, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	namespace := cluster.Namespace(t, map[string]string{trust.ExcludeLabel: "true"})
	images := namespace + ".example/**"
	for _, host := range registries {
		images = host + "/**"
	}
	p := kube.NewProgram(dir, "holdfast-trust-sync", binary(t), "sync", "--kubeconfig", cluster.Kubeconfig(), "--keys", e.url, "--plain", "--pin", pin, "--namespace", namespace,
		"--policy", "agent-"+namespace, "--images", images, "--poll", "1s", "--metrics", "")
	a := &agent{t, "agent-" + namespace, namespace, p}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("the agent's log:\n%s", p.Log())
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := controller.DeletePolicy(ctx, a.policy); err != nil {
			t.Error(err)
		}
	})
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

// says waits until the status begins with a word.
func (a *agent) says(word string) {
	a.Helper()
	within(a.T, 20*time.Second, func() error {
		m, err := cluster.Client().CoreV1().ConfigMaps(a.namespace).Get(a.Context(), "holdfast-trust-sync", metav1.GetOptions{})
		if err == nil && !strings.HasPrefix(m.Data["status"], word+": ") {
			err = fmt.Errorf("the status is %q, and not %s", m.Data["status"], word)
		}
		return err
	})
}

// generation counts the changes of the policy.
func (a *agent) generation() int64 {
	a.Helper()
	p, err := controller.Policy(a.Context(), a.policy)
	if err != nil {
		a.Fatal(err)
	}
	return p.GetGeneration()
}

func TestAListThatIsNotRightLeavesThePolicyAsItIs(t *testing.T) {
	e := newEndpoint(t)
	good := e.list()
	e.give(e.seal(good, e.listKey))
	a := startAgent(t, e)
	a.says("OK")
	before := a.generation()
	change := func(change func(*keylist.List)) []byte {
		l := e.list()
		l.Version++
		change(l)
		return e.seal(l, e.listKey)
	}
	for _, c := range []struct {
		name, want string
		answer     []byte
	}{
		{"spoofed", "NotSigned", e.seal(e.list(), generate(t))},
		{"rolled back", "RolledBack", change(func(l *keylist.List) { l.Version = good.Version - 10 })},
		{"frozen", "Expired", change(func(l *keylist.List) {
			l.Issued = l.Issued.Add(-2 * time.Minute)
			l.Expires = l.Issued.Add(time.Minute)
		})},
		{"forked", "Forked", change(func(l *keylist.List) { l.Version, l.Expires = good.Version, good.Expires.Add(time.Second) })},
		{"from the future", "Future", change(func(l *keylist.List) { l.Issued, l.Expires = l.Issued.Add(time.Hour), l.Expires.Add(time.Hour) })},
		{"empty", "NoKeys", change(func(l *keylist.List) { l.Keys = nil })},
		{"for ever", "TooLongLife", change(func(l *keylist.List) { l.Keys[0].NotAfter = l.Keys[0].NotAfter.AddDate(1, 0, 0) })},
		{"huge", "Unreachable", make([]byte, 10<<20)},
		{"garbage", "Invalid", []byte("{")},
	} {
		e.give(c.answer)
		t.Logf("%s", c.name)
		a.says(c.want)
		if now := a.generation(); now != before {
			t.Errorf("%s: the policy was changed %d times", c.name, now-before)
		}
	}
	away := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) })
	e.answer.Store(&away)
	a.says("Unreachable")
	events, err := cluster.Client().CoreV1().Events(a.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, e := range events.Items {
		told[e.Reason] = true
	}
	for _, reason := range []string{"NotSigned", "RolledBack", "Expired", "Future", "NoKeys"} {
		if !told[reason] {
			t.Errorf("no event tells of %s: %v", reason, told)
		}
	}
	// What is right is taken again.
	next := e.list()
	next.Version++
	next.Keys[0].NotAfter = next.Keys[0].NotAfter.Add(time.Hour)
	e.give(e.seal(next, e.listKey))
	a.says("OK")
	within(t, 5*time.Second, func() error {
		if now := a.generation(); now != before+1 {
			return fmt.Errorf("the policy was changed %d times", now-before)
		}
		return nil
	})
}

func TestAPolicyIsMendedAndElseLeftAlone(t *testing.T) {
	e := newEndpoint(t)
	e.give(e.seal(e.list(), e.listKey))
	a := startAgent(t, e)
	a.says("OK")
	before := a.generation()
	time.Sleep(3 * time.Second) // three polls
	if now := a.generation(); now != before {
		t.Errorf("polls that find nothing new changed the policy %d times", now-before)
	}
	uid := func() string {
		p, err := controller.Policy(t.Context(), a.policy)
		if err != nil {
			return ""
		}
		return string(p.GetUID())
	}
	was := uid()
	// Somebody narrows the policy to nothing, as a field of his own.
	if out, err := cluster.Kubectl(t.Context(), "patch", "clusterimagepolicy", a.policy, "--type=merge", "-p", `{"spec":{"mode":"warn","match":[{"group":"apps","version":"v1","resource":"deployments"}]}}`); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	within(t, 10*time.Second, func() error {
		p, err := controller.Policy(t.Context(), a.policy)
		if err != nil {
			return err
		}
		spec := p.Object["spec"].(map[string]any)
		if spec["mode"] != "enforce" || spec["match"] != nil {
			return fmt.Errorf("the policy is %v", spec)
		}
		return nil
	})
	// The endpoint is away, and somebody deletes it.
	away := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) })
	e.answer.Store(&away)
	if err := controller.DeletePolicy(t.Context(), a.policy); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, func() error {
		if now := uid(); now == "" || now == was {
			return fmt.Errorf("the policy is not back")
		}
		return nil
	})
}
