//go:build e2e

package charts_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/e2e/chart"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// objects reads the documents of a text, without those that have nothing.
func objects(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	for document := range strings.SplitSeq(strings.ReplaceAll("\n"+text, "\n---", "\n\x00"), "\x00") { // the line before belongs to the text
		var o map[string]any
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
	return all
}

// rendered is what the guard makes of a source in a folder.
func rendered(t *testing.T, root string, s *engine.Spec) []map[string]any {
	t.Helper()
	folder, err := tree.Folder(root)
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Options{})
	r, err := e.Render(t.Context(), folder, s)
	if err := errors.Join(err, e.Close(), folder.Close()); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, d := range r.Documents {
		b.WriteString("---\n" + string(d.Data) + "\n")
	}
	return objects(t, b.String())
}

// same holds two lists of objects against each other, in their order.
func same(t *testing.T, got, want []map[string]any) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d objects are rendered, and not %d", len(got), len(want))
	}
	for n := range want {
		if !reflect.DeepEqual(got[n], want[n]) {
			t.Errorf("object %d is\n%v\nand not\n%v", n, got[n], want[n])
		}
	}
}

func TestTheGuardRendersChartsAsHelmDoes(t *testing.T) {
	for name, o := range map[string]struct {
		args       []string
		parameters []engine.Parameter
		values     string
	}{
		"holdfast-operator": {},
		service: {[]string{"--set", "plain=true,settings.timing.active=7d", "--set-string", "nameOverride=1"},
			[]engine.Parameter{{Name: "plain", Value: "true"}, {Name: "settings.timing.active", Value: "7d"}, {Name: "nameOverride", Value: "1", Text: true}}, ""},
		agent: {[]string{"--values", "VALUES"}, nil, "keys: {existingSecret: a}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(o.values), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"template", "r", folder(name), "--namespace", "ns", "--kube-version", chart.KubeVersion, "--include-crds"}
			for _, arg := range o.args {
				args = append(args, strings.ReplaceAll(arg, "VALUES", file))
			}
			text, err := chart.Helm(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			same(t, rendered(t, deploy, &engine.Spec{Tool: engine.Helm, Path: "helm/" + name, Helm: engine.HelmOptions{
				Release: "r", Namespace: "ns", KubeVersion: chart.KubeVersion, Values: o.values, Parameters: o.parameters}}), objects(t, text))
		})
	}
}

func TestTheGuardBuildsKustomizationsAsKustomizeDoes(t *testing.T) {
	bin, err := peer.Build(t.Context(), "kustomize")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	operator, err := os.ReadFile(filepath.Join(deploy, "holdfast-operator.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"base/all.yaml":           string(operator),
		"base/kustomization.yaml": "resources: [all.yaml]\n",
		"prod/kustomization.yaml": "namespace: other\nnamePrefix: a-\nnameSuffix: -b\nresources: [../base]\nlabels: [{pairs: {env: prod}, includeSelectors: true}]\n" +
			"images: [{name: holdfast-operator, newTag: '9'}]\nreplicas: [{name: holdfast-operator, count: 5}]\n" +
			"secretGenerator: [{name: s, literals: [a=b]}]\nconfigMapGenerator: [{name: c, envs: [env]}]\n" +
			"patches: [{target: {kind: Deployment}, patch: '[{\"op\": \"add\", \"path\": \"/spec/paused\", \"value\": true}]'}]\n" +
			"replacements: [{source: {kind: Secret, name: s}, targets: [{select: {kind: Deployment}, fieldPaths: [metadata.annotations.secret], options: {create: true}}]}]\n",
		"prod/env": "X=1\n",
	} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := exec.CommandContext(t.Context(), peer.Executable(bin, "kustomize"), "build", filepath.Join(root, "prod")).Output()
	if err != nil {
		t.Fatal(err)
	}
	same(t, rendered(t, root, &engine.Spec{Tool: engine.Kustomize, Path: "prod"}), objects(t, string(text)))
}
