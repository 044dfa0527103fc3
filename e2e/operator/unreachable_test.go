//go:build e2e

package operator_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// blackHole takes connections and never answers. It returns its address.
func blackHole(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() }) // nothing was written
		}
	})
	t.Cleanup(func() {
		_ = listener.Close() // ends the loop
		accepting.Wait()
	})
	return listener.Addr().String()
}

// createIn creates a pod in a dry run and returns how long that took, whether it has a sidecar, and the API server's refusal.
func createIn(t *testing.T, c *kube.Cluster, namespace string, annotations ...string) (took time.Duration, injected bool, err error) {
	t.Helper()
	began := time.Now()
	pod, err := c.Client().CoreV1().Pods(namespace).Create(t.Context(), annotated("p", annotations...), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return time.Since(began), err == nil && pod.Labels["sidecar.holdfast.dev/injected"] == "true", err
}

func TestPodsAreCreatedWhileTheWebhookDoesNotAnswer(t *testing.T) {
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{})
	ns := c.Namespace(t, nil)
	for name, addr := range map[string]string{"refused": "127.0.0.1:1", "silent": blackHole(t)} {
		t.Run(name, func(t *testing.T) {
			if err := in.RouteTo(t.Context(), "https://"+addr+"/mutate-v1-pod"); err != nil {
				t.Fatal(err)
			}
			awaitTime(t, 30*time.Second, "the API server asked there", func(ctx context.Context) error {
				if injects(ctx, c, ns) == nil {
					return errors.New("pods are injected")
				}
				return nil
			})
			took, injected, err := createIn(t, c, ns, "port", "8080")
			if err != nil || injected {
				t.Errorf("injected %t, error %v", injected, err)
			}
			plain, _, err := createIn(t, c, ns)
			if err != nil {
				t.Error(err)
			}
			t.Logf("an annotated pod took %s, another %s", took.Round(time.Millisecond), plain.Round(time.Millisecond))
			if took > 8*time.Second || plain > time.Second {
				t.Error("that is longer than the webhook configuration allows, or a pod without annotations waited")
			}
			text, err := c.Client().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), `apiserver_admission_webhook_fail_open_count{name="sidecar.holdfast.dev"`) {
				t.Error("the API server's metrics do not tell of it")
			}
		})
	}
}

func TestPodsAreRefusedWithoutTheWebhookWhenThatIsWanted(t *testing.T) {
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{Manifest: chartWith(t, "webhook.failurePolicy=Fail")})
	ns := c.Namespace(t, nil)
	if _, injected, err := createIn(t, c, ns, "port", "8080"); err != nil || !injected {
		t.Fatalf("injected %t, error %v", injected, err)
	}
	in.Replicas[0].Kill()
	_, _, err := createIn(t, c, ns, "port", "8080")
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "sidecar.holdfast.dev"`) {
		t.Errorf("the API server says: %v", err)
	}
	t.Log(err)
	if _, _, err := createIn(t, c, ns); err != nil {
		t.Errorf("a pod without annotations is refused too: %v", err)
	}
	if _, _, err := createIn(t, c, "kube-system", "port", "8080"); err != nil {
		t.Errorf("a pod of kube-system is refused: %v", err)
	}
	if err := in.Replicas[0].Start(); err != nil {
		t.Fatal(err)
	}
	awaitTime(t, 20*time.Second, "pods were injected again", func(ctx context.Context) error { return injects(ctx, c, ns) })
}

func TestOperatorWithRightsInSomeNamespacesServesThose(t *testing.T) {
	c := ownCluster(t, 0)
	for _, name := range []string{"shop", "billing"} {
		if out, err := c.Kubectl(t.Context(), "create", "namespace", name); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	in := install(t, c, operator.Options{Manifest: chartWith(t, "delivery.namespaces={shop,billing,default}")})
	elsewhere := c.Namespace(t, nil)
	for _, ns := range []string{"shop", "billing"} {
		awaitTime(t, 20*time.Second, "the namespace had its service account", func(ctx context.Context) error {
			_, err := c.Client().CoreV1().ServiceAccounts(ns).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
		appPod(t, c, ns, "app")
		awaitDelivered(t, c, ns, "app", "influxdb")
	}
	deliversAfter(t, c, "shop", "changed", time.Now())
	awaitDelivered(t, c, "billing", "app", "changed")
	pod, err := c.Client().CoreV1().Pods(elsewhere).Create(t.Context(), annotated("app", "class", "app", "port", "8080"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created{Pod: pod, warnings: []string{pod.Annotations["sidecar.holdfast.dev/status"]}}.bare(t, "not delivered to the namespace "+elsewhere)
	told(t, c, elsewhere, "app", "NoSidecar")
	if _, err := c.Client().CoreV1().Secrets(elsewhere).Get(t.Context(), "holdfast-classes", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("there is a Secret: %v", err)
	}
	for _, level := range []string{"level=ERROR", "forbidden"} {
		if log := in.Replicas[0].Log(); strings.Contains(log, level) {
			t.Errorf("the operator's log has %s:\n%s", level, tail(log, 3000))
		}
	}
}
