package recheck_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/operator/recheck"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// workload has an evicted pod replaced at once, with a sidecar or without, as a controller does.
func (c *cluster) workload(t *testing.T, injects *bool, owners ...string) {
	t.Helper()
	c.Mode = recheck.Evict
	n := 0
	create := func(owner string) {
		n++
		p := pod("a", fmt.Sprint(owner, "-", n), of(owner))
		p.CreationTimestamp = metav1.NewTime(c.now)
		if *injects {
			p.Labels = map[string]string{sidecar.InjectedLabel: "true"}
		}
		if err := c.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	was := *injects
	*injects = false
	for _, owner := range owners {
		for range 3 {
			create(owner)
		}
	}
	*injects = was
	c.evict = func(name string) error {
		c.now = c.now.Add(time.Second)
		owner, _, _ := strings.Cut(name, "-")
		if err := c.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}}); err != nil {
			return err
		}
		create(owner)
		return nil
	}
}

// looks looks so many times, an interval apart.
func (c *cluster) looks(t *testing.T, times int) {
	t.Helper()
	for range times {
		c.now = c.now.Add(interval + time.Second)
		c.told() // what was told before is of no interest
		c.look(t)
	}
}

const stopped = "holdfast_operator_evictions_stopped"

// Was: while the API server did not reach the webhook, the pods that came back bare were evicted again, without end (seen by running it).
func TestEvictionsStopWhileWhatReplacesPodsIsBareToo(t *testing.T) {
	injects := false
	c := newCluster(t)
	c.workload(t, &injects, "web", "db")
	c.looks(t, 1)
	if len(c.evicted) != 2 {
		t.Fatalf("%q are evicted, want one of each owner to try", c.evicted)
	}
	c.looks(t, 1)
	if len(c.evicted) != 2 || c.gauge(t, stopped) != 6 {
		t.Errorf("%q are evicted, %v are said to be held back", c.evicted, c.gauge(t, stopped))
	}
	if told := c.told(); !slices.ContainsFunc(told, func(e string) bool { return strings.Contains(e, "does the API server reach the webhook?") }) {
		t.Errorf("the events are %q", told)
	}
	day := int(24 * time.Hour / interval)
	c.looks(t, day-2)
	if n := len(c.evicted); n < 4 || n > 20 {
		t.Errorf("%d are evicted in a day, want some trials that become fewer", n)
	}
	was := len(c.evicted)
	c.looks(t, day)
	if n := len(c.evicted) - was; n < 1 || n > 4 {
		t.Errorf("%d are evicted in the second day, want a trial or two of each owner", n)
	}
	injects = true // as it is when the API server reaches the webhook again
	c.looks(t, day+10)
	if bare := c.figures(t, bareMetric)["a"]; bare != 0 || c.gauge(t, stopped) != 0 {
		t.Errorf("%v pods are left bare, %v held back", bare, c.gauge(t, stopped))
	}
}

func TestAllPodsFollowATrialThatHadAnEffect(t *testing.T) {
	injects := true
	c := newCluster(t)
	c.workload(t, &injects, "web")
	c.looks(t, 1)
	if len(c.evicted) != 1 {
		t.Fatalf("%q are evicted, want one to try", c.evicted)
	}
	c.look(t) // at once, as when a class appears
	if len(c.evicted) != 1 {
		t.Errorf("%q are evicted before there was time to see what came of the first", c.evicted)
	}
	if c.looks(t, 1); len(c.evicted) != 3 {
		t.Errorf("%q are evicted, want all", c.evicted)
	}
}

// One workload whose pods are never injected, whatever the reason, holds back no other for long.
func TestPodWithASidecarLetsEvictionsOfOtherOwnersGoOn(t *testing.T) {
	injects := false
	c := newCluster(t)
	c.workload(t, &injects, "odd")
	c.looks(t, 2)
	injects = true
	late := pod("a", "late", of("late"))
	late.CreationTimestamp = metav1.NewTime(c.now)
	if err := c.Create(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if c.look(t); len(c.evicted) != 1 {
		t.Errorf("%q are evicted while none is known to get a sidecar", c.evicted)
	}
	proof := pod("a", "proof", of("other"))
	proof.Labels, proof.CreationTimestamp = map[string]string{sidecar.InjectedLabel: "true"}, metav1.NewTime(c.now.Add(time.Second))
	if err := c.Create(t.Context(), proof); err != nil {
		t.Fatal(err)
	}
	if c.look(t); len(c.evicted) != 2 || c.evicted[1] != "late" {
		t.Errorf("%q are evicted, want the pod of another owner to be the next", c.evicted)
	}
}
