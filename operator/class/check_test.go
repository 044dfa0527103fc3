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
