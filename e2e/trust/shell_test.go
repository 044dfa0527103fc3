//go:build e2e

package trust_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

var copies = regexp.MustCompile(`(?m)^    kubectl -n holdfast-trust (debug .*)$`)

// Nothing runs pods here. What the API server takes, and what of the service's pod is in the copy, is all that can be seen.
func TestThePodInWhichRunbooksAreFollowedHasWhatTheServiceHas(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(runbooks, readme))
	if err != nil {
		t.Fatal(err)
	}
	typed := copies.FindStringSubmatch(string(text))
	if typed == nil {
		t.Fatalf("%s copies no pod", readme)
	}
	namespace := cluster.Namespace(t, map[string]string{trust.ExcludeLabel: "true", "pod-security.kubernetes.io/enforce": "restricted"})
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "holdfast-trust"}}
	if _, err := cluster.Client().CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := cluster.Client().CoreV1().Pods(namespace)
	service, err := pods.Create(t.Context(), servicePod(t), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-n", namespace}, strings.Fields(strings.ReplaceAll(typed[1], "IMAGE", "reg.example/shell:1"))...)
	if out, err := cluster.Kubectl(t.Context(), args...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shell, err := pods.Get(t.Context(), "holdfast-trust-shell", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := service.Spec, shell.Spec
	if len(shell.Labels) > 0 || len(shell.OwnerReferences) > 0 {
		t.Errorf("it would be taken for the service: %v %v", shell.Labels, shell.OwnerReferences)
	}
	if a.NodeName != b.NodeName || a.ServiceAccountName != b.ServiceAccountName || !reflect.DeepEqual(a.Volumes, b.Volumes) || !reflect.DeepEqual(a.SecurityContext, b.SecurityContext) {
		t.Errorf("the pod is\n%+v\nand its copy\n%+v", a, b)
	}
	serve := b.Containers[0]
	if len(b.Containers) != 1 || serve.Image != "reg.example/shell:1" || strings.Join(serve.Command, " ") != "sleep 12h" || len(serve.Args) > 0 {
		t.Errorf("it runs %+v", b.Containers)
	}
	if serve.LivenessProbe != nil || serve.ReadinessProbe != nil || !reflect.DeepEqual(serve.VolumeMounts, a.Containers[0].VolumeMounts) {
		t.Errorf("its container is %+v", serve)
	}
}

// servicePod is the first pod of the manifest, as the controller of its StatefulSet makes it.
func servicePod(t *testing.T) *corev1.Pod {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "holdfast-trust.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		var set appsv1.StatefulSet
		if err := yaml.Unmarshal([]byte(document), &set); err != nil || set.Kind != "StatefulSet" {
			continue
		}
		p := &corev1.Pod{ObjectMeta: set.Spec.Template.ObjectMeta, Spec: set.Spec.Template.Spec}
		p.Name, p.Spec.NodeName, p.Spec.Hostname, p.Spec.Subdomain = "holdfast-trust-0", "somewhere", "holdfast-trust-0", set.Spec.ServiceName
		for _, claim := range set.Spec.VolumeClaimTemplates {
			source := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-holdfast-trust-0"}}
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: source})
		}
		return p
	}
	t.Fatal("the manifest has no StatefulSet")
	return nil
}
