package manifest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/settings"
)

// trustPods are the pods of holdfast-trust's manifests.
func trustPods(t *testing.T) map[string]corev1.PodTemplateSpec {
	t.Helper()
	return map[string]corev1.PodTemplateSpec{
		"holdfast-trust.yaml":      manifest.Find[*appsv1.StatefulSet](read(t, "holdfast-trust.yaml"), "holdfast-trust").Spec.Template,
		"holdfast-trust-sync.yaml": manifest.Find[*appsv1.Deployment](read(t, "holdfast-trust-sync.yaml"), "holdfast-trust-sync").Spec.Template,
	}
}

func TestTrustsPodsMeetPodSecurityRestricted(t *testing.T) {
	for file, pod := range trustPods(t) {
		ns := manifest.Find[*corev1.Namespace](read(t, file), "holdfast-trust")
		if ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("%s: the namespace's labels are %v", file, ns.Labels)
		}
		checkTight(t, pod.Spec)
		if *pod.Spec.AutomountServiceAccountToken || pod.Spec.HostNetwork || pod.Spec.HostPID || pod.Spec.HostIPC {
			t.Errorf("%s: the pod has more than it needs", file)
		}
	}
}

func TestTrustTouchesObjectsByNameOnly(t *testing.T) {
	for _, file := range []string{"holdfast-trust.yaml", "holdfast-trust-sync.yaml"} {
		for _, r := range rules(t, read(t, file)) {
			for _, resource := range r.Resources {
				switch {
				case slices.Contains(r.Verbs, "delete"), slices.Contains(r.Verbs, "*"), resource == "*", resource == "secrets":
					t.Errorf("%s: too much: %+v", file, r)
				case resource == "events" || resource == "pods": // of a namespace, and only made
					if slices.ContainsFunc(r.Verbs, func(v string) bool { return v != "create" && v != "patch" }) || resource == "pods" && len(r.Verbs) > 1 {
						t.Errorf("%s: too much: %+v", file, r)
					}
				case len(r.ResourceNames) == 0:
					t.Errorf("%s: a rule for every one of the %s: %+v", file, resource, r)
				}
			}
		}
	}
}

func TestServicesLeadToTrustsPods(t *testing.T) {
	for file, pod := range trustPods(t) {
		for _, d := range read(t, file) {
			s, ok := d.Object.(*corev1.Service)
			if !ok {
				continue
			}
			if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
				t.Errorf("%s: the Service %s does not select the pods", file, s.Name)
			}
			for _, port := range s.Spec.Ports {
				if !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == port.TargetPort.StrVal }) {
					t.Errorf("%s: the Service %s leads to a port %s, which there is not", file, s.Name, port.TargetPort.StrVal)
				}
			}
		}
	}
}

func TestTheExampleOfTheConfigurationIsOne(t *testing.T) {
	m := manifest.Find[*corev1.ConfigMap](read(t, "holdfast-trust-config.yaml"), "holdfast-trust-config")
	file := filepath.Join(t.TempDir(), "trust.yaml")
	if err := os.WriteFile(file, []byte(m.Data["trust.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := settings.Read(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := access.ParseRules("rules.yaml", []byte(m.Data["rules.yaml"])); err != nil {
		t.Error(err)
	}
	pod := trustPods(t)["holdfast-trust.yaml"].Spec
	if i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "config" }); pod.Volumes[i].ConfigMap.Name != m.Name {
		t.Errorf("the pods read %s", pod.Volumes[i].ConfigMap.Name)
	}
	for _, path := range []string{s.Data, s.TLS.Certificate, s.Access.Rules} {
		if !slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(path, m.MountPath+"/") }) {
			t.Errorf("nothing is mounted at %s", path)
		}
	}
}
