package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// overlay is an overlay over a base that is elsewhere in the repository, with a component, generators and patches of all kinds.
var overlay = map[string]string{
	"base/kustomization.yaml": "resources:\n- db.yaml\n- more\n",
	"base/db.yaml": `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - {name: db, image: "example.org/db:1", envFrom: [{configMapRef: {name: settings}}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
`,
	"base/more/kustomization.yml":          "resources: [claim.yaml]\n",
	"base/more/claim.yaml":                 "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, annotations: {a: b}}\n",
	"overlays/prod/Kustomization":          "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: prod-\nnamespace: prod\nresources: [../../base, ns.yaml]\ncomponents: [../../components/labels]\nconfigMapGenerator:\n- {name: settings, files: [a.conf], literals: [x=1]}\npatches:\n- path: size.yaml\n- target: {kind: StatefulSet}\n  patch: '[{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 3}]'\n",
	"overlays/prod/ns.yaml":                "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}\n",
	"overlays/prod/a.conf":                 "a = 1\n",
	"overlays/prod/size.yaml":              "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {size: 10Gi}\n",
	"components/labels/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels:\n- pairs: {team: db}\n",
	"components/second/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {second: 'yes'}\n",
}

func kustomize(more func(*engine.KustomizeOptions)) *engine.Spec {
	s := &engine.Spec{Tool: engine.Kustomize, Path: "overlays/prod"}
	if more != nil {
		more(&s.Kustomize)
	}
	return s
}

// golden holds a result against a file of testdata, which Kustomize 5.7.1 wrote.
func golden(t *testing.T, r *engine.Result, name string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var texts, origins []string
	for _, d := range r.Documents {
		texts, origins = append(texts, string(d.Data)), append(origins, d.Origin)
	}
	if got := strings.Join(texts, "---\n"); got != string(want) {
		t.Errorf("it renders\n%s\nand not\n%s", got, want)
	}
	if got := strings.Join(origins, " "); got != "overlays/prod/ns.yaml overlays/prod/Kustomization base/db.yaml base/more/claim.yaml base/db.yaml" {
		t.Errorf("the objects are from %s", got)
	}
}

func TestKustomizeRendersOverlaysAsItsProgramDoes(t *testing.T) {
	r, err := render(t, overlay, kustomize(nil), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, r, "overlay.yaml")
}

func TestKustomizeIsEditedAsTheSourceSays(t *testing.T) {
	r, err := render(t, overlay, kustomize(func(o *engine.KustomizeOptions) {
		o.NamePrefix, o.NameSuffix, o.Namespace = "p-", "-s", "other"
		o.Images = []string{"example.org/db=example.org/mirror/db:2@sha256:aa"}
		o.Replicas = []engine.Replicas{{Name: "db", Count: 5}}
		o.Labels, o.Annotations = map[string]string{"l": "1"}, map[string]string{"note": "2"}
		o.Patches = []any{map[string]any{"target": map[string]any{"kind": "PersistentVolumeClaim"}, "patch": "- {op: add, path: /spec/class, value: fast}"}}
		o.Components = []string{"../../components/second", "../../components/none"}
		o.IgnoreMissingComponents = true
	}), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, r, "edited.yaml")
}

func TestOriginsThatAKustomizationAsksForStay(t *testing.T) {
	r, err := render(t, with(overlay, "overlays/prod/Kustomization", "resources: [../../base/more]\nbuildMetadata: [originAnnotations]\n"), kustomize(nil), engine.Options{})
	if err != nil || !strings.Contains(text(r), "config.kubernetes.io/origin") {
		t.Errorf("%v, %s", err, text(r))
	}
}

func TestWhatIsWrongInAKustomizationIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		text, message string
		fault         engine.Fault
		more          func(*engine.KustomizeOptions)
	}{
		"a field":          {"resource: [a]", "unknown field", engine.OfSource, nil},
		"no YAML":          {"a: b: c", "mapping values", engine.OfSource, nil},
		"a missing file":   {"resources: [none.yaml]", "none.yaml", engine.OfSource, nil},
		"a cycle":          {"resources: [../prod]", "cycle", engine.OfSource, nil},
		"a second object":  {"resources: [../../base, ../../base/db.yaml]", "", engine.OfReach, nil}, // a file of another folder needs an option
		"twice the same":   {"resources: [ns.yaml, again.yaml]", "may not add resource with an already registered id", engine.OfSource, nil},
		"a remote base":    {"resources: ['https://github.com/example/repo//base?ref=v1']", "fetches", engine.OfReach, nil},
		"a remote file":    {"resources: ['https://example.org/a.yaml']", "fetches", engine.OfReach, nil},
		"git by ssh":       {"resources: ['git@github.com:example/repo.git']", "fetches", engine.OfReach, nil},
		"outside":          {"resources: [../../../../etc]", "not in the repository", engine.OfReach, nil},
		"an absolute path": {"configMapGenerator: [{name: a, files: [/etc/passwd]}]", "not in the repository", engine.OfReach, nil},
		"a chart":          {"helmCharts: [{name: a, repo: 'https://example.org'}]", "buildOptions", engine.OfReach, nil},
		"a program":        {"generators: [exec.yaml]", "buildOptions", engine.OfReach, nil},
		"a label":          {"commonLabels: {l: '0'}", "forceCommonLabels", engine.OfSource, func(o *engine.KustomizeOptions) { o.Labels = map[string]string{"l": "1"} }},
		"an image":         {"", "sets nothing", engine.OfSource, func(o *engine.KustomizeOptions) { o.Images = []string{"a"} }},
		"a lost component": {"", "none", engine.OfSource, func(o *engine.KustomizeOptions) { o.Components = []string{"../none"} }},
	} {
		t.Run(name, func(t *testing.T) {
			files := with(overlay, "overlays/prod/Kustomization", c.text, "overlays/prod/again.yaml", overlay["overlays/prod/ns.yaml"],
				"overlays/prod/exec.yaml", "apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  annotations: {config.kubernetes.io/function: 'exec: {path: /bin/true}'}\n")
			_, err := render(t, files, kustomize(c.more), engine.Options{})
			if got := failure(t, err); got.Fault != c.fault || !strings.Contains(got.Message, c.message) {
				t.Errorf("it says %d, %v", got.Fault, got)
			}
		})
	}
}

func TestLinksAreWhatTheyLeadTo(t *testing.T) {
	folder := treetest.Folder(t, with(overlay, "overlays/prod/Kustomization", "resources: [link.yaml]\n"))
	root := strings.TrimPrefix(folder.Name(), "the folder ")
	for name, c := range map[string]struct {
		target string
		fault  engine.Fault
		ok     bool
	}{
		"in the folder":         {"ns.yaml", 0, true},
		"in the repository":     {"../../base/db.yaml", engine.OfReach, false}, // Kustomize takes no files of other folders
		"out of the repository": {"/etc/hostname", engine.OfSource, false},
		"to a folder":           {"../../base", engine.OfReach, false},
	} {
		link := filepath.Join(root, "overlays/prod/link.yaml")
		if err := os.Symlink(c.target, link); err != nil {
			t.Fatal(err)
		}
		linked, err := tree.Folder(root)
		if err != nil {
			t.Fatal(err)
		}
		e := engine.New(engine.Options{})
		_, err = e.Render(t.Context(), linked, kustomize(nil))
		if c.ok != (err == nil) || err != nil && failure(t, err).Fault != c.fault {
			t.Errorf("%s: it says %v", name, err)
		}
		if err := errors.Join(e.Close(), linked.Close(), os.Remove(link)); err != nil {
			t.Fatal(err)
		}
	}
}
