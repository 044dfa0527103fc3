package inventory_test

import (
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// load reads a tree of files.
func load(t *testing.T, files map[string]string, o inventory.Options) *inventory.Inventory {
	t.Helper()
	folder := treetest.Folder(t, files)
	i, err := inventory.Load(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// application is an Application that reads a path.
func application(name, path, more string) string {
	return "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: " + name + ", namespace: argocd}\nspec:\n  project: default\n  destination: {server: https://kubernetes.default.svc, namespace: dest}\n  source: {repoURL: https://example.org/r.git, path: " + path + more + "}\n"
}

func TestAnApplicationOwnsWhatItsFolderSays(t *testing.T) {
	i := load(t, map[string]string{
		"argocd/root.yaml":             application("root", "env/c1/argocd/yml", ""),
		"env/c1/argocd/yml/a.yaml":     application("app01-c1", "env/c1/app01/yml", ""),
		"env/c1/app01/yml/a.yaml":      "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: dest, namespace: wrong}\n",
		"env/c1/app01/yml/z.yaml":      "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: dest}\n",
		"env/c1/app01/yml/sub/b.yaml":  "apiVersion: v1\nkind: Service\nmetadata: {name: b}\n",
		"env/c1/app01/yml/b.bak":       "apiVersion: v1\nkind: Service\nmetadata: {name: c}\n",
		"env/c1/app01/yml/values.yaml": "a: 1\n",
	}, inventory.Options{})
	if len(i.Applications) != 2 {
		t.Fatalf("%d Applications", len(i.Applications))
	}
	root, app := i.Applications[0], i.Applications[1]
	if len(app.Parents) != 1 || app.Parents[0] != root || len(root.Parents) != 0 {
		t.Errorf("parents are %v and %v", root.Parents, app.Parents)
	}
	if len(app.Targets) != 3 || app.Broken != nil || len(app.Unanalysed) != 0 {
		t.Errorf("%+v", app)
	}
	standing := app.Standing()
	if len(standing) != 2 || standing[object.Key{Kind: "Service", Namespace: "dest", Name: "a"}].Path != "env/c1/app01/yml/z.yaml" {
		t.Errorf("standing are %v", standing)
	}
	if _, ok := standing[object.Key{Kind: "Namespace", Name: "dest"}]; !ok {
		t.Error("the Namespace is not one of the cluster")
	}
}

func TestWhatIsNotInTheTreeIsSaidToBeMissing(t *testing.T) {
	i := load(t, map[string]string{
		"a.yaml": application("a", "x", "") + "---\n" + application("b", "y", ", chart: redis") + "---\n" + application("c", "z", ", targetRevision: f123456789012345678901234567890123456789"),
	}, inventory.Options{Repositories: []string{"git@example.com:other.git"}})
	for n, words := range []string{"not in the repository", "the chart redis", "of the commit"} {
		if got := i.Applications[n].Unanalysed; len(got) != 1 || !strings.Contains(got[0], words) {
			t.Errorf("%s: %q", i.Applications[n].Metadata.Name, got)
		}
	}
}

func TestAFileThatDoesNotParseBreaksItsApplication(t *testing.T) {
	i := load(t, map[string]string{
		"a.yaml": application("a", "x", ""), "x/a.yaml": "apiVersion: v1\nkind: A\nmetadata:\n name: a\n  b: c\n",
	}, inventory.Options{})
	if err := i.Applications[0].Broken; err == nil || !strings.Contains(err.Error(), "x/a.yaml: line") {
		t.Errorf("broken is %v", err)
	}
}

func TestAnApplicationThatCannotBeReadIsNamedAndTheRestIsRead(t *testing.T) {
	i := load(t, map[string]string{
		"a.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: bad}\nspec: {source: [1]}\n", "b.yaml": application("good", "x", ""),
	}, inventory.Options{})
	if len(i.Applications) != 1 || len(i.Refused) != 1 || i.Refused[0].Path != "a.yaml" || !strings.Contains(i.Refused[0].Err.Error(), "the Application bad") {
		t.Errorf("%+v, refused %+v", i.Applications, i.Refused)
	}
}
