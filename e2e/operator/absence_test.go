//go:build e2e

package operator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/chart"
	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// chartWith is what the chart renders with other values, for kubectl apply.
func chartWith(t *testing.T, values string) string {
	t.Helper()
	docs, err := render(t, "--include-crds", "--set", "plain=true,classes.create=false,"+values)
	if err != nil {
		t.Fatal(err)
	}
	return chart.Join("holdfast-operator", "The chart with "+values, docs)
}

// guarded is a Deployment of three of which two must always be there.
const guarded = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: guarded
  namespace: NAMESPACE
spec:
  replicas: 3
  selector:
    matchLabels:
      app: guarded
  template:
    metadata:
      labels:
        app: guarded
      annotations:
        telegraf.influxdata.com/port: "8080"
        telegraf.influxdata.com/class: CLASS
    spec:
      containers:
      - name: app
        image: app
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: guarded
  namespace: NAMESPACE
spec:
  minAvailable: 2
  selector:
    matchLabels:
      app: guarded
`

func applyGuarded(t *testing.T, c *kube.Cluster, namespace, class string) {
	t.Helper()
	text := strings.NewReplacer("NAMESPACE", namespace, "CLASS", class).Replace(guarded)
	if out, err := c.Apply(t.Context(), text); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	awaitTime(t, time.Minute, "three pods were ready", func(ctx context.Context) error {
		ready, _, err := guardedPods(ctx, c, namespace)
		if err == nil && ready != 3 {
			err = fmt.Errorf("%d are", ready)
		}
		return err
	})
}

// guardedPods returns how many pods of the Deployment are ready, and how many of those have their sidecar.
func guardedPods(ctx context.Context, c *kube.Cluster, namespace string) (ready, injected int, err error) {
	list, err := c.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=guarded"})
	if err != nil {
		return 0, 0, err
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil || !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			continue
		}
		ready++
		if p.Labels["sidecar.holdfast.dev/injected"] == "true" {
			injected++
		}
	}
	return ready, injected, nil
}

// guard watches how few pods of the Deployment are ready at a time.
type guard struct {
	stop  context.CancelFunc
	done  sync.WaitGroup
	least int
}

func startGuard(t *testing.T, c *kube.Cluster, namespace string) *guard {
	ctx, stop := context.WithCancel(t.Context())
	g := &guard{stop: stop, least: 3}
	g.done.Go(func() {
		for ctx.Err() == nil {
			if ready, _, err := guardedPods(ctx, c, namespace); err == nil {
				g.least = min(g.least, ready)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return g
}

// end returns the least.
func (g *guard) end() int {
	g.stop()
	g.done.Wait()
	return g.least
}

// awaitEvicted waits until all pods of the Deployment have their sidecar, and fails if there were ever fewer than two ready.
func awaitEvicted(t *testing.T, c *kube.Cluster, namespace string) {
	t.Helper()
	g := startGuard(t, c, namespace)
	took := awaitTime(t, 2*time.Minute, "all pods of the Deployment had their sidecar", func(ctx context.Context) error {
		ready, injected, err := guardedPods(ctx, c, namespace)
		if err == nil && (ready != 3 || injected != 3) {
			err = fmt.Errorf("%d ready, %d of them with a sidecar", ready, injected)
		}
		return err
	})
	least := g.end()
	t.Logf("all had their sidecar after %s; never fewer than %d were ready", took.Round(time.Millisecond), least)
	if least < 2 {
		t.Errorf("only %d were ready: the disruption budget was broken", least)
	}
}

// told waits for an event on an object.
func told(t *testing.T, c *kube.Cluster, namespace, object, reason string) {
	t.Helper()
	awaitTime(t, 30*time.Second, "event "+reason+" on "+object, func(ctx context.Context) error {
		list, err := c.Client().EventsV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Regarding.Name == object {
				return nil
			}
		}
		return errors.New("there is none")
	})
}

// bareAre waits until a replica reports so many pods without their sidecar.
func bareAre(t *testing.T, r *operator.Replica, namespace string, want int) {
	t.Helper()
	awaitTime(t, time.Minute, fmt.Sprintf("%d bare pods were counted", want), func(ctx context.Context) error {
		n, err := seriesOf(ctx, r, fmt.Sprintf("holdfast_operator_bare_pods{namespace=%q}", namespace))
		if err == nil && int(n) != want {
			err = fmt.Errorf("%v are", n)
		}
		return err
	})
}

func TestPodsThatWereCreatedWithoutTheOperatorAreFoundAndReplaced(t *testing.T) {
	c := ownCluster(t, 2)
	in := install(t, c, operator.Options{Manifest: chartWith(t, "recheck.mode=evict"), Args: []string{"--recheck-interval=2s"}})
	r := in.Replicas[0]
	ns := c.Namespace(t, nil)
	pods := startStream(t, c, ns, 50*time.Millisecond)
	time.Sleep(2 * time.Second)
	r.Kill()
	killed := time.Now()
	applyGuarded(t, c, ns, "default")
	time.Sleep(time.Second)
	pods.end()
	injected, bare, refused := pods.counts()
	t.Logf("%d pods injected before the kill; %d bare and %d refused in the %s after it", injected, bare, refused, time.Since(killed).Round(time.Millisecond))
	if refused > 0 {
		t.Errorf("pods were refused: %v", errors.Join(pods.refused...))
	}
	if injected == 0 || bare == 0 {
		t.Fatal("the kill came too early or too late to show anything")
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	awaitEvicted(t, c, ns)
	name, _, _ := strings.Cut(pods.bare[0], " ")
	told(t, c, ns, name, "SidecarMissing")
	list, err := c.Client().CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app!=guarded"})
	if err != nil {
		t.Fatal(err)
	}
	// The API server may have made one more, whose answer the stream did not wait for at its end.
	if len(list.Items) < injected+bare || slices.ContainsFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }) {
		t.Errorf("of %d pods without a controller %d are left", injected+bare, len(list.Items))
	}
	bareAre(t, r, ns, len(list.Items)-injected) // those that nothing would create anew
	t.Run("SoAreThoseWhoseClassCameLater", func(t *testing.T) {
		ns := c.Namespace(t, nil)
		applyGuarded(t, c, ns, "later")
		list, err := c.Client().CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list.Items {
			if status := p.Annotations["sidecar.holdfast.dev/status"]; !strings.Contains(status, "later") {
				t.Errorf("the status does not name the class: %q", status)
			}
		}
		putClassIn(t, c, "later", classes["default"])
		awaitEvicted(t, c, ns)
	})
}

func TestPodWhoseClassCameLaterIsReported(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	create(t, ns, annotated("early", "class", "yet-to-come", "port", "8080")).bare(t, "yet-to-come")
	told(t, cluster, ns, "early", "NoSidecar")
	putClass(t, "yet-to-come", new(classes["default"]))
	t.Cleanup(func() { putClass(t, "yet-to-come", nil) })
	bareAre(t, installed.Replicas[0], ns, 1)
	told(t, cluster, ns, "early", "SidecarMissing")
	if _, err := cluster.Client().CoreV1().Pods(ns).Get(t.Context(), "early", metav1.GetOptions{}); err != nil {
		t.Errorf("the pod is not left alone: %v", err)
	}
}

// Was: a Deployment of three had 36 pods evicted in 40 s, and no end (seen by running it).
func TestEvictionsStopWhileTheAPIServerDoesNotReachTheWebhook(t *testing.T) {
	c := ownCluster(t, 2)
	in := install(t, c, operator.Options{Manifest: chartWith(t, "recheck.mode=evict"), Args: []string{"--recheck-interval=2s"}})
	if err := in.RouteTo(t.Context(), "https://127.0.0.1:1/mutate-v1-pod"); err != nil {
		t.Fatal(err)
	}
	ns := c.Namespace(t, nil)
	awaitTime(t, 30*time.Second, "pods came through bare", func(ctx context.Context) error {
		if injects(ctx, c, ns) == nil {
			return errors.New("one was injected")
		}
		return nil
	})
	applyGuarded(t, c, ns, "default")
	awaitTime(t, time.Minute, "evictions were held back", func(ctx context.Context) error {
		n, err := seriesOf(ctx, in.Replicas[0], "holdfast_operator_evictions_stopped")
		if err == nil && n != 3 {
			err = fmt.Errorf("%v are", n)
		}
		return err
	})
	if n, err := seriesOf(t.Context(), in.Replicas[0], `holdfast_operator_evictions_total{result="evicted"}`); err != nil || n > 2 {
		t.Errorf("%v pods were evicted until then, %v: want a trial", n, err)
	}
	if err := in.Route(t.Context(), in.Replicas[0]); err != nil {
		t.Fatal(err)
	}
	awaitEvicted(t, c, ns)
}
