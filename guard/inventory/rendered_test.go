package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
)

// keys are the targets of an Application, with where they come from.
func keys(a *inventory.Application) string {
	var all []string
	for _, t := range a.Targets {
		all = append(all, fmt.Sprintf("%s %s/%s@%s", t.Key.Kind, t.Key.Namespace, t.Key.Name, t.Origin))
	}
	return strings.Join(all, ", ")
}

func named(t *testing.T, i *inventory.Inventory, name string) *inventory.Application {
	t.Helper()
	for _, a := range i.Applications {
		if a.Metadata.Name == name {
			return a
		}
	}
	t.Fatalf("there is no Application %s", name)
	return nil
}

// apps renders an Application for each of a few names, in jsonnet.
const apps = `
local app(name) = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', metadata: { name: name, namespace: 'argocd' }, spec: {
  project: 'default', destination: { server: 'https://kubernetes.default.svc', namespace: name },
  source: { repoURL: 'https://example.org/r.git', path: 'apps/' + name, directory: { jsonnet: { libs: ['lib'], extVars: [
    { name: 'name', value: '$ARGOCD_APP_NAME-$${x}' }, { name: 'n', value: '2', code: true } ] } } } } };
[app(name) for name in std.extVar('names')]`

func TestApplicationsThatJsonnetRendersAreFoundWithTheirObjects(t *testing.T) {
	i := load(t, map[string]string{
		"root.yaml":           application("root", "root", ", directory: {jsonnet: {extVars: [{name: names, value: '[\"a\", \"b\"]', code: true}]}}"),
		"root/apps.jsonnet":   apps,
		"apps/a/main.jsonnet": "local l = import 'l.libsonnet'; [l.set(std.extVar('name'), std.extVar('n')), null]",
		"apps/a/more.yaml":    "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n",
		"apps/b/main.jsonnet": "{apiVersion: 'v1', kind: 'List', items: [(import 'l.libsonnet').set('x', 1)]}",
		"lib/l.libsonnet":     "{set(name, n):: {apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: {name: name}, spec: {replicas: n}}}",
	}, inventory.Options{})
	root, a, b := named(t, i, "root"), named(t, i, "a"), named(t, i, "b")
	if keys(root) != "Application argocd/a@root/apps.jsonnet:1, Application argocd/b@root/apps.jsonnet:1" {
		t.Errorf("root has %s", keys(root))
	}
	if len(a.Parents) != 1 || a.Parents[0] != root || len(b.Parents) != 1 {
		t.Errorf("the parents are %v and %v", a.Parents, b.Parents)
	}
	if keys(a) != "StatefulSet a/a-${x}@apps/a/main.jsonnet:1, Service a/s@apps/a/more.yaml:1" || keys(b) != "StatefulSet b/x@apps/b/main.jsonnet:1" {
		t.Errorf("a has %s, b has %s", keys(a), keys(b))
	}
	body, err := i.Body(a.Targets[0].Origin)
	if err != nil || body["spec"].(map[string]any)["replicas"] != 2.0 || !i.Made(a.Targets[0].Origin) || i.Made(a.Targets[1].Origin) {
		t.Errorf("its body is %v, %v", body, err)
	}
	for _, a := range i.Applications {
		if a.Broken != nil || len(a.Unanalysed) != 0 {
			t.Errorf("%s: %v, %v", a.Metadata.Name, a.Broken, a.Unanalysed)
		}
	}
}

func TestABodyThatIsNotKeptIsThatOfTheRenderedObject(t *testing.T) {
	i := load(t, map[string]string{
		"a.yaml":      application("a", "a", ""),
		"a/x.jsonnet": "[{apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'c%d' % n}, data: {n: '%d' % n}} for n in [1, 2]]",
	}, inventory.Options{})
	for n, want := range []string{"1", "2"} {
		o := i.Applications[0].Targets[n].Origin
		body, err := i.Body(o)
		if err != nil || o.Object.Body != nil || body["data"].(map[string]any)["n"] != want {
			t.Errorf("the body is %v, %v", body, err)
		}
	}
}

func TestAnApplicationThatRendersItselfIsThereOnce(t *testing.T) {
	self := `{apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', metadata: {name: std.extVar('n'), namespace: 'argocd'}, spec: {project: 'default',
  destination: {server: 'https://kubernetes.default.svc', namespace: 'dest'}, source: {repoURL: 'https://example.org/r.git', path: 'root', directory: {jsonnet: {extVars: [{name: 'n', value: %s}]}}}}}`
	i := load(t, map[string]string{
		"a.yaml":         application("a", "root", ", directory: {jsonnet: {extVars: [{name: n, value: a}]}}"),
		"root/a.jsonnet": fmt.Sprintf(self, "'a'"),
	}, inventory.Options{})
	if len(i.Applications) != 1 || len(i.Applications[0].Parents) != 1 || i.Applications[0].Parents[0] != i.Applications[0] {
		t.Errorf("there are %d Applications", len(i.Applications))
	}
	i = load(t, map[string]string{
		"a.yaml":         application("a", "root", ", directory: {jsonnet: {extVars: [{name: n, value: a}]}}"),
		"root/a.jsonnet": fmt.Sprintf(self, "std.extVar('n') + 'x'"),
	}, inventory.Options{})
	last := i.Applications[len(i.Applications)-1]
	if len(i.Applications) != inventory.MaxNesting+1 || len(last.Unanalysed) != 1 || !strings.Contains(last.Unanalysed[0], "deep") {
		t.Errorf("there are %d Applications, and the last has %v", len(i.Applications), last.Unanalysed)
	}
}

func TestWhoseFaultItIsThatASourceIsNotRenderedIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		file, text         string
		broken, unanalysed string
	}{
		"syntax":   {"x/a.jsonnet", "{", "x/a.jsonnet:1:2: ", ""},
		"no kind":  {"x/a.jsonnet", "{a: 1}", "no manifest", ""},
		"outside":  {"x/a.jsonnet", "import '../../b'", "", "not in the repository"},
		"override": {"x/.argocd-source.yaml", "a: b: c", "x/.argocd-source.yaml: ", ""},
		"two":      {"x/.argocd-source.yaml", "helm: {releaseName: a}\nkustomize: {namePrefix: b}", "several tools", ""},
		"plugin":   {"x/.argocd-source-a.yaml", "plugin: {name: a}", "", "plugin"},
	} {
		i := load(t, map[string]string{"a.yaml": application("a", "x", ""), c.file: c.text}, inventory.Options{})
		a := i.Applications[0]
		if c.broken != "" != (a.Broken != nil) || a.Broken != nil && !strings.Contains(a.Broken.Error(), c.broken) {
			t.Errorf("%s: broken is %v", name, a.Broken)
		}
		if got := strings.Join(a.Unanalysed, "; "); c.unanalysed != "" != (got != "") || !strings.Contains(got, c.unanalysed) {
			t.Errorf("%s: not analysed is %s", name, got)
		}
	}
}

func TestWhatBothInventoriesRenderIsThereOnce(t *testing.T) {
	files := map[string]string{"a.yaml": application("a", "x", ""), "x/a.jsonnet": "{apiVersion: 'v1', kind: 'Service', metadata: {name: importstr 'name'}}", "x/name": "s"}
	o := inventory.Options{Cache: inventory.NewMemory()}
	first, second := load(t, files, o), load(t, files, o)
	if first.Applications[0].Targets[0].Object != second.Applications[0].Targets[0].Object {
		t.Error("it was rendered twice")
	}
	files["x/name"] = "other"
	third := load(t, files, o)
	if name := third.Applications[0].Targets[0].Object.Name; name != "other" {
		t.Errorf("with another file it is still %s", name)
	}
	if third.Digest(third.Applications[0].Targets[0].Origin) == first.Digest(first.Applications[0].Targets[0].Origin) {
		t.Error("what differs has the same digest")
	}
}

func TestFoldersOfToolsWithApplicationsThatNobodyReadsAreListed(t *testing.T) {
	child := application("child", "x", "")
	i := load(t, map[string]string{
		"read.yaml":                       application("a", "charts/read", ", directory: {recurse: true}"),
		"charts/read/Chart.yaml":          "name: read\n",
		"charts/read/templates/app.yaml":  child,
		"charts/lost/Chart.yaml":          "name: lost\n",
		"charts/lost/templates/app.yaml":  "{{ range .Values.apps }}\napiVersion: argoproj.io/v1alpha1\nkind: Application\n{{ end }}\n",
		"overlays/lost/kustomization.yml": "resources: [app.yaml]\n",
		"overlays/lost/app.yaml":          child,
		"overlays/none/kustomization.yml": "resources: [a.yaml]\n",
		"overlays/none/a.yaml":            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
	}, inventory.Options{})
	var got []string
	for _, u := range i.Unread {
		got = append(got, u.Path+" "+string(u.Tool))
	}
	if strings.Join(got, ", ") != "charts/lost/templates/app.yaml helm, overlays/lost/app.yaml kustomize" {
		t.Errorf("unread are %v", got)
	}
	if a := named(t, i, "child"); len(a.Parents) != 1 || a.Parents[0].Metadata.Name != "a" {
		t.Error("a directory source reads what stands there, whatever else the folder is")
	}
}

// root is a chart that renders an Application for each of its values, as roots of Applications are often made.
var root = map[string]string{
	"root/Chart.yaml": "apiVersion: v2\nname: root\nversion: 1.0.0\n",
	"root/templates/apps.yaml": `{{ range $name, $app := .Values.apps }}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: {{ $name }}, namespace: {{ $.Release.Namespace }}}
spec:
  project: default
  destination: {server: {{ $.Values.server }}, namespace: {{ $name }}}
  sources:
  - {repoURL: https://example.org/r.git, path: charts/one, helm: {releaseName: {{ $app.release }}, valueFiles: [values.yaml, $env/env/{{ $name }}.yaml], ignoreMissingValueFiles: true}}
  - {repoURL: https://example.org/r.git, ref: env}
{{ end }}
`,
	"root/values.yaml":              "server: https://kubernetes.default.svc\napps: {}\n",
	"charts/one/Chart.yaml":         "apiVersion: v2\nname: one\nversion: 1.0.0\n",
	"charts/one/values.yaml":        "names: [a]\n",
	"charts/one/templates/all.yaml": "{{ range .Values.names }}\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: {{ $.Release.Name }}-{{ . }}}\n{{ end }}",
	"env/b.yaml":                    "names: [x, z]\n",
}

func TestApplicationsThatHelmRendersAreFoundWithTheirObjects(t *testing.T) {
	root["root.yaml"] = strings.Replace(application("root", "root", ", helm: {valuesObject: {apps: {a: {release: ra}, b: {release: rb}}}}"), "namespace: dest", "namespace: argocd", 1)
	i := load(t, root, inventory.Options{})
	for name, want := range map[string]string{
		"root": "Application argocd/a@root/templates/apps.yaml:1, Application argocd/b@root/templates/apps.yaml:1",
		"a":    "PersistentVolumeClaim a/ra-a@charts/one/templates/all.yaml:1",
		"b":    "PersistentVolumeClaim b/rb-x@charts/one/templates/all.yaml:1, PersistentVolumeClaim b/rb-z@charts/one/templates/all.yaml:1",
	} {
		if a := named(t, i, name); keys(a) != want || a.Broken != nil || len(a.Unanalysed) > 0 {
			t.Errorf("%s has %s, %v, %v", name, keys(a), a.Broken, a.Unanalysed)
		}
	}
	if len(i.Unread) != 0 {
		t.Errorf("unread are %v", i.Unread)
	}
}

func TestApplicationsOfKustomizeOverlaysAreFoundWithTheirObjects(t *testing.T) {
	overlay := func(cluster string) string {
		return "resources: [../../base]\nnamePrefix: " + cluster + "-\npatches:\n- target: {kind: Application}\n  patch: |\n    - {op: add, path: /spec/source/kustomize, value: {nameSuffix: -" + cluster + ", commonAnnotations: {note: $ARGOCD_APP_NAME}, commonAnnotationsEnvsubst: true}}\n"
	}
	i := load(t, map[string]string{
		"c1.yaml":                             application("c1", "apps/overlays/c1", ""),
		"c2.yaml":                             application("c2", "apps/overlays/c2", ""),
		"apps/base/kustomization.yaml":        "resources: [db.yaml]\n",
		"apps/base/db.yaml":                   "# the database\n" + application("db", "db", ""),
		"apps/overlays/c1/kustomization.yaml": overlay("c1"),
		"apps/overlays/c2/kustomization.yaml": overlay("c2"),
		"db/kustomization.yaml":               "resources: [all.yaml]\n",
		"db/all.yaml":                         "apiVersion: v1\nkind: Service\nmetadata: {name: db}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\n",
	}, inventory.Options{})
	for name, want := range map[string]string{
		"c1":    "Application argocd/c1-db@apps/base/db.yaml:2",
		"c2":    "Application argocd/c2-db@apps/base/db.yaml:2",
		"c1-db": "Service dest/db-c1@db/all.yaml:1, StatefulSet dest/db-c1@db/all.yaml:5",
		"c2-db": "Service dest/db-c2@db/all.yaml:1, StatefulSet dest/db-c2@db/all.yaml:5",
	} {
		if a := named(t, i, name); keys(a) != want || a.Broken != nil || len(a.Unanalysed) > 0 {
			t.Errorf("%s has %s, %v, %v", name, keys(a), a.Broken, a.Unanalysed)
		}
	}
	if len(i.Applications) != 4 || len(i.Unread) != 0 {
		t.Errorf("there are %d Applications, and unread are %v", len(i.Applications), i.Unread)
	}
	body, err := i.Body(named(t, i, "c1-db").Targets[1].Origin)
	if err != nil || body["metadata"].(map[string]any)["annotations"].(map[string]any)["note"] != "c1-db" {
		t.Errorf("its body is %v, %v", body, err)
	}
}

func TestWhatWasRenderedIsKeptOnTheDisk(t *testing.T) {
	dir, files := t.TempDir(), map[string]string{"a.yaml": application("a", "x", ""), "x/a.jsonnet": "{apiVersion: 'v1', kind: 'Service', metadata: {name: importstr 'name'}}", "x/name": "s"}
	read := func(e *engine.Engine, name string) *inventory.Application {
		t.Helper()
		disk, err := inventory.OpenDisk(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		files["x/name"] = name
		i := load(t, files, inventory.Options{Cache: disk, Engine: e})
		if err := disk.Save(); err != nil {
			t.Fatal(err)
		}
		return i.Applications[0]
	}
	first := engine.New(engine.Options{})
	if a := read(first, "s"); a.Broken != nil {
		t.Fatal(a.Broken)
	}
	if err := first.Close(); err != nil { // it renders nothing any more
		t.Fatal(err)
	}
	if a := read(engine.New(engine.Options{Timeout: 1}), "s"); keys(a) != "Service dest/s@x/a.jsonnet:1" {
		t.Errorf("it was rendered again: %v, %v", a.Broken, a.Unanalysed)
	}
	if a := read(engine.New(engine.Options{}), "other"); keys(a) != "Service dest/other@x/a.jsonnet:1" {
		t.Errorf("with another file it is still %s", keys(a))
	}
}
