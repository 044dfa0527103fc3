package argo_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// decoded is an Application with a specification in YAML.
func decoded(t *testing.T, spec string) *argo.Application {
	t.Helper()
	a := new(argo.Application)
	if err := yaml.Unmarshal([]byte("metadata: {name: app, namespace: argocd}\nspec: "+spec), a); err != nil {
		t.Fatal(err)
	}
	return a
}

// rendering is of the first source of an Application.
func rendering(t *testing.T, spec string) *argo.Rendering {
	t.Helper()
	a := decoded(t, spec)
	sources := a.Spec.AllSources()
	return &argo.Rendering{Application: a, Source: &sources[0]}
}

func TestWhatASourceNamesDecidesItsTool(t *testing.T) {
	files := treetest.Folder(t, map[string]string{
		"helm/Chart.yaml": "", "kustomize/kustomization.yml": "", "both/Chart.yaml": "", "both/kustomization.yaml": "", "odd/My-Chart.yaml": "", "plain/a.yaml": "",
		"below/sub/Chart.yaml": "",
	}).Files()
	for spec, want := range map[string]argo.Tool{
		"{source: {path: helm}}":                                                argo.HelmTool,
		"{source: {path: kustomize}}":                                           argo.KustomizeTool,
		"{source: {path: both}}":                                                argo.KustomizeTool,
		"{source: {path: odd}}":                                                 argo.HelmTool,
		"{source: {path: plain}}":                                               argo.DirectoryTool,
		"{source: {path: below}}":                                               argo.DirectoryTool,
		"{source: {path: kustomize, directory: {recurse: true}}}":               argo.DirectoryTool,
		"{source: {path: kustomize, directory: {recurse: false}}}":              argo.KustomizeTool, // it says nothing, and is taken away
		"{sources: [{path: kustomize, directory: {recurse: false}}]}":           argo.DirectoryTool, // but not where there may be several
		"{source: {path: kustomize, directory: {include: '*.json'}}}":           argo.DirectoryTool,
		"{source: {path: plain, helm: {releaseName: a}}}":                       argo.HelmTool,
		"{source: {path: plain, helm: {parameters: []}}}":                       argo.DirectoryTool,
		"{source: {path: plain, plugin: {}}}":                                   argo.PluginTool,
		"{source: {chart: redis}}":                                              argo.HelmTool,
		"{sources: [{ref: values, helm: {releaseName: a}}]}":                    "",
		"{source: {path: helm, helm: {values: a}, kustomize: {namePrefix: b}}}": "",
	} {
		r := rendering(t, spec)
		if got := argo.ToolOf(r.Source, files); got != want {
			t.Errorf("%s is rendered by %q, and not by %q", spec, got, want)
		}
	}
	r := rendering(t, "{source: {path: a, helm: {values: a}, kustomize: {namePrefix: b}}}")
	if _, err := r.Source.Explicit(); !errors.Is(err, argo.ErrTools) {
		t.Errorf("two tools give %v", err)
	}
}

func TestFilesOfTheFolderAreMergedOverTheSource(t *testing.T) {
	folder := treetest.Folder(t, map[string]string{
		"x/.argocd-source.yaml":       "path: other\nhelm:\n  valueFiles: [b.yaml]\n  releaseName: null\nkustomize: null\n",
		"x/.argocd-source-app.yaml":   "helm: {parameters: [{name: a, value: '1'}]}\n",
		"x/.argocd-source-other.yaml": "a: b: c",
		"bad/.argocd-source.yaml":     "a: b: c",
	})
	r := rendering(t, "{source: {path: x, helm: {releaseName: r, valueFiles: [a.yaml]}}}")
	merged, err := r.Source.Overridden(folder, "app")
	if err != nil {
		t.Fatal(err)
	}
	var got argo.HelmOptions
	if err := json.Unmarshal(merged.Helm, &got); err != nil {
		t.Fatal(err)
	}
	if merged.Path != "x" || got.ReleaseName != "r" || strings.Join(got.ValueFiles, ",") != "b.yaml" || len(got.Parameters) != 1 {
		t.Errorf("it is %s of %s", merged.Helm, merged.Path)
	}
	if _, err := merged.Explicit(); err != nil {
		t.Error(err)
	}
	if _, err := (argo.Source{Path: "bad"}).Overridden(folder, "app"); err == nil || !strings.Contains(err.Error(), "bad/.argocd-source.yaml") {
		t.Errorf("what is no YAML gives %v", err)
	}
}

func TestHelmIsGivenWhatTheApplicationSays(t *testing.T) {
	r := rendering(t, `{project: p, destination: {namespace: ns}, sources: [{path: charts/web, repoURL: 'https://example.org/r.git', helm: {
  valueFiles: [values.yaml, ../env/$ARGOCD_APP_NAME.yaml, /top.yaml, '$values/env/a.yaml'], valuesObject: {a: 1}, values: 'b: 2',
  parameters: [{name: x, value: 'a,b'}, {name: x, value: '1,$ARGOCD_APP_PROJECT_NAME'}, {name: x, value: '{a,b}', forceString: true}],
  fileParameters: [{name: f, path: conf/f}], kubeVersion: 1.31.2, apiVersions: [a/v1], skipCrds: true, ignoreMissingValueFiles: true}},
  {repoURL: 'https://example.org/r.git', ref: values}]}`)
	s, err := r.Helm(func(*argo.Source) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(s)
	want, _ := json.Marshal(&engine.Spec{Tool: engine.Helm, Path: "charts/web", Helm: engine.HelmOptions{
		Release: "app", Namespace: "ns", ValueFiles: []string{"charts/web/values.yaml", "charts/env/app.yaml", "top.yaml", "env/a.yaml"}, Values: "a: 1\n", IgnoreMissing: true,
		Parameters:     []engine.Parameter{{Name: "x", Value: `1\,p`}, {Name: "x", Value: "{a,b}", Text: true}},
		FileParameters: []engine.Parameter{{Name: "f", Value: "charts/web/conf/f"}}, KubeVersion: "1.31.2", APIVersions: []string{"a/v1"}, SkipCRDs: true,
	}})
	if string(got) != string(want) {
		t.Errorf("it is\n%s\nand not\n%s", got, want)
	}
}

func TestValueFilesThatCannotBeHadAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		file       string
		unanalysed bool
		message    string
	}{
		"network": {"https://example.org/a.yaml", true, "fetched"},
		"scheme":  {"s3://a/b", false, "scheme"},
		"outside": {"../../a.yaml", false, "outside of the repository"},
		"top":     {"..", false, "outside"},
		"unknown": {"$other/a.yaml", false, "$values"},
		"remote":  {"$values/a.yaml", true, "it is elsewhere"},
	} {
		r := rendering(t, "{sources: [{path: charts, helm: {valueFiles: ['"+c.file+"']}}, {ref: values}]}")
		_, err := r.Helm(func(*argo.Source) string { return "it is elsewhere" })
		var unanalysed *argo.UnanalysedError
		if err == nil || errors.As(err, &unanalysed) != c.unanalysed || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKustomizeAndJsonnetAreGivenWhatTheApplicationSays(t *testing.T) {
	r := rendering(t, `{destination: {namespace: ns}, source: {path: overlay, kustomize: {namePrefix: p-, replicas: [{name: a, count: 2}, {name: b, count: '3'}],
  images: ['a:$ARGOCD_APP_REVISION_SHORT'], commonLabels: {l: $ARGOCD_APP_NAMESPACE}, commonAnnotations: {a: $ARGOCD_APP_NAME}, patches: [{path: a.yaml}]}}}`)
	s, err := r.Kustomize()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(s.Kustomize)
	want := `{"namePrefix":"p-","images":["a:0000000"],"replicas":[{"name":"a","count":2},{"name":"b","count":3}],"labels":{"l":"ns"},` +
		`"annotations":{"a":"$ARGOCD_APP_NAME"},"patches":[{"path":"a.yaml"}]}`
	if string(got) != want {
		t.Errorf("it is %s", got)
	}
	if _, err := rendering(t, "{source: {path: a, kustomize: {replicas: [{name: a, count: many}]}}}").Kustomize(); err == nil {
		t.Error("many is no number")
	}
	r = rendering(t, "{source: {path: app, directory: {jsonnet: {libs: [lib, /vendor/], extVars: [{name: a, value: '$$x${ARGOCD_APP_NAME}$NONE'}], tlas: [{name: b, value: '1', code: true}]}}}}")
	if s, err = r.Jsonnet("app/a.jsonnet"); err != nil {
		t.Fatal(err)
	}
	got, _ = json.Marshal(s)
	want = `{"tool":"jsonnet","path":"app","jsonnet":{"file":"app/a.jsonnet","libraries":["lib","vendor"],"extVars":[{"name":"a","value":"$xapp"}],"tlas":[{"name":"b","value":"1","code":true}]}}`
	if string(got) != want {
		t.Errorf("it is %s", got)
	}
	if _, err := rendering(t, "{source: {path: a, directory: {jsonnet: {libs: [../../lib]}}}}").Jsonnet("a/a.jsonnet"); err == nil {
		t.Error("a library outside of the repository is taken")
	}
}

func TestOptionsCountAsArgoCDCountsThem(t *testing.T) {
	for source, want := range map[string]argo.Tool{
		"helm: {valuesObject: {db: {enabled: false}}}":            argo.HelmTool,
		"helm: {valuesObject: {a: 0, b: '', c: {}, d: []}}":       argo.HelmTool,
		"helm: {valuesObject: {}}":                                argo.HelmTool,
		"helm: {valuesObject: null}":                              "",
		"helm: {values: ''}":                                      "",
		"helm: {}":                                                "",
		"helm: {parameters: [], skipCrds: false}":                 "",
		"helm: {parameters: [{}]}":                                argo.HelmTool,
		"helm: {passCredentials: true}":                           argo.HelmTool,
		"helm: {unknown: a}":                                      "",
		"kustomize: {commonLabels: {a: ''}}":                      argo.KustomizeTool,
		"kustomize: {commonLabels: {}}":                           "",
		"kustomize: {forceCommonLabels: true}":                    "",
		"kustomize: {patches: []}":                                "",
		"directory: {}":                                           "",
		"directory: {jsonnet: {libs: []}}":                        "",
		"directory: {jsonnet: {extVars: [{name: a, value: ''}]}}": argo.DirectoryTool,
	} {
		var s argo.Source
		if err := yaml.Unmarshal([]byte("{repoURL: https://git.example.org/a.git, path: a, "+source+"}"), &s); err != nil {
			t.Fatal(err)
		}
		all := (&argo.Spec{Source: &s}).AllSources()
		if got, err := all[0].Explicit(); got != want || err != nil {
			t.Errorf("%s names %q, want %q: %v", source, got, want, err)
		}
	}
}
