//go:build e2e

package argocd_test

import (
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/argocd"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

var update = flag.Bool("update", false, "write the table of the cases into docs/guard/argocd.md")

func TestTheControllersAreReachedFromNowhereElse(t *testing.T) {
	if os.Getenv("HOLDFAST_PRIVATE_NETWORK") == "" {
		t.Log("this system permits no network of its own; TestMain said so")
		return
	}
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			t.Errorf("there is %s", i.Name)
		}
	}
}

func TestEveryCaseCanBeWrittenWithoutArgoCD(t *testing.T) {
	repository, err := argocd.NewRepository(t.Context(), filepath.Join(t.TempDir(), "cases.git"))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	always := 0
	for _, c := range argocd.Cases() {
		if names[c.Name] {
			t.Errorf("two cases are called %s", c.Name)
		}
		names[c.Name] = true
		if c.Always {
			always++
		}
		trees := c.Trees(repository.URL)
		if maps.Equal(trees[0], trees[len(trees)-1]) {
			t.Errorf("case %s changes no file", c.Name)
		}
		for _, tree := range trees {
			for path, text := range tree {
				if strings.Contains(path+strings.ReplaceAll(text, "{$patch:", ""), "$") {
					t.Errorf("case %s leaves a name open in %s", c.Name, path)
				}
			}
		}
		if !c.Always {
			continue
		}
		commits, err := c.Write(t.Context(), repository)
		if err != nil {
			t.Fatal(err)
		}
		root, err := exec.CommandContext(t.Context(), "git", "--git-dir", repository.Dir, "show", commits[len(commits)-1]+":"+argocd.RootFile).Output()
		if err != nil || string(root) != trees[len(trees)-1][argocd.RootFile] {
			t.Errorf("case %s has the root %q: %v", c.Name, root, err)
		}
	}
	if always != 10 || len(names) < 27+15 {
		t.Errorf("%d cases, %d of them always run", len(names), always)
	}
}

func TestAPredictionIsHeldAgainstWhatWasSeen(t *testing.T) {
	claim := func(name string) object.Key {
		return object.Key{Kind: "PersistentVolumeClaim", Namespace: "x01-app01", Name: name}
	}
	c := argocd.Case{Name: "x01", Racing: []string{"PersistentVolumeClaim app01/c"}, Or: argocd.Orphaned, Remade: []string{"PersistentVolumeClaim app01/e"}}
	seen := argocd.Outcome{claim("a"): argocd.Deleted, claim("b"): argocd.Kept, claim("c"): argocd.Deleted, claim("e"): argocd.Recreated, claim("f"): argocd.Deleting}
	right := argocd.Outcome{claim("a"): argocd.Deleted, claim("c"): argocd.AtRisk, claim("e"): argocd.Deleted, claim("f"): argocd.Held}
	for _, test := range []struct {
		name  string
		fate  argocd.Fate
		wrong int
	}{
		{"a", argocd.Deleted, 0}, {"b", argocd.Kept, 0}, {"b", argocd.Held, 0}, {"c", argocd.AtRisk, 0}, {"e", argocd.Recreated, 0},
		{"a", "", 1}, {"c", "", 1}, {"e", "", 1}, {"f", "", 1},
		{"a", argocd.Recreated, 1}, {"a", argocd.Kept, 1}, {"a", argocd.Held, 1}, {"a", argocd.AtRisk, 1},
		{"b", argocd.AtRisk, 1}, {"b", argocd.Deleted, 1}, {"b", argocd.Orphaned, 1},
		{"c", argocd.Deleted, 1}, {"d", argocd.Deleted, 1}, {"e", argocd.Kept, 1}, {"f", argocd.Kept, 1},
	} {
		predicted := maps.Clone(right)
		if predicted[claim(test.name)] = test.fate; test.fate == "" {
			delete(predicted, claim(test.name))
		}
		got, err := c.Disagreements(seen, predicted)
		if err != nil || len(got) != test.wrong {
			t.Errorf("%s predicted %q: %v, %q", test.name, test.fate, err, got)
		}
	}
	c.Approve = "app01-cluster01"
	for name, wrong := range map[string]int{"a": 0, "b": 1} {
		got, err := c.Disagreements(argocd.Outcome{claim(name): seen[claim(name)]}, argocd.Outcome{claim(name): argocd.Held})
		if err != nil || len(got) != wrong {
			t.Errorf("%s held, and approved: %v, %q", name, err, got)
		}
	}
}

func TestTheDocumentHasEveryCase(t *testing.T) {
	const begin, end = "<!-- cases -->\n", "<!-- end of cases -->\n"
	path := filepath.Join("..", "..", "docs", "guard", "argocd.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the cases", path)
	}
	want := fmt.Sprint(head, begin, argocd.Table(argocd.Cases()), end, tail)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s differs from the cases; run go test -tags e2e -run %s ./e2e/argocd -update", path, t.Name())
	}
}
