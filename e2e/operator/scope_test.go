//go:build e2e

package operator_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// Which pods get a sidecar, and which do not.

// untouched fails unless a pod is as its author made it.
func (c created) untouched(t *testing.T) {
	t.Helper()
	for key := range c.Labels {
		if strings.Contains(key, "holdfast.dev/") {
			t.Errorf("there is the label %s", key)
		}
	}
	if n := len(c.Spec.InitContainers) + len(c.Spec.Containers); n != 1 || len(c.warnings) > 0 {
		t.Errorf("%d containers, warnings %q", n, c.warnings)
	}
}

func TestScopeNamespaces(t *testing.T) {
	for name, in := range map[string]string{
		"kube-system":                      "kube-system",
		"the operator's own":               operator.Namespace,
		"labelled injection disabled":      cluster.Namespace(t, map[string]string{"holdfast.dev/injection": "disabled"}),
		"labelled disabled beside another": cluster.Namespace(t, map[string]string{"holdfast.dev/injection": "disabled", "team": "a"}),
	} {
		t.Run(name, func(t *testing.T) {
			asked := count(t, webhookRequests)
			pod := annotated("p", "class", "app", "port", "8080")
			confine(pod)
			create(t, in, pod, metav1.DryRunAll).untouched(t)
			if n := count(t, webhookRequests) - asked; n != 0 {
				t.Errorf("the webhook was asked %d times", n)
			}
		})
	}
	create(t, cluster.Namespace(t, map[string]string{"holdfast.dev/injection": "enabled"}), annotated("p", "port", "8080")).sidecar(t)
}

func TestScopePods(t *testing.T) {
	in := cluster.Namespace(t, nil)
	ignored := annotated("ignored", "class", "app", "port", "8080")
	ignored.Labels = map[string]string{"telegraf.influxdata.com/ignore": "true"}
	create(t, in, ignored).untouched(t)
	off := create(t, in, annotated("off", "class", "app", "port", "x", "holdfast.dev/inject", "false"))
	off.untouched(t)
	create(t, in, annotated("on", "holdfast.dev/inject", "true", "internal", "true")).sidecar(t)

	// Was: each of these caused an injection.
	misspelt := create(t, in, annotated("misspelt", "prot", "8080"))
	if c, _ := misspelt.container("telegraf"); c != nil {
		t.Error("a misspelt key caused an injection")
	}
	misspelt.warned(t, "telegraf.influxdata.com/prot: is not a key; did you mean port?")
	create(t, in, annotated("misspelt-beside", "prot", "8080", "internal", "true")).warned(t, "did you mean port?")
	ignore := create(t, in, annotated("ignore", "ignore", "true"))
	if c, _ := ignore.container("telegraf"); c != nil {
		t.Error("the annotation ignore caused an injection")
	}
	ignore.warned(t, "is a label, not an annotation")
	create(t, in, annotated("ignore-beside", "ignore", "true", "port", "8080")).warned(t, "is a label, not an annotation")
	create(t, in, annotated("other-prefix", "x.telegraf.influxdata.com/foo", "y")).untouched(t)
	create(t, in, annotated("other-prefix-beside", "x.telegraf.influxdata.com/port", "1", "port", "8080")).warned(t, "such as x.holdfast.dev/port")

	// The own prefix wins over the old one.
	c := create(t, in, annotated("both", "port", "8080", "holdfast.dev/port", "9090"))
	if conf := c.conf("telegraf"); !strings.Contains(conf, ":9090/") || strings.Contains(conf, ":8080/") {
		t.Errorf("the file is\n%s", conf)
	}
	accepted(t, c.Pod)
}

// A container called telegraf is somebody's already. telegraf-operator did not look at init containers.
func TestScopePodsThatHaveATelegraf(t *testing.T) {
	in := cluster.Namespace(t, nil)
	for name, change := range map[string]func(*corev1.PodSpec){
		"container": func(s *corev1.PodSpec) {
			s.Containers = append(s.Containers, corev1.Container{Name: "telegraf", Image: "mine"})
		},
		"init": func(s *corev1.PodSpec) {
			s.InitContainers = append(s.InitContainers, corev1.Container{Name: "telegraf", Image: "mine", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)})
		},
	} {
		pod := annotated(name, "port", "8080")
		change(&pod.Spec)
		c := create(t, in, pod)
		if found, _ := c.container("telegraf"); found.Image != "mine" || len(c.Spec.Containers)+len(c.Spec.InitContainers) != 2 {
			t.Errorf("%s: %v", name, c.Spec)
		}
		c.warned(t, "the pod has a container of that name already")
		if c.Labels["sidecar.holdfast.dev/injected"] != "false" {
			t.Errorf("%s: labels %v", name, c.Labels)
		}
	}
}

// A volume of the name that the sidecar needs is no reason to refuse the pod.
func TestScopePodsThatHaveTheVolume(t *testing.T) {
	pod := annotated("p", "port", "8080")
	withVolume("telegraf-config")(pod)
	create(t, cluster.Namespace(t, nil), pod).bare(t, `the pod has a volume "telegraf-config" already`)
}
