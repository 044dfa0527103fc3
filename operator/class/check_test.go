package class_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/operator/class"
)

func TestClassesAreCheckedWithoutACluster(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "default"), output("1"))
	write(t, filepath.Join(dir, "broken"), "[agent")
	write(t, filepath.Join(dir, "-name"), "")
	write(t, filepath.Join(dir, ".hidden"), "[agent")
	write(t, filepath.Join(dir, "resources.yaml"), `# classes
---
apiVersion: holdfast.dev/v1alpha1
kind: ClusterTelegrafClass
metadata: {name: wide}
spec:
  config: |
    [[outputs.file]]
      files = ["bad"]
---
apiVersion: holdfast.dev/v1alpha1
kind: TelegrafClass
metadata: {name: own, namespace: x}
spec:
  confg: ""
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  metadata: {name: classes}
  stringData: {plain: "[[inputs.cpu]]"}
  data: {encoded: W2FnZW50}
- {apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: tls}, stringData: {tls.key: x}}
- {apiVersion: v1, kind: Namespace, metadata: {name: x}}
`)
	verdicts, err := class.Check(t.Context(), withAgent(&fakeAgent{answer: refuseBad}), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range verdicts {
		got = append(got, v.Key.String()+": "+string(v.Reason))
		if v.Key == inNamespace("x", "own") && !strings.Contains(v.Message, "confg") {
			t.Errorf("the message %q does not name the unknown field", v.Message)
		}
	}
	want := []string{"TelegrafClass x/own: Unreadable", "ClusterTelegrafClass wide: RefusedByAgent", "Secret encoded: SyntaxError", "Secret plain: Accepted",
		"Directory -name: InvalidName", "Directory broken: SyntaxError", "Directory default: Accepted"}
	if !slices.Equal(got, want) {
		t.Errorf("the verdicts are %q, want %q", got, want)
	}
}

func TestAClassOfManifestsIsResolvedAsOnACluster(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "default"), output("folder"))
	write(t, filepath.Join(dir, "a.yaml"), `
apiVersion: holdfast.dev/v1alpha1
kind: ClusterTelegrafClass
metadata: {name: wide}
spec: {configSecretKeyRef: {name: text, key: conf}}
---
apiVersion: holdfast.dev/v1alpha1
kind: ClusterTelegrafClass
metadata: {name: lost}
spec: {configSecretKeyRef: {name: elsewhere, key: conf}}
---
apiVersion: v1
kind: Secret
metadata: {name: text}
stringData: {conf: "[[inputs.cpu]]"}
---
apiVersion: holdfast.dev/v1alpha1
kind: TelegrafClass
metadata: {name: default}
spec: {config: "[[inputs.mem]]", sidecar: {healthPort: 8888}}
`)
	r, err := class.Offline(t.Context(), class.Options{}, "shop", dir)
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]string{
		"[[inputs.cpu]]": text(r, "shop", "wide"), "[[inputs.mem]]": text(r, "shop", "default"), output("folder"): text(r, "other", "default"),
		"there is no class conf for namespace shop; known: default, lost, wide":                                                                       text(r, "shop", "conf"),
		"the class lost (ClusterTelegrafClass) has no valid text yet: the text is the key conf of the Secret elsewhere, which is not among the files": text(r, "shop", "lost"),
	} {
		if got != want {
			t.Errorf("it has %q, want %q", got, want)
		}
	}
	if c, err := r.Resolve("shop", "default"); err != nil || c.Sidecar.HealthPort != 8888 {
		t.Errorf("%v; the class is %+v", err, c)
	}
}

func TestWhatCannotBeReadIsAnErrorOfTheCommand(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.yaml"), "a: [")
	write(t, filepath.Join(dir, "a"), "")
	for name, paths := range map[string][]string{"no YAML": {dir}, "nothing there": {filepath.Join(dir, "none")}, "twice": {filepath.Join(dir, "a"), filepath.Join(dir, "a")}} {
		if _, err := class.Check(t.Context(), class.Options{}, paths...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
