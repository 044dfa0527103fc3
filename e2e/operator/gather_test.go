//go:build e2e

package operator_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// preview runs holdfast-operator preview on a manifest with the classes of the tests, and returns what it prints.
func preview(t *testing.T, manifest string, args ...string) string {
	t.Helper()
	program, err := holdfastOperator()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range classes {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, append([]string{"preview", "-f", "-", "--classes", dir}, args...)...)
	cmd.Stdin = strings.NewReader(manifest)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

// gathered runs the real Telegraf once with the files and the variables that a sidecar has, and returns what its outputs print.
func gathered(t *testing.T, c created, container string) string {
	t.Helper()
	sidecar, _ := c.container(container)
	if sidecar == nil {
		t.Fatalf("there is no container %s: %s", container, c.Annotations["sidecar.holdfast.dev/status"])
	}
	cmd := exec.CommandContext(t.Context(), telegrafPath(t), "--config-directory", filepath.Join(materialised(t, c, sidecar), "etc/telegraf"), "--once", "--quiet")
	cmd.Env = variables(t, c, sidecar)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("Telegraf: %v\n%s", err, stderr.String())
	}
	return stdout.String()
}

// materialised makes a folder with all the files that a container finds at its mounts, and returns it.
func materialised(t *testing.T, c created, of *corev1.Container) string {
	t.Helper()
	root := t.TempDir()
	for _, m := range of.VolumeMounts {
		place(t, c, root, m)
	}
	return root
}

// place puts the files of a mounted volume where the container would have them, under root instead of /. Files that name others do so
// under root, too.
func place(t *testing.T, c created, root string, m corev1.VolumeMount) {
	t.Helper()
	if strings.HasPrefix(m.MountPath, "/var/run/secrets") {
		return
	}
	files := map[string]string{}
	if m.MountPath == "/etc/telegraf" {
		files = configuration(t, c.Pod, m.Name)
	} else {
		for _, v := range c.Spec.Volumes {
			if v.Name == m.Name && v.Secret != nil {
				files = secretFiles(t, c.Namespace, v.Secret)
			}
		}
	}
	dir := filepath.Join(root, m.MountPath)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		text = strings.ReplaceAll(text, `"/etc/telegraf-scrape`, `"`+root+`/etc/telegraf-scrape`)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func secretFiles(t *testing.T, namespace string, source *corev1.SecretVolumeSource) map[string]string {
	t.Helper()
	secret, err := cluster.Client().CoreV1().Secrets(namespace).Get(t.Context(), source.SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for key, value := range secret.Data {
		files[key] = string(value)
	}
	for _, item := range source.Items {
		files[item.Path] = string(secret.Data[item.Key])
	}
	return files
}

// variables are those of a container, as a kubelet finds them.
func variables(t *testing.T, c created, of *corev1.Container) (all []string) {
	t.Helper()
	for _, e := range of.Env {
		value := e.Value
		if from := e.ValueFrom; from != nil {
			value = valueFrom(t, c, from)
		}
		all = append(all, e.Name+"="+value)
	}
	return all
}

var metadataKey = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.*)'\]$`)

func valueFrom(t *testing.T, c created, from *corev1.EnvVarSource) string {
	t.Helper()
	core := cluster.Client().CoreV1()
	switch {
	case from.SecretKeyRef != nil:
		s, err := core.Secrets(c.Namespace).Get(t.Context(), from.SecretKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return string(s.Data[from.SecretKeyRef.Key])
	case from.ConfigMapKeyRef != nil:
		m, err := core.ConfigMaps(c.Namespace).Get(t.Context(), from.ConfigMapKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m.Data[from.ConfigMapKeyRef.Key]
	}
	path := from.FieldRef.FieldPath
	if m := metadataKey.FindStringSubmatch(path); m != nil {
		return map[string]map[string]string{"labels": c.Labels, "annotations": c.Annotations}[m[1]][m[2]]
	}
	known := map[string]string{"metadata.name": c.Name, "metadata.namespace": c.Namespace, "metadata.uid": string(c.UID),
		"spec.nodeName": "node-0", "spec.serviceAccountName": c.Spec.ServiceAccountName, "status.podIP": "10.0.0.1"}
	value, ok := known[path]
	if !ok {
		t.Fatalf("this test does not know the field %s", path)
	}
	return value
}
