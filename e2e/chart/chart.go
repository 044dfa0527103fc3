// Package chart renders the charts of deploy/ by the real Helm, and writes the plain manifests that are made from them.
package chart

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// KubeVersion is what charts are rendered for; without it, it would be the version that Helm was built with.
const KubeVersion = "1.33.0"

// Helm runs Helm in a folder of its own, so that nobody's configuration has a say.
func Helm(t testing.TB, args ...string) (string, error) {
	t.Helper()
	bin, err := peer.Build(t.Context(), "helm")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), peer.Executable(bin, "helm"), args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// Render renders the chart in a folder, for a release and a namespace, and reads the result strictly.
func Render(t testing.TB, folder, release, namespace string, args ...string) ([]manifest.Document, error) {
	t.Helper()
	text, err := Helm(t, append([]string{"template", release, folder, "--namespace", namespace, "--kube-version", KubeVersion}, args...)...)
	if err != nil {
		return nil, err
	}
	return manifest.Parse([]byte(text))
}

// Join writes one manifest, with the name of the chart and a header. Namespaces come first, since what is in them cannot be made before them.
func Join(name, header string, docs []manifest.Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Generated from deploy/helm/%s by make manifest.\n#\n", name)
	for line := range strings.Lines(header) {
		b.WriteString("# " + line)
	}
	b.WriteString("\n")
	first := func(d manifest.Document) bool { return strings.HasSuffix(d.Source, "namespace.yaml") }
	for _, pass := range []bool{true, false} {
		for _, d := range docs {
			if first(d) == pass {
				b.WriteString("---\n" + strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(d.Text), "---")) + "\n")
			}
		}
	}
	return b.String()
}

// Only keeps the documents that are from templates of certain names.
func Only(docs []manifest.Document, templates ...string) []manifest.Document {
	return slices.DeleteFunc(docs, func(d manifest.Document) bool {
		return !slices.ContainsFunc(templates, func(name string) bool { return strings.HasSuffix(d.Source, "/templates/"+name) })
	})
}
