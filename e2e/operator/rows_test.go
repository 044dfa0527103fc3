//go:build e2e

package operator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/e2e/operator"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// row is one line of a table: annotations, and what a pod that has them must get.
type row struct {
	name        string
	annotations []string
	// conf are texts that the generated file must have, lacks one that it must not have.
	conf  []string
	lacks string
	// warning must be among the admission warnings; without one there must be none.
	warning string
	// refusal is why there is no sidecar.
	refusal string
	// change makes another pod of the usual one.
	change func(*corev1.Pod)
	// look is for the rest.
	look func(*testing.T, created)
}

// rows tries each row in a namespace of their own. Whatever Telegraf is given must be accepted by it.
func rows(t *testing.T, all []row) {
	t.Helper()
	in := cluster.Namespace(t, nil)
	for i, r := range all {
		t.Run(r.name, func(t *testing.T) {
			pod := annotated(fmt.Sprintf("row-%d", i), r.annotations...)
			if r.change != nil {
				r.change(pod)
			}
			c := create(t, in, pod)
			if r.refusal != "" {
				c.bare(t, r.refusal)
			} else {
				c.gets(t, r)
			}
			if r.look != nil {
				r.look(t, c)
			}
		})
	}
}

// gets fails unless the pod has the sidecar of a row.
func (c created) gets(t *testing.T, r row) {
	t.Helper()
	c.sidecar(t)
	conf := c.conf("telegraf")
	for _, words := range r.conf {
		if !strings.Contains(conf, words) {
			t.Errorf("the file lacks %q:\n%s", words, conf)
		}
	}
	if r.lacks != "" && strings.Contains(conf, r.lacks) {
		t.Errorf("the file has %q:\n%s", r.lacks, conf)
	}
	switch {
	case r.warning != "":
		c.warned(t, r.warning)
	case len(c.warnings) > 0:
		t.Errorf("warnings %q", c.warnings)
	}
	accepted(t, c.Pod)
}

// confine makes a pod meet the Pod Security Standard "restricted".
func confine(p *corev1.Pod) {
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(1000)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: new(false),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
}

// classLabel is the hash of a class that a pod says it has.
func classLabel(pod *corev1.Pod, class string) string { return pod.Labels["class.holdfast.dev/"+class] }

// setClass makes the text of a class be this in the Secret of classes until the test ends, and returns once pods get it.
func setClass(t *testing.T, name, text string) {
	t.Helper()
	before, had := classes[name]
	putClass(t, name, &text)
	awaitClass(t, name, text)
	t.Cleanup(func() {
		if !had {
			putClass(t, name, nil)
			return
		}
		putClass(t, name, &before)
	})
}

// putClass writes the text of a class, or removes the class, and does not wait.
func putClass(t *testing.T, name string, text *string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"stringData": map[string]*string{name: text}})
	if text == nil {
		patch, err = json.Marshal(map[string]any{"data": map[string]any{name: nil}})
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context()) // which is over when a test cleans up
	_, err = cluster.Client().CoreV1().Secrets(operator.Namespace).Patch(ctx, "holdfast-operator-classes", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitClass returns when new pods of the namespace default get a class with this text. It asks by dry runs.
func awaitClass(t *testing.T, name, text string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		c := create(t, "default", annotated("await-class", "class", name, "internal", "true"), metav1.DryRunAll)
		if got := classLabel(c.Pod, name); got != class.Hash([]byte(text)) {
			return fmt.Errorf("pods get the text %q of class %s: %s", got, name, c.Annotations["sidecar.holdfast.dev/status"])
		}
		return nil
	})
}

// secretsOf are the Secrets of a namespace, each as it is stored.
func secretsOf(t *testing.T, namespace string) map[string]string {
	t.Helper()
	list, err := cluster.Client().CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, s := range list.Items {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		all[s.Name] = string(text)
	}
	return all
}

// settled returns when the operator has seen to everything that happened before: a pod that is created now has been delivered to.
func settled(t *testing.T) {
	t.Helper()
	in := cluster.Namespace(t, nil)
	create(t, in, annotated("fence", "internal", "true"))
	delivered(t, in, "default", "outputs.file")
}

// sample is the value of a series as it is written, such as name{label="value"}; "" when there is none.
func sample(t *testing.T, series string) string {
	t.Helper()
	text, err := installed.Replicas[0].Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
