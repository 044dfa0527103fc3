//go:build e2e

package operator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// bundle is what the API server verifies the operator by at this moment.
func bundle(ctx context.Context, c *kube.Cluster) ([]byte, error) {
	hook, err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, "holdfast-operator", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return hook.Webhooks[0].ClientConfig.CABundle, nil
}

// served is the certificate that a replica serves to whoever has the bundle. It fails if the bundle does not verify it.
func served(ctx context.Context, addr string, bundle []byte) (*x509.Certificate, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{RootCAs: pool}}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	return leaf, conn.Close()
}

// witness shakes hands anew again and again, as API servers do that have just been started, and keeps what it saw.
type witness struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	leaves  []string // serials, in the order of their appearance
	bundles []int    // how many authorities the bundle had, each time that it changed
	last    string
	failed  []error
}

func startWitness(t *testing.T, c *kube.Cluster, addr string) *witness {
	ctx, stop := context.WithCancel(t.Context())
	w := &witness{stop: stop}
	w.done.Go(func() {
		for ctx.Err() == nil {
			w.look(ctx, c, addr)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *witness) look(ctx context.Context, c *kube.Cluster, addr string) {
	trusted, err := bundle(ctx, c)
	var leaf *x509.Certificate
	if err == nil {
		leaf, err = served(ctx, addr, trusted)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			w.failed = append(w.failed, err)
		}
		return
	}
	if text := string(trusted); text != w.last {
		w.last, w.bundles = text, append(w.bundles, strings.Count(text, "BEGIN CERTIFICATE"))
	}
	if serial := leaf.SerialNumber.Text(16); len(w.leaves) == 0 || w.leaves[len(w.leaves)-1] != serial {
		w.leaves = append(w.leaves, serial)
	}
}

func (w *witness) end() {
	w.stop()
	w.done.Wait()
}

// seen is how many certificates were served, how many authorities the bundle had over time, and what failed.
func (w *witness) seen() (leaves int, bundles []int, failed []error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.leaves), append([]int(nil), w.bundles...), w.failed
}

func TestNoPodMissesItsSidecarWhileCertificatesAreReplaced(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{Args: []string{"--cert-validity=1m", "--ca-validity=2m", "--cert-settle=5s"}})
	r := in.Replicas[0]
	pid := r.PID()
	ns := c.Namespace(t, nil)
	pods := startStream(t, c, ns, 200*time.Millisecond, metav1.DryRunAll)
	hands := startWitness(t, c, r.Webhook)
	began := time.Now()
	awaitTime(t, 3*time.Minute, "two serving certificates and one authority were replaced", func(context.Context) error {
		leaves, bundles, _ := hands.seen()
		// One authority; the new one in front of it; and the old one gone again, when nothing that it signed can be valid any more.
		if leaves < 3 || len(bundles) < 3 {
			return fmt.Errorf("%d certificates served, authorities in the bundle %v", leaves, bundles)
		}
		return nil
	})
	pods.end()
	hands.end()
	leaves, bundles, failed := hands.seen()
	injected, bare, refused := pods.counts()
	t.Logf("in %s: %d serving certificates, authorities in the bundle %v; %d pods injected, %d bare, %d refused", time.Since(began).Round(time.Second),
		leaves, bundles, injected, bare, refused)
	if bare+refused > 0 {
		t.Errorf("pods without their sidecar: %v; refused: %v", pods.bare, errors.Join(pods.refused...))
	}
	if len(failed) > 0 {
		t.Errorf("handshakes failed: %v", errors.Join(failed...))
	}
	if bundles[0] != 1 || bundles[1] != 2 {
		t.Errorf("the bundle did not hold old and new together: %v", bundles)
	}
	if r.PID() != pid {
		t.Error("the operator was restarted")
	}
}

func TestOperatorRecoversFromCertificatesThatExpired(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{Args: []string{"--cert-validity=1m", "--ca-validity=1m", "--cert-settle=5s"}})
	r := in.Replicas[0]
	ns := c.Namespace(t, nil)
	awaitTime(t, 20*time.Second, "the operator was ready", r.Ready)
	trusted, err := bundle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := served(t.Context(), r.Webhook, trusted)
	if err != nil {
		t.Fatal(err)
	}
	r.Kill()
	time.Sleep(time.Until(leaf.NotAfter.Add(2 * time.Second)))
	if err := injects(t.Context(), c, ns); err == nil {
		t.Fatal("a pod was injected by nobody")
	}
	// Another may hold the lease of the one that was killed, and only a leader makes certificates: until then the replica has expired ones.
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	unready := ""
	took := awaitTime(t, time.Minute, "the operator was ready", func(ctx context.Context) error {
		err := r.Ready(ctx)
		if err != nil && strings.Contains(err.Error(), "500") {
			unready = err.Error()
		}
		return err
	})
	if unready == "" {
		t.Error("readiness never told of the expired certificate")
	}
	again := awaitTime(t, 10*time.Second, "pods were injected again", func(ctx context.Context) error { return injects(ctx, c, ns) })
	t.Logf("ready %s after the start, injecting %s later", took.Round(time.Millisecond), again.Round(time.Millisecond))
}

func TestOperatorMakesADamagedOrDeletedSecretAnew(t *testing.T) {
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{})
	ns := c.Namespace(t, nil)
	secrets := c.Client().CoreV1().Secrets(operator.Namespace)
	patch := func(text string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := secrets.Patch(ctx, "holdfast-operator-tls", types.JSONPatchType, []byte(text), metav1.PatchOptions{})
			return err
		}
	}
	for _, test := range []struct {
		name   string
		damage func(context.Context) error
		newCA  bool
	}{
		{"deleted", func(ctx context.Context) error {
			return secrets.Delete(ctx, "holdfast-operator-tls", metav1.DeleteOptions{})
		}, true},
		{"emptied", patch(`[{"op":"remove","path":"/data"}]`), true},
		{"serving key garbage", patch(`[{"op":"replace","path":"/data/tls.key","value":"Z2FyYmFnZQ=="}]`), false},
		{"bundle garbage", patch(`[{"op":"replace","path":"/data/ca.crt","value":"Z2FyYmFnZQ=="}]`), true},
		{"authority's key lost", patch(`[{"op":"remove","path":"/data/ca.key"}]`), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, err := bundle(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.damage(t.Context()); err != nil {
				t.Fatal(err)
			}
			took := awaitTime(t, 20*time.Second, "the Secret was whole, and the bundle in the webhook configuration its own", func(ctx context.Context) error {
				s, err := secrets.Get(ctx, "holdfast-operator-tls", metav1.GetOptions{})
				if err != nil {
					return err
				}
				now, err := bundle(ctx, c)
				if err != nil {
					return err
				}
				if test.newCA && string(now) == string(before) {
					return errors.New("the bundle is the old one")
				}
				if _, err := tls.X509KeyPair(s.Data["tls.crt"], s.Data["tls.key"]); err != nil || string(now) != string(s.Data["ca.crt"]) {
					return fmt.Errorf("the Secret is not whole, or its bundle not published: %w", err)
				}
				if _, err := served(ctx, in.Replicas[0].Webhook, now); err != nil {
					return err
				}
				return injects(ctx, c, ns)
			})
			t.Logf("pods are injected again after %s", took.Round(time.Millisecond))
		})
	}
}
