package argo_test

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// repository is what the generators of the tests read.
var repository = map[string]string{
	"env/c1/app01/yml/a.yaml": "x", "env/c1/app02/yml/a.yaml": "x", "env/c2/app01/yml/a.yaml": "x", "env/.hidden/app/yml/a.yaml": "x", "env/c2/Some_App/yml/a.yaml": "x",
	"clusters/one.json":    `{"cluster": {"name": "one", "server": "https://one"}, "tier": 1}`,
	"clusters/eu/two.yaml": "cluster: {name: two, server: https://two}\ntier: 2\n",
}

// generate returns "name path server" of what a set generates.
func generate(t *testing.T, spec string, clusters map[string]string) ([]string, *argo.Applications, error) {
	t.Helper()
	folder := treetest.Folder(t, repository)
	var body map[string]any
	if err := yaml.Unmarshal([]byte("metadata: {name: set}\nspec:\n"+spec), &body); err != nil {
		t.Fatal(err)
	}
	set, err := argo.ParseSet(&object.Object{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	made, err := set.Applications(folder, clusters)
	if err != nil {
		return nil, nil, err
	}
	var all []string
	for _, a := range made.All {
		text := a.Metadata.Name
		for _, s := range a.Spec.AllSources() {
			text += " " + s.Path
		}
		all = append(all, strings.TrimSpace(text+" "+a.Spec.Destination.Server))
	}
	return all, made, nil
}

const plainTemplate = "  template: {metadata: {name: '{{path[1]}}-{{path.basenameNormalized}}'}, spec: {source: {path: '{{path}}'}}}\n"

func TestGeneratorsMakeWhatArgoCDMakes(t *testing.T) {
	for name, c := range map[string]struct {
		spec     string
		clusters map[string]string
		want     []string
	}{
		"a list": {"  generators: [{list: {elements: [{app: a, to: {url: https://x}}, {app: b, to: {url: https://y}}]}}]\n  template: {metadata: {name: 'x-{{ app }}'}, spec: {destination: {server: '{{to.url}}'}}}\n",
			nil, []string{"x-a https://x", "x-b https://y"}},
		"folders": {"  generators: [{git: {directories: [{path: 'env/*/*'}, {path: 'env/c1/app02', exclude: true}]}}]\n" + plainTemplate,
			nil, []string{"c1-app01 env/c1/app01", "c2-some-app env/c2/Some_App", "c2-app01 env/c2/app01"}},
		"files": {"  goTemplate: true\n  generators: [{git: {files: [{path: 'clusters/*'}]}}]\n  template: {metadata: {name: '{{.cluster.name}}-{{.tier}}-{{index .path.segments 0}}'}, spec: {destination: {server: '{{.cluster.server}}'}, source: {path: '{{.path.filename}}'}}}\n",
			nil, []string{"two-2-clusters two.yaml https://two", "one-1-clusters one.json https://one"}},
		"clusters": {"  generators: [{clusters: {values: {tier: 'of-{{name}}'}}}]\n  template: {metadata: {name: '{{values.tier}}'}, spec: {destination: {server: '{{server}}'}}}\n",
			map[string]string{"edge": "https://edge"}, []string{"of-edge https://edge", "of-in-cluster https://kubernetes.default.svc"}},
		"a matrix": {"  generators: [{matrix: {generators: [{list: {elements: [{c: c1}, {c: c2}]}}, {git: {directories: [{path: 'env/{{c}}/app01'}]}}]}}]\n  template: {metadata: {name: '{{c}}-{{path.basename}}'}, spec: {}}\n",
			nil, []string{"c1-app01", "c2-app01"}},
		"a merge": {"  generators: [{merge: {mergeKeys: [app], generators: [{list: {elements: [{app: a, num: 1}, {app: b, num: 1}]}}, {list: {elements: [{app: b, num: 2}]}}]}}]\n  template: {metadata: {name: '{{app}}{{num}}'}, spec: {}}\n",
			nil, []string{"a1", "b2"}},
		"a template of its own, and a patch": {"  goTemplate: true\n  generators: [{list: {elements: [{app: a}], template: {spec: {source: {path: own}}}}}]\n  template: {metadata: {name: '{{.app}}'}, spec: {source: {path: set}}}\n  templatePatch: '{\"spec\": {\"destination\": {\"server\": \"https://{{.app}}\"}}}'\n",
			nil, []string{"a own https://a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, made, err := generate(t, c.spec, c.clusters)
			if err != nil || len(made.Unanalysed) > 0 {
				t.Fatal(err, made)
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("it generates %q, want %q", got, c.want)
			}
		})
	}
}

func TestGeneratedApplicationsHaveTheFinalizerUnlessTheSetPreserves(t *testing.T) {
	for preserve, want := range map[string]bool{"": true, "  syncPolicy: {preserveResourcesOnDeletion: true}\n": false} {
		_, made, err := generate(t, "  generators: [{list: {elements: [{app: a}]}}]\n  template: {metadata: {name: '{{app}}'}, spec: {}}\n"+preserve, nil)
		if err != nil {
			t.Fatal(err)
		}
		if made.All[0].Cascades() != want {
			t.Errorf("with %q it cascades: %v", preserve, !want)
		}
	}
}

func TestAPatchTakesNoFinalizerAway(t *testing.T) {
	_, made, err := generate(t, "  generators: [{list: {elements: [{app: a}]}}]\n  template: {metadata: {name: '{{app}}', finalizers: ["+argo.Finalizer+"]}, spec: {}}\n"+
		"  templatePatch: 'metadata: {finalizers: [other]}'\n  syncPolicy: {preserveResourcesOnDeletion: true}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if f := made.All[0].Metadata.Finalizers; len(f) != 2 || !made.All[0].Cascades() {
		t.Errorf("the finalizers are %q", f)
	}
}

func TestWhatOnlyArgoCDKnowsIsNotAnalysed(t *testing.T) {
	for name, generator := range map[string]string{
		"pull requests": "pullRequest: {}", "selected clusters": "clusters: {selector: {matchLabels: {a: b}}}", "clusters": "clusters: {}",
		"a selector": "list: {elements: []}, selector: {matchLabels: {a: b}}", "a commit": "git: {revision: f123456789012345678901234567890123456789, directories: [{path: '*'}]}",
		"a directive": "list: {elements: [{}]}}]\n  templatePatch: '{spec: {$retainKeys: [source]}}'\n  syncPolicy: {}\n  x: [{",
	} {
		_, made, err := generate(t, "  generators: [{"+generator+"}]\n  template: {metadata: {name: a}, spec: {}}\n", nil)
		if err != nil || len(made.All) != 0 || len(made.Unanalysed) != 1 {
			t.Errorf("%s: %v, %+v", name, err, made)
		}
	}
}

func TestASetThatCannotGenerateSaysWhy(t *testing.T) {
	for name, c := range map[string]struct{ spec, words string }{
		"no name":       {"  generators: [{list: {elements: [{app: a}]}}]\n  template: {metadata: {name: '{{none}}'}, spec: {}}\n", "{{none}}"},
		"bad template":  {"  goTemplate: true\n  generators: [{list: {elements: [{app: a}]}}]\n  template: {metadata: {name: '{{.app'}, spec: {}}\n", "the template"},
		"environment":   {"  goTemplate: true\n  generators: [{list: {elements: [{app: a}]}}]\n  template: {metadata: {name: '{{env \"HOME\"}}'}, spec: {}}\n", "function \"env\" not defined"},
		"long":          {"  goTemplate: true\n  generators: [{list: {elements: [{app: a}]}}]\n  template: {metadata: {name: '{{repeat 2000000 .app}}'}, spec: {}}\n", "longer than"},
		"bad pattern":   {"  generators: [{git: {directories: [{path: '[a'}]}}]\n" + plainTemplate, "the pattern"},
		"one in matrix": {"  generators: [{matrix: {generators: [{list: {}}]}}]\n" + plainTemplate, "two generators"},
	} {
		if _, _, err := generate(t, c.spec, nil); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
