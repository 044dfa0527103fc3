//go:build e2e

package argocd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/argocd"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// server is the cluster that all cases deploy to.
const server = "https://kubernetes.default.svc"

// predicted is what a fate of the plan has to become. What the plan does not name is kept.
var predicted = map[string]argocd.Fate{
	"untouched": argocd.Kept, "kept": argocd.Kept, "orphaned": argocd.Orphaned, "held": argocd.Held,
	"at risk": argocd.AtRisk, "recreated": argocd.Recreated, "deleted": argocd.Deleted,
}

// planned is what is read of the plan.
type planned struct {
	Changes []struct {
		Application object.Key
		Fate        string
		Added       bool
		Effects     []struct {
			Cluster string
			Object  object.Key
			Fate    string
			Why     string
		}
	}
	Unanalysed []string
	Findings   []struct{ Rule string }
}

// diff runs the built program on the last two commits of a case, with more flags.
func diff(ctx context.Context, cache string, r *argocd.Repository, commits []string, flags ...string) (*planned, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	last := commits[len(commits)-2:]
	args := append([]string{"diff", "--repo", r.Dir, "--allow-unanalysed", "--cache", cache, "-o", "json", last[0] + ".." + last[1]}, flags...)
	cmd := exec.CommandContext(ctx, filepath.Join("..", "..", "bin", "holdfast-guard"), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		return nil, fmt.Errorf("%s: %w: %s", cmd, err, stderr.String())
	}
	p := new(planned)
	if err := json.Unmarshal(stdout.Bytes(), p); err != nil {
		return nil, fmt.Errorf("reading the plan: %w", err)
	}
	return p, nil
}

// outcome turns a plan into fates. Every object has one, from whichever Application, and an Application's own is that of its definition.
func (p *planned) outcome() (argocd.Outcome, error) {
	all := make(argocd.Outcome)
	add := func(k object.Key, word, of string) error {
		fate, ok := predicted[word]
		if !ok {
			return fmt.Errorf("%s: %s has it %q", k, of, word)
		}
		if other, ok := all[k]; ok && other != fate {
			return fmt.Errorf("%s: it is planned to be %s, and by %s %s", k, other, of, fate)
		}
		all[k] = fate
		return nil
	}
	for _, c := range p.Changes {
		for _, e := range c.Effects {
			if e.Cluster != server {
				return nil, fmt.Errorf("%s is in the cluster %s", e.Object, e.Cluster)
			}
			if err := add(e.Object, e.Fate, c.Application.Name); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range p.Changes {
		if !c.Added {
			if err := add(c.Application, c.Fate, "its own change"); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// agree holds the plan of a case against what was observed. Pods are not in git: they go with their StatefulSet, or with
// their claim.
func agree(t *testing.T, c *argocd.Case, p *planned, observed argocd.Outcome) {
	t.Helper()
	if c.Beyond != "" {
		if !slices.ContainsFunc(p.Findings, func(f struct{ Rule string }) bool { return f.Rule == c.Beyond }) {
			t.Errorf("no finding of %s says that the plan is not whole: %+v", c.Beyond, p.Findings)
		}
		return
	}
	if len(p.Unanalysed) > 0 {
		t.Errorf("the plan does not know %q", p.Unanalysed)
	}
	plan, err := p.outcome()
	if err != nil {
		t.Error(err)
		return
	}
	for k := range observed {
		for set, fate := range plan {
			of := set.Kind == "StatefulSet" && strings.HasPrefix(k.Name, set.Name+"-") && fate != argocd.Orphaned
			of = of || set.Kind == "PersistentVolumeClaim" && strings.HasSuffix(set.Name, "-"+k.Name) && fate == argocd.Deleted
			if k.Kind == "Pod" && k.Namespace == set.Namespace && of {
				plan[k] = fate
			}
		}
	}
	wrong, err := c.Disagreements(observed, plan)
	if err != nil {
		t.Error(err)
	}
	for _, text := range wrong {
		t.Error(text)
	}
	if len(wrong) > 0 {
		text, _ := json.MarshalIndent(p, "", " ")
		t.Logf("%s: %s\n%s", c.Name, c.Title, text)
	}
}

// TestThePlanSaysWhatTheCasesSay needs no Argo CD: what each case says that Argo CD does was seen.
func TestThePlanSaysWhatTheCasesSay(t *testing.T) {
	repository, err := argocd.NewRepository(t.Context(), filepath.Join(t.TempDir(), "cases.git"))
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for _, c := range argocd.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			commits, err := c.Write(t.Context(), repository)
			if err != nil {
				t.Fatal(err)
			}
			p, err := diff(t.Context(), cache, repository, commits)
			if err != nil {
				t.Fatal(err)
			}
			before, err := c.Named()
			if err != nil {
				t.Fatal(err)
			}
			if plan, err := p.outcome(); err == nil {
				for k := range plan {
					before[k] = argocd.Kept
				}
			}
			expected, err := c.Expected(before)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, &c, p, expected)
		})
	}
}
