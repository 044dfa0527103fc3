//go:build e2e

package operator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// lease is how long a lease lasts that is not renewed, and leaseLook how often those who wait for it look.
const (
	lease     = 15 * time.Second
	leaseLook = 2 * time.Second
)

// leads says whether a replica is the leader.
func leads(ctx context.Context, r *operator.Replica) (bool, error) {
	n, err := seriesOf(ctx, r, `leader_election_master_status{name="holdfast-operator"}`)
	return n == 1, err
}

// leaderFirst returns the two replicas of an installation, the leader first.
func leaderFirst(t *testing.T, in *operator.Installation) (leader, other *operator.Replica) {
	t.Helper()
	awaitTime(t, time.Minute, "one of two replicas led, and both were ready", func(ctx context.Context) error {
		var found []bool
		for _, r := range in.Replicas {
			is, err := leads(ctx, r)
			if err := errors.Join(err, r.Ready(ctx)); err != nil {
				return err
			}
			found = append(found, is)
		}
		if found[0] == found[1] {
			return fmt.Errorf("who leads: %v", found)
		}
		leader, other = in.Replicas[0], in.Replicas[1]
		if found[1] {
			leader, other = other, leader
		}
		return nil
	})
	return leader, other
}

// ask puts a question to a replica as the API server does.
func ask(t *testing.T, r *operator.Replica, trusted []byte, pod *corev1.Pod) *admissionv1.AdmissionResponse {
	t.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{UID: "1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Operation: admissionv1.Create,
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Namespace: "default", Name: pod.Name, Object: runtime.RawExtension{Raw: raw}, DryRun: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(trusted)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.Webhook+"/mutate-v1-pod", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read only
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(resp.Body).Decode(&review); err != nil || review.Response == nil {
		t.Fatalf("%s: no answer: %v", resp.Status, err)
	}
	return review.Response
}

// deliversAfter changes a class and returns how long after began the change was delivered.
func deliversAfter(t *testing.T, c *kube.Cluster, namespace, mark string, began time.Time) time.Duration {
	t.Helper()
	putClassIn(t, c, "app", "[[outputs.file]]\n  files = [\"stdout\"]\n[global_tags]\n  mark = \""+mark+"\"\n")
	awaitTime(t, time.Minute, "the change was delivered", func(ctx context.Context) error {
		s, err := c.Client().CoreV1().Secrets(namespace).Get(ctx, "holdfast-classes", metav1.GetOptions{})
		if err == nil && !bytes.Contains(s.Data["app.conf"], []byte(mark)) {
			err = errors.New("the Secret has an older text")
		}
		return err
	})
	return time.Since(began)
}

func TestAnotherReplicaTakesOver(t *testing.T) {
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{Replicas: 2})
	ns := c.Namespace(t, nil)
	trusted := func() []byte {
		text, err := bundle(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := c.Client().CoreV1().Pods(ns).Create(t.Context(), annotated("app", "class", "app", "port", "8080"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	leader, other := leaderFirst(t, in)
	deliversAfter(t, c, ns, "first", time.Now())

	t.Run("BothGiveTheSameAnswers", func(t *testing.T) {
		// The other one has the newest text a moment later or earlier.
		awaitTime(t, 20*time.Second, "both answered alike", func(context.Context) error {
			pod := annotated("p", "class", "app", "port", "8080")
			if a, b := ask(t, leader, trusted(), pod), ask(t, other, trusted(), pod); !bytes.Equal(a.Patch, b.Patch) {
				return fmt.Errorf("the patches differ:\n%s\n%s", a.Patch, b.Patch)
			}
			return nil
		})
		for _, pod := range []*corev1.Pod{
			annotated("p", "port", "8080"),
			annotated("p", "class", "app,audit", "ports", "8080,9090", "internal", "true", "global-tag-literal-b", "1", "global-tag-literal-a", "2",
				"env-literal-X", "x", "env-literal-A", "a", "env-fieldref-P", "metadata.name"),
			annotated("p", "class", "nope", "port", "8080"),
			annotated("p", "port", "eighty", "inputs", "[["),
			annotated("p", "inputs", "[[inputs.mem]]\n", "a.holdfast.dev/port", "1", "b.holdfast.dev/port", "2"),
		} {
			a, b := ask(t, leader, trusted(), pod), ask(t, other, trusted(), pod)
			if !bytes.Equal(a.Patch, b.Patch) || fmt.Sprint(a.Warnings) != fmt.Sprint(b.Warnings) || a.Allowed != b.Allowed {
				t.Errorf("%v: the leader answers\n%s %q\nand the other\n%s %q", pod.Annotations, a.Patch, a.Warnings, b.Patch, b.Warnings)
			}
			if len(a.Patch) == 0 {
				t.Errorf("%v: no patch", pod.Annotations)
			}
		}
	})
	t.Run("WhenTheLeaderIsKilled", func(t *testing.T) {
		if err := in.Route(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		awaitTime(t, 10*time.Second, "the API server asked the other replica", func(ctx context.Context) error { return injects(ctx, c, ns) })
		pods := startStream(t, c, ns, 100*time.Millisecond, metav1.DryRunAll)
		leader.Kill()
		took := deliversAfter(t, c, ns, "second", time.Now())
		pods.end()
		injected, bare, refused := pods.counts()
		t.Logf("the other replica delivered a change %s after the kill; meanwhile %d pods were injected, %d bare, %d refused", took.Round(time.Millisecond), injected, bare, refused)
		if bare+refused > 0 {
			t.Errorf("pods without their sidecar: %v %v", pods.bare, errors.Join(pods.refused...))
		}
		if most := lease + 2*leaseLook + 5*time.Second; took > most {
			t.Errorf("later than %s", most)
		}
	})
	t.Run("WhenTheLeaderEnds", func(t *testing.T) {
		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
		leader, other = leaderFirst(t, in) // the one that was killed waits now
		if err := in.Route(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		awaitTime(t, 10*time.Second, "the API server asked the other replica", func(ctx context.Context) error { return injects(ctx, c, ns) })
		pods := startStream(t, c, ns, 100*time.Millisecond, metav1.DryRunAll)
		began := time.Now()
		leader.Stop()
		ended := time.Since(began)
		took := deliversAfter(t, c, ns, "third", began)
		pods.end()
		injected, bare, refused := pods.counts()
		t.Logf("the leader ended in %s, the other delivered a change %s after it was told to; meanwhile %d pods were injected, %d bare, %d refused",
			ended.Round(time.Millisecond), took.Round(time.Millisecond), injected, bare, refused)
		if bare+refused > 0 {
			t.Errorf("pods without their sidecar: %v %v", pods.bare, errors.Join(pods.refused...))
		}
		if took > lease-5*time.Second {
			t.Error("so late that the lease cannot have been released")
		}
	})
}
