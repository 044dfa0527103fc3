//go:build e2e

package operator_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

func telegrafPath(t *testing.T) string {
	t.Helper()
	bin, err := peer.Build(t.Context(), "telegraf")
	if err != nil {
		t.Fatal(err)
	}
	return peer.Executable(bin, "telegraf")
}

// accepted writes the configuration of every sidecar of a pod as its kubelet would, and has the real Telegraf check it. It returns the
// files of the first sidecar.
func accepted(t *testing.T, pod *corev1.Pod) map[string]string {
	t.Helper()
	var first map[string]string
	for _, v := range pod.Spec.Volumes {
		if !strings.HasPrefix(v.Name, "telegraf") || v.Projected == nil {
			continue
		}
		files := configuration(t, pod, v.Name)
		if first == nil {
			first = files
		}
		check(t, created{Pod: pod}, v.Name)
	}
	if first == nil {
		t.Fatal("the pod has no configuration")
	}
	return first
}

// configuration is the content of a volume, once the classes that it names have been delivered.
func configuration(t *testing.T, pod *corev1.Pod, volume string) map[string]string {
	t.Helper()
	var files map[string]string
	eventually(t, 20*time.Second, func() error {
		all, err := kube.VolumeFiles(t.Context(), cluster.Client(), pod, volume)
		if err != nil {
			return err
		}
		files = map[string]string{}
		for name, f := range all {
			files[name] = string(f.Data)
		}
		if !slices.ContainsFunc(keys(files), func(name string) bool { return strings.HasPrefix(name, "class-") }) {
			return fmt.Errorf("no class among the files %q", keys(files))
		}
		return nil
	})
	return files
}

// check asks the real Telegraf about the sidecar that mounts a volume as its configuration.
func check(t *testing.T, c created, volume string) {
	t.Helper()
	for _, of := range slices.Concat(c.Spec.InitContainers, c.Spec.Containers) {
		if mountedAt("/etc/telegraf")(&of) != volume {
			continue
		}
		cmd := exec.CommandContext(t.Context(), telegrafPath(t), "config", "check", "--strict-env-handling", "--config-directory", filepath.Join(materialised(t, c, &of), "etc/telegraf"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("Telegraf refuses the configuration: %v\n%s\n%q", err, out, configuration(t, c.Pod, volume))
		}
		return
	}
	t.Errorf("no container has the volume %s", volume)
}
