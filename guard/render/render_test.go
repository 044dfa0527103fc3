package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// repository is a folder with files, and what renders it.
type repository struct {
	dir string
	*Renderer
}

func newRepository(t *testing.T, files map[string]string) *repository {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	return &repository{dir, &Renderer{Tree: folder, Engine: engine.Shared()}}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// to writes sources into a folder of the repository.
func (r *repository) to(ctx context.Context, folder string, prune bool, sources ...Source) (*Outcome, error) {
	f, err := OpenFolder(r.dir, folder)
	if err != nil {
		return nil, err
	}
	o, err := r.Write(ctx, &Output{Folder: folder, Sources: sources}, f, prune)
	return o, errors.Join(err, f.Close())
}

// files returns the texts of a folder's files, by their names.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
			found[e.Name()] = string(text)
		} else {
			found[e.Name()] = err.Error()
		}
	}
	return found
}

func names(of map[string]string) string { return strings.Join(slices.Sorted(maps.Keys(of)), " ") }

func service(namespace, name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %s\n  namespace: %s\n", name, namespace)
}

// article is jsonnet as the article's repository has it: a file for each application and cluster, and libraries.
var article = map[string]string{
	"vendor/kafka.libsonnet": `
		function(cluster) {
		  namespace: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'influx' } },
		  kafka: {
		    set: { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'kafka', namespace: 'influx', labels: { cluster: cluster } },
		           spec: { replicas: 3, memory: 1e9, ratio: 0.5, script: 'set -e\nrun ' + cluster + '\n', on: 'yes' } },
		    services: [{ apiVersion: 'v1', kind: 'Service', metadata: { name: name, namespace: 'influx' } } for name in ['kafka', 'etcd']],
		  },
		  none: null,
		}`,
	"apps/app01.jsonnet": "local kafka = import 'kafka.libsonnet';\nfunction(cluster) kafka(cluster) + { list: { apiVersion: 'v1', kind: 'List', items: [std.extVar('more')] } }\n",
}

func TestJsonnetBecomesAFileForEachObjectNamedByIt(t *testing.T) {
	r := newRepository(t, article)
	source := Source{Path: "apps/app01.jsonnet", Jsonnet: engine.JsonnetOptions{Libraries: []string{"vendor"},
		TLAs:    []engine.Variable{{Name: "cluster", Value: "cluster01"}},
		ExtVars: []engine.Variable{{Name: "more", Value: "{apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: {name: 'system:x'}}", Code: true}}}}
	out, err := r.to(t.Context(), "env/cluster01/app01/yml", false, source)
	if err != nil {
		t.Fatal(err)
	}
	got := files(t, filepath.Join(r.dir, "env/cluster01/app01/yml"))
	if want := "apps.v1.StatefulSet-influx.kafka.yaml rbac.authorization.k8s.io.v1.ClusterRole-system%3Ax.yaml v1.Namespace-influx.yaml v1.Service-influx.etcd.yaml v1.Service-influx.kafka.yaml"; names(got) != want || out.Objects != 5 {
		t.Errorf("there are %s, want %s", names(got), want)
	}
	want := `apiVersion: apps/v1
kind: StatefulSet
metadata:
  labels:
    cluster: cluster01
  name: kafka
  namespace: influx
spec:
  memory: 1000000000
  "on": "yes"
  ratio: 0.5
  replicas: 3
  script: |
    set -e
    run cluster01
`
	if text := got["apps.v1.StatefulSet-influx.kafka.yaml"]; text != want {
		t.Errorf("the set is\n%s\nwant\n%s", text, want)
	}
	again, err := r.to(t.Context(), "env/cluster01/app01/yml", true, source)
	if err != nil || len(again.Written)+len(again.Removed)+len(again.Differences) != 0 {
		t.Errorf("the second run gives %+v, %v", again, err)
	}
}

func TestAllKindsOfSourcesGiveOneOutput(t *testing.T) {
	r := newRepository(t, map[string]string{
		"charts/web/Chart.yaml":                "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"charts/web/values.yaml":               "replicas: 1\n",
		"charts/web/templates/a.yaml":          "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\nspec:\n  replicas: {{ .Values.replicas }}\n  tag: {{ .Values.tag | quote }}\n---\n# nothing\n",
		"charts/web/crds/zone.yaml":            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: zones.example.org}\n",
		"values/cluster01.yaml":                "replicas: 3\n",
		"plain/one.yaml":                       service("influx", "one") + "---\n" + service("influx", "two"),
		"plain/three.json":                     `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"three","namespace":"influx"},"data":{"n":"9007199254740993"},"n":9007199254740993}`,
		"plain/four.jsonnet":                   "[{apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'four'}}]",
		"base/kustomization.yaml":              "resources: [a.yaml]\n",
		"base/a.yaml":                          service("base", "etcd"),
		"overlay/kustomization.yaml":           "resources: [../base]\nnamespace: influx\nnamePrefix: c1-\n",
		"plain/README.md":                      "# nothing\n",
		"plain/below/not-without-recurse.yaml": service("influx", "below"),
	})
	overlay := Source{Path: "overlay"}
	chart := Source{Path: "charts/web", IncludeCRDs: true, Helm: engine.HelmOptions{Release: "front", Namespace: "web", ValueFiles: []string{"values/cluster01.yaml"},
		Parameters: []engine.Parameter{{Name: "tag", Value: "1.10", Text: true}}}}
	if _, err := r.to(t.Context(), "out", false, chart, overlay, Source{Path: "plain"}); err != nil {
		t.Fatal(err)
	}
	got := files(t, filepath.Join(r.dir, "out"))
	want := "apiextensions.k8s.io.v1.CustomResourceDefinition-zones.example.org.yaml apps.v1.Deployment-web.front.yaml v1.ConfigMap-four.yaml v1.ConfigMap-influx.three.yaml v1.Service-influx.c1-etcd.yaml v1.Service-influx.one.yaml v1.Service-influx.two.yaml"
	if names(got) != want {
		t.Errorf("there are %s\nwant %s", names(got), want)
	}
	if text := got["apps.v1.Deployment-web.front.yaml"]; !strings.Contains(text, "  replicas: 3\n  tag: \"1.10\"\n") {
		t.Errorf("the chart's values are not heeded:\n%s", text)
	}
	if text := got["v1.ConfigMap-influx.three.yaml"]; !strings.Contains(text, "\n\"n\": 9007199254740993\n") {
		t.Errorf("a large number is not exact:\n%s", text)
	}
	if _, err := r.to(t.Context(), "more", false, Source{Path: "plain", Recurse: true}); err != nil {
		t.Fatal(err)
	}
	if got := files(t, filepath.Join(r.dir, "more")); got["v1.Service-influx.below.yaml"] == "" {
		t.Errorf("with recursion there are %s", names(got))
	}
}

func TestAChartThatRollsDiceIsRefusedWithoutSayingWhatItRolled(t *testing.T) {
	r := newRepository(t, map[string]string{
		"web/Chart.yaml":            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"web/templates/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  password: hunter{{ randAlphaNum 20 }}\n",
	})
	_, err := r.to(t.Context(), "out", false, Source{Path: "web"})
	if err == nil || !strings.Contains(err.Error(), "web/templates/secret.yaml: rendered twice it differs (line ") || !strings.Contains(err.Error(), ", password): a template uses randAlphaNum") {
		t.Errorf("the error is %v", err)
	}
	if strings.Contains(fmt.Sprint(err), "hunter") {
		t.Errorf("the error has the secret: %v", err)
	}
	if got := files(t, filepath.Join(r.dir, "out")); len(got) > 0 {
		t.Errorf("there is %s", names(got))
	}
}

func TestWhatCannotBeAFileIsAProblemWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"no kind":           {"a.yaml", "# head\n---\napiVersion: v1\nmetadata: {name: a}\n", "a.yaml:3: kind is missing"},
		"no name":           {"a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {labels: {}}\n", "a.yaml:1: the Service has no metadata.name"},
		"no YAML":           {"a.yaml", "apiVersion: v1\nkind: [\n", "a.yaml:"},
		"two in JSON":       {"a.json", "{}{}", "a.json:1: "},
		"a key twice":       {"a.yaml", service("a", "b") + "spec: {a: 1, a: 2}\n", "a.yaml:6: spec.a is there twice"},
		"a scalar":          {"a.jsonnet", "{a: {b: [3]}}", "a.jsonnet: .a.b[0] is no object"},
		"a text":            {"a.jsonnet", "std.manifestYamlDoc({})", "a.jsonnet:1: it evaluates to neither"},
		"jsonnet, no kind":  {"a.jsonnet", "{a: {apiVersion: 'v1', metadata: {name: 'x'}}}", "a.jsonnet: .a: kind is missing"},
		"jsonnet, metadata": {"a.jsonnet", "{a: {metadata: {name: 'x'}}}", "a.jsonnet: .a is no object, though it has metadata"},
		"a number as name":  {"a.jsonnet", "{apiVersion: 'v1', kind: 'Service', metadata: {name: 12}}", "metadata.name of the Service is 12, and no text"},
		"a way out":         {"a.jsonnet", "{apiVersion: 'v1', kind: 'Service', metadata: {name: '../x'}}", "the name of the Service is none"},
		"a bad namespace":   {"a.jsonnet", "{apiVersion: 'v1', kind: 'Service', metadata: {name: 'x', namespace: 'A/b'}}", "the namespace of the Service x"},
		"a bad version":     {"a.jsonnet", "{apiVersion: 'a/b/c', kind: 'Service', metadata: {name: 'x'}}", "apiVersion of the Service x"},
		"a bad kind":        {"a.jsonnet", "{apiVersion: 'v1', kind: 'S/x', metadata: {name: 'x'}}", `"S/x" is no kind`},
		"the marker":        {"a.jsonnet", "{apiVersion: 'v1', kind: 'Service', metadata: {name: 'x', annotations: {a: '+argocd:skip-file-' + 'rendering'}}}", "Argo CD passes over the whole file"},
		"an error":          {"a.jsonnet", "{a: error 'no cluster'}", "no cluster"},
		"too deep":          {"a.jsonnet", "local f(n) = if n == 0 then {apiVersion: 'v1'} else {a: f(n - 1)}; f(40)", "more than 32 levels deep"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t, map[string]string{c.file: c.text, "good.yaml": service("a", "good")})
			_, err := r.to(t.Context(), "out", true, Source{Path: c.file}, Source{Path: "good.yaml"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v\nwant %s", err, c.want)
			}
			if _, err := os.Lstat(filepath.Join(r.dir, "out")); !os.IsNotExist(err) {
				t.Errorf("there is an output: %v", err)
			}
		})
	}
}

func TestAnObjectThatIsThereTwiceIsAProblemWithBothPlaces(t *testing.T) {
	ingress := func(version string) string {
		return "apiVersion: " + version + "\nkind: Ingress\nmetadata: {name: web, namespace: a}\n"
	}
	role := func(name string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: " + name + "}\n"
	}
	for name, c := range map[string]struct{ one, two, want string }{
		"the same":           {service("a", "b"), service("a", "b"), "b.yaml:1: Service a/b is there twice"},
		"another version":    {ingress("networking.k8s.io/v1beta1"), ingress("networking.k8s.io/v1"), "networking.k8s.io/v1beta1 and networking.k8s.io/v1 are versions of one object"},
		"an old group":       {ingress("extensions/v1beta1"), ingress("networking.k8s.io/v1"), "extensions/v1beta1 and networking.k8s.io/v1 are versions of one object"},
		"a cluster's":        {role("x"), strings.Replace(role("x"), "{name: x}", "{name: x, namespace: a}", 1), "ClusterRole x is there twice"},
		"upper case":         {role("admin"), role("Admin"), "ClusterRole admin and rbac.authorization.k8s.io/ClusterRole Admin would have one name, rbac.authorization.k8s.io.v1.ClusterRole-Admin.yaml"},
		"a dot in the name":  {service("a", "b.c"), "apiVersion: v1\nkind: Service\nmetadata: {name: a.b.c}\n", "would have one name, v1.Service-a.b.c.yaml"},
		"one generated name": {"apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", "would have one name, v1.Pod-a-.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t, map[string]string{"a.yaml": c.one, "b.yaml": c.two})
			for range 5 { // whichever is read first
				_, err := r.to(t.Context(), "out", false, Source{Path: "a.yaml"}, Source{Path: "b.yaml"})
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "b.yaml:1: ") || !strings.HasSuffix(err.Error(), "\n  the other is a.yaml:1") {
					t.Fatalf("the error is %v\nwant %s", err, c.want)
				}
			}
		})
	}
}

func TestAGeneratedNameIsTheBeginningOfTheFilesName(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: migrate-, namespace: a}\n"})
	if _, err := r.to(t.Context(), "out", false, Source{Path: "a.yaml"}); err != nil {
		t.Fatal(err)
	}
	if got := names(files(t, filepath.Join(r.dir, "out"))); got != "batch.v1.Job-a.migrate-.yaml" {
		t.Errorf("there is %s", got)
	}
}

func TestMoreObjectsThanTheLimitAreRefused(t *testing.T) {
	c := newClaims(3)
	for n := range 3 {
		name := fmt.Sprint(n)
		if ok, err := c.claim(claimed{key: object.Key{Kind: "A", Name: name}, version: "v1", name: name}, false); !ok || err != nil {
			t.Fatalf("%d: %v, %v", n, ok, err)
		}
	}
	if _, err := c.claim(claimed{key: object.Key{Kind: "A", Name: "x"}, version: "v1", name: "x"}, false); !errors.Is(err, errLimit) {
		t.Errorf("the error is %v", err)
	}
}

func TestSecretsAreWarnedOfAndNeverShown(t *testing.T) {
	secret := func(value string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: token, namespace: a}\nstringData: {token: " + value + "}\n"
	}
	r := newRepository(t, map[string]string{"a.yaml": secret("hunter2"), "b.yaml": secret("hunter3"), "empty.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: none, namespace: a}\n"})
	out, err := r.to(t.Context(), "out", false, Source{Path: "a.yaml"}, Source{Path: "empty.yaml"})
	if err != nil || len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0].String(), "a.yaml:1: Secret a/token has values") {
		t.Fatalf("%+v, %v", out, err)
	}
	f, err := OpenFolder(r.dir, "out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	compared, err := r.Compare(t.Context(), &Output{Folder: "out", Sources: []Source{{Path: "b.yaml"}, {Path: "empty.yaml"}}}, f)
	if err != nil || len(compared.Differences) != 1 || strings.Contains(fmt.Sprintf("%+v", compared), "hunter") {
		t.Errorf("%+v, %v", compared, err)
	}
}

func TestAnOutputInItsSourceIsRefused(t *testing.T) {
	r := newRepository(t, map[string]string{"apps/a.yaml": service("a", "b"), "k/kustomization.yaml": "resources: []\n"})
	for _, c := range []struct{ source, output string }{{"apps", "apps"}, {"apps", "apps/yml"}, {"k", "k/out"}, {".", "out"}} {
		if _, err := r.to(t.Context(), c.output, false, Source{Path: c.source}); err == nil || !strings.Contains(err.Error(), "is in its source") {
			t.Errorf("%v: the error is %v", c, err)
		}
	}
	if _, err := r.to(t.Context(), "apps/yml", false, Source{Path: "apps/a.yaml"}); err != nil {
		t.Errorf("of a file: %v", err)
	}
}

func TestOptionsThatNothingUsesAreRefused(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": service("a", "b")})
	for _, s := range []Source{
		{Path: "a.yaml", Jsonnet: engine.JsonnetOptions{Libraries: []string{"vendor"}}},
		{Path: "a.yaml", Helm: engine.HelmOptions{Release: "x"}},
		{Path: "a.yaml", IncludeCRDs: true},
		{Path: "none"},
	} {
		if _, err := r.to(t.Context(), "out", false, s); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
