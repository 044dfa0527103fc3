package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// web is a chart with a subchart that is vendored, one of this repository, hooks, definitions, a schema and an ignored file.
var web = map[string]string{
	"charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\ndependencies:\n" +
		"- {name: db, version: 1.x.x, repository: 'https://charts.example.org', condition: db.enabled, alias: store}\n" +
		"- {name: spare, version: 1.0.0, repository: '', condition: spare.enabled}\n" +
		"- {name: common, version: ^0.1.0, repository: 'file://../../lib/common'}\n",
	"charts/web/values.yaml":        "replicas: 1\nimage: {name: web, tag: a}\nstore: {enabled: true, size: 1Gi}\nspare: {enabled: false}\n",
	"charts/web/values.schema.json": `{"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 1}}}`,
	"charts/web/.helmignore":        "# none of these\n*.bak\n",
	"charts/web/crds/crd.yaml":      "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: as.example.org}\n",
	"charts/web/config/a.conf":      "a = 1",
	"charts/web/templates/_help.tpl": `{{ define "web.labels" }}
app: {{ .Chart.Name }}
release: {{ .Release.Name }}
{{- end }}`,
	"charts/web/templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "common.name" . }}
  namespace: {{ .Release.Namespace }}
  labels: {{- include "web.labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  image: "{{ .Values.image.name }}:{{ .Values.image.tag }}"
  kube: {{ .Capabilities.KubeVersion }}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: web}
{{- end }}
`,
	"charts/web/templates/config.yaml":                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata:\n  a: {{ .Files.Get \"config/a.conf\" | quote }}\n  b: {{ .Values.extra | default \"none\" | quote }}\n",
	"charts/web/templates/hook.yaml":                  "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}\n",
	"charts/web/templates/tests/test.yaml":            "apiVersion: v1\nkind: Pod\nmetadata: {name: test, annotations: {helm.sh/hook: test}}\n",
	"charts/web/templates/old.yaml.bak":               "{{ fail \"it is ignored\" }}",
	"charts/web/templates/NOTES.txt":                  "Thanks for {{ .Release.Name }}",
	"charts/web/templates/empty.yaml":                 "{{ if .Values.no }}\nkind: Pod\n{{ end }}",
	"charts/web/charts/db/Chart.yaml":                 "apiVersion: v2\nname: db\nversion: 1.4.0\n",
	"charts/web/charts/db/templates/statefulset.yaml": "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: {{ .Release.Name }}-db}\nspec: {size: {{ .Values.size }}}\n",
	"charts/web/charts/spare/Chart.yaml":              "apiVersion: v2\nname: spare\nversion: 1.0.0\n",
	"charts/web/charts/spare/templates/a.yaml":        "{{ fail \"it is off\" }}",
	"lib/common/Chart.yaml":                           "apiVersion: v2\nname: common\nversion: 0.1.7\ntype: library\n",
	"lib/common/templates/_name.tpl":                  `{{ define "common.name" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}`,
	"env/prod.yaml":                                   "replicas: 3\nimage: {tag: b}\nstore: {size: 10Gi}\n",
	"env/more.yaml":                                   "image: {tag: c}\n",
	"env/extra.txt":                                   "from a, file",
}

func helm(more func(*engine.HelmOptions)) *engine.Spec {
	s := &engine.Spec{Tool: engine.Helm, Path: "charts/web", Helm: engine.HelmOptions{Release: "r", Namespace: "ns"}}
	if more != nil {
		more(&s.Helm)
	}
	return s
}

func TestHelmRendersChartsAsItsProgramDoes(t *testing.T) {
	r, err := render(t, web, helm(func(o *engine.HelmOptions) {
		o.ValueFiles = []string{"env/prod.yaml", "env/none.yaml", "env/more.yaml"}
		o.IgnoreMissing = true
		o.Values = "image: {name: other}\n"
		o.Parameters = []engine.Parameter{{Name: "image.tag", Value: "007", Text: true}, {Name: "store.size", Value: "20Gi"}}
		o.FileParameters = []engine.Parameter{{Name: "extra", Value: "env/extra.txt"}}
		o.APIVersions = []string{"monitoring.coreos.com/v1"}
	}), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := `# charts/web/crds/crd.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: as.example.org}

---
# charts/web/templates/config.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  a: "a = 1"
  b: "from a, file"
---
# charts/web/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: r-web
  namespace: ns
  labels:
    
    app: web
    release: r
spec:
  replicas: 3
  image: "other:007"
  kube: v1.34.0
---
# charts/web/charts/db/templates/statefulset.yaml
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: r-db}
spec: {size: 20Gi}
---
# charts/web/templates/deployment.yaml
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: web}
---
# charts/web/templates/tests/test.yaml
apiVersion: v1
kind: Pod
metadata: {name: test, annotations: {helm.sh/hook: test}}
---
# charts/web/templates/hook.yaml
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}
---
`
	if text(r) != want {
		t.Errorf("it renders\n%s\nand not\n%s", text(r), want)
	}
}

func TestHelmLeavesOutWhatItIsTold(t *testing.T) {
	r, err := render(t, web, helm(func(o *engine.HelmOptions) { o.SkipCRDs, o.SkipTests = true, true }), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(r); strings.Contains(got, "CustomResourceDefinition") || strings.Contains(got, "name: test") || !strings.Contains(got, "replicas: 1\n") {
		t.Error(got)
	}
}

// with returns files with others over them.
func with(files map[string]string, more ...string) map[string]string {
	all := make(map[string]string, len(files))
	for path, text := range files {
		all[path] = text
	}
	for n := 0; n+1 < len(more); n += 2 {
		all[more[n]] = more[n+1]
	}
	return all
}

func TestWhatIsWrongInAChartIsSaidWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		path, text  string
		more        func(*engine.HelmOptions)
		at, message string
		line        int
		fault       engine.Fault
		o           engine.Options
	}{
		"template":           {"charts/web/templates/x.yaml", "a: 1\nb: {{ .Values.no.way }}\n", nil, "charts/web/templates/x.yaml", "nil pointer", 2, engine.OfSource, engine.Options{}},
		"syntax":             {"charts/web/templates/x.yaml", "a: {{ if }}\n", nil, "charts/web/templates/x.yaml", "missing value for if", 1, engine.OfSource, engine.Options{}},
		"fail":               {"charts/web/charts/db/templates/x.yaml", "\n\n{{ fail \"no size\" }}", nil, "charts/web/charts/db/templates/x.yaml", "no size", 3, engine.OfSource, engine.Options{}},
		"no YAML":            {"charts/web/templates/x.yaml", "a: b: c\n", nil, "charts/web/templates/x.yaml", "YAML parse error", 0, engine.OfSource, engine.Options{}},
		"values":             {"charts/web/values.yaml", "a: b: c\n", nil, "charts/web/Chart.yaml", "values.yaml", 0, engine.OfSource, engine.Options{}},
		"value file":         {"env/bad.yaml", "a: 1\nb: c: d\n", func(o *engine.HelmOptions) { o.ValueFiles = []string{"env/bad.yaml"} }, "env/bad.yaml", "no values", 2, engine.OfSource, engine.Options{}},
		"missing values":     {"x", "", func(o *engine.HelmOptions) { o.ValueFiles = []string{"env/none.yaml"} }, "env/none.yaml", "no such value file", 0, engine.OfSource, engine.Options{}},
		"schema":             {"x", "", func(o *engine.HelmOptions) { o.Values = "replicas: 0" }, "charts/web/Chart.yaml", "minimum", 0, engine.OfSource, engine.Options{}},
		"remote schema":      {"charts/web/values.schema.json", `{"$ref": "https://example.org/a.json"}`, nil, "", "not fetched", 0, engine.OfReach, engine.Options{}},
		"schema of a file":   {"charts/web/values.schema.json", `{"$ref": "file:///etc/passwd"}`, nil, "", "not fetched", 0, engine.OfReach, engine.Options{}},
		"release":            {"x", "", func(o *engine.HelmOptions) { o.Release = "A_b" }, "charts/web", "release name", 0, engine.OfSource, engine.Options{}},
		"parameter":          {"x", "", func(o *engine.HelmOptions) { o.Parameters = []engine.Parameter{{Name: "a[", Value: "1"}} }, "charts/web", "the parameter a[", 0, engine.OfSource, engine.Options{}},
		"dependency":         {"charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: far, version: 1.0.0, repository: 'oci://example.org'}]\n", nil, "charts/web/Chart.yaml", "helm dependency build", 0, engine.OfReach, engine.Options{}},
		"wrong dependency":   {"lib/common/Chart.yaml", "apiVersion: v2\nname: common\nversion: 0.2.0\n", nil, "charts/web/Chart.yaml", "common ^0.1.0 is not what lib/common has", 0, engine.OfSource, engine.Options{}},
		"dependency outside": {"charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: far, version: 1.0.0, repository: 'file://../../../far'}]\n", nil, "../far/Chart.yaml", "not in the repository", 0, engine.OfReach, engine.Options{}},
		"no chart":           {"charts/web/Chart.yaml", "name: ''\n", nil, "charts/web/Chart.yaml", "", 0, engine.OfSource, engine.Options{}},
		"old cluster":        {"charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\nkubeVersion: '>=1.99'\n", nil, "charts/web/Chart.yaml", "wants Kubernetes", 0, engine.OfSource, engine.Options{}},
		"an endless loop":    {"charts/web/templates/x.yaml", "{{ range until 100000000 }}{{ range until 100000000 }}{{ end }}{{ end }}", nil, "charts/web", "longer than", 0, engine.OfLimit, engine.Options{Timeout: time.Second, Memory: 8 << 30}},
		"a recursion":        {"charts/web/templates/x.yaml", `{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}`, nil, "charts/web/templates/x.yaml", "exceeded maximum template depth", 1, engine.OfSource, engine.Options{}},
		"a memory bomb":      {"charts/web/templates/x.yaml", "a: {{ repeat 1000000000 \"0123456789\" }}", nil, "charts/web", "of memory", 0, engine.OfLimit, engine.Options{Memory: 256 << 20, Timeout: 5 * time.Minute}},
		"a large output":     {"charts/web/templates/x.yaml", "apiVersion: v1\nkind: A\na: {{ repeat 20000 \"0123456789\" }}", nil, "charts/web", "larger than", 0, engine.OfLimit, engine.Options{Output: 1 << 16}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, with(web, c.path, c.text), helm(c.more), c.o)
			got := failure(t, err)
			if got.Fault != c.fault || got.Path != c.at || got.Line != c.line || !strings.Contains(got.Message, c.message) {
				t.Errorf("it says %d, %v", got.Fault, got)
			}
		})
	}
}

func TestAChartWithALinkToAFolderIsNotTakenForWhole(t *testing.T) {
	folder := treetest.Folder(t, web)
	root := strings.TrimPrefix(folder.Name(), "the folder ")
	if err := os.Symlink("../config", filepath.Join(root, "charts/web/templates/more")); err != nil {
		t.Fatal(err)
	}
	linked, err := tree.Folder(root)
	if err != nil {
		t.Fatal(err)
	}
	_, err = engine.Shared().Render(t.Context(), linked, helm(nil))
	if got := failure(t, err); got.Fault != engine.OfReach || !strings.Contains(got.Message, "link to a folder") {
		t.Errorf("it says %v", got)
	}
	if err := linked.Close(); err != nil {
		t.Fatal(err)
	}
}
