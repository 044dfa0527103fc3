//go:build e2e

package argocd_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/argocd"
)

// byHand starts the cases that change what lives by hand, and returns what holds the plans that were made before each change, as for a pull
// request, against what Argo CD then did: that with --live agrees, and that of git alone does not.
func byHand(t *testing.T, instance *argocd.Instance, cases []argocd.Case) func(*testing.T) {
	plans := newPlans(t)
	for n := range cases {
		plans.before(&cases[n])
	}
	results := launch(t, instance, cases)
	return func(t *testing.T) {
		for n := range cases {
			t.Run(cases[n].Name, func(t *testing.T) {
				c := &cases[n]
				t.Log(c.Title)
				r := <-results[n]
				if r.err != nil {
					t.Fatal(r.err)
				}
				check(t, c, r.seen)
				agree(t, c, plans.of[c.Name+"live"], r.seen.Outcome)
				plans.differ(t, c, r.seen.Outcome)
				if c.Name == "h03" { // an export has what that is about
					agree(t, c, plans.of[c.Name+"export"], r.seen.Outcome)
				}
			})
		}
	}
}

// plans are those that are made before the change of each case.
type plans struct {
	cache string
	mu    sync.Mutex
	of    map[string]*planned
}

func newPlans(t *testing.T) *plans { return &plans{cache: t.TempDir(), of: make(map[string]*planned)} }

// before has the plans made after the change by hand: of a branch that has what the next commit has.
func (p *plans) before(c *argocd.Case) {
	hand := c.ByHand
	c.ByHand = func(ctx context.Context, i *argocd.Instance, c *argocd.Case) error {
		if err := hand(ctx, i, c); err != nil {
			return err
		}
		trees := c.Trees(i.URL)
		branch := c.Name + "-proposed"
		for _, tree := range trees[len(trees)-2:] {
			if _, err := i.Commit(ctx, branch, c.Title, tree); err != nil {
				return err
			}
		}
		export := filepath.Join(p.cache, c.Name+".yaml")
		if err := i.Export(ctx, export); err != nil {
			return err
		}
		for name, live := range map[string][]string{
			"git": nil, "live": {"--live", "kubeconfig", "--kubeconfig", i.Kubeconfig()}, "export": {"--live", export},
		} {
			made, err := diff(ctx, p.cache, i.Repository, []string{branch + "~1", branch}, live...)
			if err != nil {
				return err
			}
			p.mu.Lock()
			p.of[c.Name+name] = made
			p.mu.Unlock()
		}
		return nil
	}
}

// differ fails where git alone says the same: such a case holds nothing.
func (p *plans) differ(t *testing.T, c *argocd.Case, observed argocd.Outcome) {
	t.Helper()
	alone, err := p.of[c.Name+"git"].outcome()
	if err != nil {
		t.Fatal(err)
	}
	lives, err := p.of[c.Name+"live"].outcome()
	if err != nil {
		t.Fatal(err)
	}
	var by []string
	for k := range observed {
		a, l := alone[k], lives[k]
		if a == "" {
			a = argocd.Kept
		}
		if l == "" {
			l = argocd.Kept
		}
		if a != l {
			by = append(by, fmt.Sprintf("%s: by git alone %s, with what lives %s", k, a, l))
		}
	}
	if len(by) == 0 && c.Name != argocd.SameByGit {
		t.Error("git alone says the same")
	}
	t.Log(strings.Join(by, "\n"))
}
