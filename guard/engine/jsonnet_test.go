package engine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
)

// deployment is a jsonnet application with a library that is vendored at the top, and one beside it.
var deployment = map[string]string{
	"apps/web/main.jsonnet": `local k = import 'k.libsonnet';
local here = import 'lib/here.libsonnet';
function(replicas=1) [k.deployment(std.extVar('name'), replicas) + here, k.service(std.extVar('name'), std.extVar('ports'))]`,
	"apps/web/lib/here.libsonnet": `{ metadata+: { labels: { team: importstr 'team.txt' } } }`,
	"apps/web/lib/team.txt":       "metrics",
	"vendor/k.libsonnet":          `(import 'k/apps.libsonnet') + { service(name, ports): { apiVersion: 'v1', kind: 'Service', metadata: { name: name }, spec: { ports: ports } } }`,
	"vendor/k/apps.libsonnet":     `{ deployment(name, n): { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: name }, spec: { replicas: n } } }`,
	"other/k.libsonnet":           `error 'the wrong library'`,
}

func spec(file string) *engine.Spec {
	return &engine.Spec{Tool: engine.Jsonnet, Path: "apps/web", Jsonnet: engine.JsonnetOptions{
		File: file, Libraries: []string{"other", "vendor"},
		ExtVars: []engine.Variable{{Name: "name", Value: "web"}, {Name: "ports", Value: "[{port: 80 + 1}]", Code: true}},
		TLAs:    []engine.Variable{{Name: "replicas", Value: "3", Code: true}},
	}}
}

func TestJsonnetRendersWithItsLibrariesAndVariables(t *testing.T) {
	r, err := render(t, deployment, spec("apps/web/main.jsonnet"), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var objects []any
	for _, d := range r.Documents {
		var o any
		if err := json.Unmarshal(d.Data, &o); err != nil || d.Origin != "apps/web/main.jsonnet" {
			t.Fatal(err, d.Origin)
		}
		objects = append(objects, o)
	}
	got, _ := json.Marshal(objects)
	want := `[{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"team":"metrics"},"name":"web"},"spec":{"replicas":3}},` +
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"port":81}]}}]`
	if string(got) != want || strings.Join(r.Files, " ") != "apps/web/lib/here.libsonnet apps/web/lib/team.txt apps/web/main.jsonnet vendor/k/apps.libsonnet vendor/k.libsonnet" {
		t.Errorf("it renders\n%s\nand not\n%s\nfrom %v", got, want, r.Files)
	}
}

func TestWhatIsWrongInJsonnetIsSaidWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		text, message, path string
		line                int
		fault               engine.Fault
	}{
		"syntax":           {"{\n  a: ,\n}", "Unexpected", "apps/web/a.jsonnet", 2, engine.OfSource},
		"runtime":          {"local a = 1;\n\n{a: error 'no way'}", "no way", "apps/web/a.jsonnet", 3, engine.OfSource},
		"in a library":     {"\n(import 'bad.libsonnet').f(1)", "too small", "vendor/bad.libsonnet", 2, engine.OfSource},
		"in std":           {"{\n a: std.parseJson(1)}", "", "apps/web/a.jsonnet", 2, engine.OfSource},
		"missing variable": {"std.extVar('x')", "x", "apps/web/a.jsonnet", 1, engine.OfSource},
		"missing import":   {"import 'x.libsonnet'", "there is no file x.libsonnet in apps/web, vendor, other", "apps/web/a.jsonnet", 1, engine.OfSource},
		"nested":           {"[[{a: 1}]]", "flatten", "apps/web/a.jsonnet", 1, engine.OfSource},
		"no object":        {"'a'", "neither an object", "apps/web/a.jsonnet", 1, engine.OfSource},
		"outside":          {"import '../../../x.libsonnet'", "not in the repository", "apps/web/a.jsonnet", 1, engine.OfReach},
		"absolute":         {"importstr '/etc/passwd'", "not in the repository", "apps/web/a.jsonnet", 1, engine.OfReach},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"apps/web/a.jsonnet": c.text, "vendor/bad.libsonnet": "{f(x)::\n if x < 2 then error 'too small' else {}}"}
			_, err := render(t, files, spec("apps/web/a.jsonnet"), engine.Options{})
			got := failure(t, err)
			if got.Fault != c.fault || got.Path != c.path || got.Line != c.line || !strings.Contains(got.Message, c.message) {
				t.Errorf("it says %d, %v", got.Fault, got)
			}
		})
	}
}
