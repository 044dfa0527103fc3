package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/settings"
)

// renderRepository is one in the article's shape: jsonnet, a chart, an overlay and plain files, and folders of what they render to.
var renderRepository = map[string]string{
	"lib/app.libsonnet":            "{ service(name):: { apiVersion: 'v1', kind: 'Service', metadata: { name: name, namespace: 'app01' }, spec: { ports: [{ port: 80 }] } } }\n",
	"apps/cluster01/app01.jsonnet": "local app = import 'app.libsonnet';\nfunction(cluster) { web: app.service('web-' + cluster), more: [app.service('api')] }\n",
	"charts/kafka/Chart.yaml":      "apiVersion: v2\nname: kafka\nversion: 1.0.0\n",
	"charts/kafka/templates/set.yaml": "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\n" +
		"spec: {replicas: {{ .Values.replicas }}}\n",
	"values/cluster01.yaml":                 "replicas: 3\n",
	"overlays/cluster01/kustomization.yaml": "namespace: web\nresources: [web.yaml]\n",
	"overlays/cluster01/web.yaml":           "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n",
	"plain/config.yaml":                     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: plain}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: plain}\n",
}

// folder makes a folder with files, and goes there.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

// TestTheCommandsInTheDocumentOfRenderDoWhatItSays runs them one after the other, with the settings that the document shows.
func TestTheCommandsInTheDocumentOfRenderDoWhatItSays(t *testing.T) {
	document := read(t, documents+"render.md")
	_, list, _ := strings.Cut(document, "```yaml\n")
	list, _, _ = strings.Cut(list, "```")
	if s, err := settings.Parse([]byte(list)); err != nil || len(s.Render) != 3 {
		t.Fatalf("the settings in it are not read: %v", err)
	}
	folder(t, renderRepository)
	if err := os.WriteFile("guard.yaml", []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := commandsIn(document)
	if len(lines) < 8 {
		t.Fatalf("there are only %d commands: %q", len(lines), lines)
	}
	for _, line := range lines {
		if slices.Contains(line, "--dry-run") { // there is something to remove
			if err := os.WriteFile("env/cluster01/app01/yml/v1.Service-app01.old.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata: {name: old, namespace: app01}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		code, out, errs := command(t, line...)
		if code != ExitDone || strings.Contains(out, "missing") {
			t.Errorf("%q exits with %d:\n%s%s", line, code, out, errs)
		}
		if old := "remove env/cluster01/app01/yml/v1.Service-app01.old.yaml"; slices.Contains(line, "--dry-run") && !strings.Contains(out, old) {
			t.Errorf("%q does not say what it would remove:\n%s", line, out)
		}
	}
	for file, want := range map[string]string{
		"env/cluster01/app01/yml/v1.Service-app01.web-cluster01.yaml":   "  - port: 80\n",
		"env/cluster01/app01/yml/v1.Service-app01.api.yaml":             "  - port: 80\n",
		"env/cluster01/kafka/yml/apps.v1.StatefulSet-influx.kafka.yaml": "  replicas: 3\n",
		"env/cluster01/web/yml/apps.v1.Deployment-web.web.yaml":         "  namespace: web\n",
		"env/cluster01/plain/yml/v1.ConfigMap-plain.b.yaml":             "  name: b\n",
	} {
		if text := read(t, file); !strings.Contains(text, want) {
			t.Errorf("%s is\n%s", file, text)
		}
	}
	if _, err := os.Lstat("env/cluster01/app01/yml/v1.Service-app01.old.yaml"); !os.IsNotExist(err) {
		t.Errorf("what is stale is still there: %v", err)
	}
}

func TestRenderExitsByWhatItDid(t *testing.T) {
	outside := t.TempDir()
	const same = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
	dir := folder(t, map[string]string{"guard.yaml": "render:\n- {source: a.yaml, output: out}\n", "a.yaml": same, "b.yaml": same, "dice/Chart.yaml": "apiVersion: v2\nname: dice\nversion: 1.0.0\n",
		"dice/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: {{ randAlpha 9 }}}\n", "var.jsonnet": "{apiVersion: 'v1', kind: 'A', metadata: {name: std.extVar('HOME')}}",
		"wrong/guard.yaml": "render:\n- {source: a.yaml, outptu: out}\n"})
	for _, c := range []struct {
		want int
		says string
		args []string
	}{
		{ExitFailed, "missing out/v1.Service-a.yaml: rendered from a.yaml:1", []string{"render", "--check"}},
		{ExitDone, "missing out/v1.Service-a.yaml", []string{"render", "--dry-run"}},
		{ExitDone, "1 object: 1 file written", []string{"render"}},
		{ExitDone, "1 file, all as rendering gives them", []string{"render", "--check"}},
		{ExitFailed, "b.yaml:1: Service a is there twice, and Argo CD keeps the last one only\n  the other is a.yaml:1", []string{"render", "a.yaml", "b.yaml", "-o", "two"}},
		{ExitFailed, "rendered twice it differs", []string{"render", "dice", "-o", "dice-out"}},
		{ExitDone, "1 file written", []string{"render", "a.yaml", "-o", outside + "/new/out"}},
		{ExitUsage, "is not in the repository", []string{"render", outside, "-o", "out"}},
		{ExitUsage, "-o is missing", []string{"render", "a.yaml"}},
		{ExitUsage, "--set is for a SOURCE", []string{"render", "--set", "a=b"}},
		{ExitUsage, "is no NAME=VALUE", []string{"render", "dice", "-o", "x", "--set", "a"}},
		{ExitUsage, "the environment has no HOME", []string{"render", "var.jsonnet", "-o", "x", "-V", "HOME"}},
		{ExitUsage, "goes neither", []string{"render", "--check", "--prune-output"}},
		{ExitUsage, "did you mean output", []string{"render", "--repo", "wrong"}},
		{ExitUsage, "nothing to render", []string{"render", "--repo", "dice"}},
		{ExitUnknown, "", []string{"render", "--repo", filepath.Join(dir, "none")}},
	} {
		code, out, errs := command(t, c.args...)
		if code != c.want || !strings.Contains(out+errs, c.says) {
			t.Errorf("%q exits with %d, want %d:\n%s%s\nwant %q", c.args, code, c.want, out, errs, c.says)
		}
	}
	if got := read(t, outside+"/new/out/v1.Service-a.yaml"); got != "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n" {
		t.Errorf("outside it is\n%s", got)
	}
	for _, none := range []string{"two", "dice-out", "x"} {
		if _, err := os.Lstat(none); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", none, err)
		}
	}
}

func TestRenderedNamesDoNotMoveATerminal(t *testing.T) {
	folder(t, map[string]string{"a.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {a: \"x\\e[2Jy\"}\n", "out/v1.Service-a.yaml": "\x1b[2J\n"})
	var out, errs bytes.Buffer
	Main(t.Context(), Options{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(string) string { return "" }}, []string{"render", "a.yaml", "-o", "out", "--check"})
	if strings.Contains(out.String()+errs.String(), "\x1b") || !strings.Contains(out.String(), "changed out/v1.Service-a.yaml") {
		t.Errorf("it says %q %q", out.String(), errs.String())
	}
}
