package rule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// charted is a repository with an Application that Helm renders, and one of Kustomize, each with a StatefulSet and these annotations.
func charted(annotations string) files {
	f := files{}
	for _, app := range []struct{ name, path string }{{"chart", "charts/db"}, {"overlay", "overlays/db"}} {
		f["apps/"+app.name+".yaml"] = fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %s, namespace: argocd}
spec:
  project: default
  source: {repoURL: https://git.example/r, path: %s, targetRevision: HEAD}
  destination: {server: https://kubernetes.default.svc, namespace: %s}
`, app.name, app.path, app.name)
	}
	set := "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: %s\n  annotations: {" + annotations + "}\nspec: {serviceName: db}\n"
	f["charts/db/Chart.yaml"] = "apiVersion: v2\nname: db\nversion: 1.0.0\n"
	f["charts/db/templates/set.yaml"] = fmt.Sprintf(set, "{{ .Release.Name }}-db")
	f["overlays/db/kustomization.yaml"] = "resources: [set.yaml]\nnamePrefix: our-\n"
	f["overlays/db/set.yaml"] = fmt.Sprintf(set, "db")
	return f
}

func TestRulesLookAtWhatToolsRender(t *testing.T) {
	dir := t.TempDir()
	charted("").write(t, dir)
	found := map[string]string{}
	for _, f := range checkFolder(t, dir).Findings {
		if f.Rule == "HG040" {
			found[f.Key.String()] = fmt.Sprintf("%s of %s", f.Place, f.Application)
		}
	}
	want := map[string]string{"apps/StatefulSet chart/chart-db": "charts/db/templates/set.yaml:1 of chart", "apps/StatefulSet overlay/our-db": "overlays/db/set.yaml:1 of overlay"}
	if fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("found %v, want %v", found, want)
	}
}

func TestWhatTemplatesProtectIsProtected(t *testing.T) {
	dir := t.TempDir()
	charted("argocd.argoproj.io/sync-options: 'Prune=false,Delete=false'").write(t, dir)
	for _, f := range checkFolder(t, dir).Findings {
		if f.Rule == "HG040" || f.Rule == "HG042" {
			t.Errorf("found %s %s: %s", f.Rule, f.Place, f.Message)
		}
	}
}

// A template is no manifest that can be edited like one.
func TestTemplatesAreNotMendedForWhatTheyRenderTo(t *testing.T) {
	dir := t.TempDir()
	charted("").write(t, dir)
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	s, err := settings.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	options, err := s.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	i, err := inventory.Load(t.Context(), folder, options)
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	findings, _, err := rule.Run(t.Context(), i, config)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := rule.Mend(i, findings)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := changes.Apply(dir); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"charts/db/templates/set.yaml", "overlays/db/set.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "Prune") {
			t.Errorf("%s was mended: %s", file, text)
		}
	}
}
