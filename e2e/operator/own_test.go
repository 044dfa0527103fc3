//go:build e2e

package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// ownCluster is a control plane of one test's own, for what would disturb others.
func ownCluster(t *testing.T, nodes int) *kube.Cluster {
	t.Helper()
	c, err := kube.Start(t.Context(), kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	if nodes > 0 {
		if err := c.StartKwok(t.Context(), nodes); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// install installs operators into a cluster of a test's own.
func install(t *testing.T, c *kube.Cluster, o operator.Options) *operator.Installation {
	t.Helper()
	program, err := holdfastOperator()
	if err != nil {
		t.Fatal(err)
	}
	o.Program, o.Deploy = program, deploy
	if o.Classes == nil {
		o.Classes = classes
	}
	in, err := operator.Install(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Stop()
		if t.Failed() {
			for i, r := range in.Replicas {
				t.Logf("replica %d wrote:\n%s", i, tail(r.Log(), 6000))
			}
		}
	})
	return in
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// stream creates pods one after the other, in dry runs unless they are kept, and tells which came through bare and which were refused.
type stream struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	injected int
	bare     []string // names with times
	refused  []error
}

// startStream creates a pod of a namespace each time the interval has passed.
func startStream(t *testing.T, c *kube.Cluster, namespace string, every time.Duration, dryRun ...string) *stream {
	ctx, stop := context.WithCancel(t.Context())
	s := &stream{stop: stop}
	tick := time.NewTicker(every)
	s.done.Go(func() {
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			s.done.Go(func() { s.create(ctx, c, namespace, "stream-"+strconv.Itoa(i), dryRun) })
		}
	})
	t.Cleanup(s.end)
	return s
}

func (s *stream) create(ctx context.Context, c *kube.Cluster, namespace, name string, dryRun []string) {
	pod, err := c.Client().CoreV1().Pods(namespace).Create(ctx, annotated(name, "port", "8080"), metav1.CreateOptions{DryRun: dryRun})
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.refused = append(s.refused, err)
	case pod.Labels["sidecar.holdfast.dev/injected"] == "true":
		s.injected++
	default:
		s.bare = append(s.bare, fmt.Sprintf("%s at %s", name, time.Now().Format(time.TimeOnly)))
	}
}

func (s *stream) end() {
	s.stop()
	s.done.Wait()
}

// counts returns how many pods got their sidecar, how many came through without, and how many were refused.
func (s *stream) counts() (injected, bare, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.injected, len(s.bare), len(s.refused)
}

// awaitTime waits for something, and returns how long that took; what it returns in the end is why it is not so.
func awaitTime(t *testing.T, within time.Duration, what string, ok func(context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, within, func() error {
		if err := ok(t.Context()); err != nil {
			return fmt.Errorf("not within %s: %s: %w", within, what, err)
		}
		return nil
	})
	return time.Since(began)
}

// injects is nil when a pod that is created now gets its sidecar.
func injects(ctx context.Context, c *kube.Cluster, namespace string) error {
	pod, err := c.Client().CoreV1().Pods(namespace).Create(ctx, annotated("looks", "port", "8080"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	if pod.Labels["sidecar.holdfast.dev/injected"] != "true" {
		return errors.New("a pod came through without a sidecar")
	}
	return nil
}

// seriesOf is the value of a series, as it is written in a replica's metrics: name and labels.
func seriesOf(ctx context.Context, r *operator.Replica, series string) (float64, error) {
	text, err := r.Scrape(ctx)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			return strconv.ParseFloat(rest, 64)
		}
	}
	return 0, fmt.Errorf("there is no series %s", series)
}

// putClassIn writes a class of a cluster of a test's own.
func putClassIn(t *testing.T, c *kube.Cluster, name, text string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"stringData": map[string]string{name: text}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Client().CoreV1().Secrets(operator.Namespace).Patch(t.Context(), "holdfast-operator-classes", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
