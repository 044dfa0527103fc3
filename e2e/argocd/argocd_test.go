//go:build e2e

package argocd_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/argocd"
	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// atOnce is how many cases one Argo CD has to deal with.
const atOnce = 10

// TestArgoCDDoesWhatTheCasesAndThePlanSay holds the table, and what the built holdfast-guard plans, to a real Argo CD. With
// HOLDFAST_ARGOCD_ALL set all cases run, and without it those that always do.
func TestArgoCDDoesWhatTheCasesAndThePlanSay(t *testing.T) {
	for _, name := range wanted() {
		if !slices.ContainsFunc(slices.Concat(argocd.Cases(), argocd.ByHandCases()), func(c argocd.Case) bool { return c.Name == name }) {
			t.Errorf("HOLDFAST_ARGOCD_ALL names %q, and no case has that name", name)
		}
	}
	for _, tracking := range []argocd.Tracking{argocd.ByAnnotation, argocd.ByLabel, argocd.ByBoth} {
		cases, hand := selected(argocd.Cases(), tracking), selected(argocd.ByHandCases(), tracking)
		if len(cases)+len(hand) == 0 {
			continue
		}
		name := string(tracking)
		if name == "" {
			name = "annotation"
		}
		t.Run(name, func(t *testing.T) {
			instance, cache := start(t, tracking), t.TempDir()
			hands := byHand(t, instance, hand)
			results := launch(t, instance, cases)
			t.Run("by hand", hands)
			for n := range cases {
				t.Run(cases[n].Name, func(t *testing.T) {
					t.Log(cases[n].Title)
					r := <-results[n]
					if r.err != nil {
						t.Fatal(r.err)
					}
					check(t, &cases[n], r.seen)
					p, err := diff(t.Context(), cache, instance.Repository, r.seen.Commits)
					if err != nil {
						t.Fatal(err)
					}
					agree(t, &cases[n], p, r.seen.Outcome)
				})
			}
		})
	}
}

// result is what a case did.
type result struct {
	seen *argocd.Observation
	err  error
}

// launch runs cases, some at once, and returns where their results come. Subtests in parallel would be as many as there are processors, and
// most of a case is waiting.
func launch(t *testing.T, instance *argocd.Instance, cases []argocd.Case) []chan result {
	results, next := make([]chan result, len(cases)), make(chan int)
	for n := range results {
		results[n] = make(chan result, 1)
	}
	var runners sync.WaitGroup
	for range atOnce {
		runners.Go(func() {
			for n := range next {
				seen, err := instance.Run(t.Context(), &cases[n])
				results[n] <- result{seen, err}
			}
		})
	}
	go func() {
		for n := range cases {
			next <- n
		}
		close(next)
	}()
	t.Cleanup(runners.Wait)
	return results
}

// wanted are the names of cases in HOLDFAST_ARGOCD_ALL, which may be a list of them.
func wanted() []string {
	if list := os.Getenv("HOLDFAST_ARGOCD_ALL"); len(list) > 1 {
		return strings.Split(list, ",")
	}
	return nil
}

// selected returns those of the cases that are to run with one tracking method.
func selected(cases []argocd.Case, tracking argocd.Tracking) []argocd.Case {
	all, names := os.Getenv("HOLDFAST_ARGOCD_ALL") != "", wanted()
	return slices.DeleteFunc(cases, func(c argocd.Case) bool {
		return c.Tracking != tracking || !c.Always && !all || names != nil && !slices.Contains(names, c.Name)
	})
}

// start runs a control plane and an Argo CD until the test ends.
func start(t *testing.T, tracking argocd.Tracking) *argocd.Instance {
	t.Helper()
	begin := time.Now()
	cluster, err := kube.Start(t.Context(), kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	up := time.Now()
	instance, err := argocd.Start(t.Context(), cluster, tracking)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(instance.Logs())
		}
		if err := instance.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("control plane %.1fs, Argo CD %.1fs", up.Sub(begin).Seconds(), time.Since(up).Seconds())
	return instance
}

// check compares what a case did with what it is said to do.
func check(t *testing.T, c *argocd.Case, seen *argocd.Observation) {
	t.Helper()
	surprises, err := c.Surprises(seen.Outcome)
	if err != nil {
		t.Error(err)
	}
	for _, text := range surprises {
		t.Error(text)
	}
	for _, k := range slices.SortedFunc(maps.Keys(seen.Outcome), object.Key.Compare) {
		if got := seen.Outcome[k]; got != argocd.Kept {
			t.Logf("%s is %s", k, got)
		}
	}
	for _, text := range c.Says {
		if !slices.ContainsFunc(seen.Said, func(s string) bool { return strings.HasPrefix(s, text) }) {
			t.Errorf("Argo CD did not say %q", text)
		}
	}
	for _, text := range c.Silent {
		for _, s := range seen.Said {
			if _, condition, _ := strings.Cut(s, ": "); strings.Contains(strings.SplitN(condition, ":", 2)[0], text) {
				t.Errorf("Argo CD said %q", s)
			}
		}
	}
	t.Logf("last change after %.1fs; made %v; said\n\t%s", seen.Took.Seconds(), seen.Created, strings.Join(seen.Said, "\n\t"))
}
