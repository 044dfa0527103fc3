//go:build e2e

package operator_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// annotated is a pod with annotations.
func annotated(name string, annotations ...string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	for i := 0; i < len(annotations); i += 2 {
		key := annotations[i]
		if !strings.Contains(key, "/") {
			key = "telegraf.influxdata.com/" + key
		}
		pod.Annotations[key] = annotations[i+1]
	}
	return pod
}

// created is what the API server made of a pod, and the warnings it gave.
type created struct {
	*corev1.Pod
	warnings []string
}

// warnings collects those of the API server.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code == http.StatusOK+99 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = append(w.all, text)
	}
}

// warningClient is an admin's client that collects warnings.
func warningClient(t *testing.T) (kubernetes.Interface, *warnings) {
	t.Helper()
	w := &warnings{}
	config := cluster.Config()
	config.WarningHandler = rest.WarningHandler(w)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, w
}

// create creates a pod, which must be admitted.
func create(t *testing.T, namespace string, pod *corev1.Pod, options ...string) created {
	t.Helper()
	c, err := tryCreate(t, namespace, pod, options...)
	if err != nil {
		t.Fatalf("creating the pod: %v", err)
	}
	return c
}

func tryCreate(t *testing.T, namespace string, pod *corev1.Pod, dryRun ...string) (created, error) {
	t.Helper()
	client, w := warningClient(t)
	p, err := client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: dryRun})
	return created{p, w.all}, err
}

// container returns a container of either kind, and whether it is a native sidecar.
func (c created) container(name string) (found *corev1.Container, native bool) {
	for i := range c.Spec.InitContainers {
		if c.Spec.InitContainers[i].Name == name {
			p := c.Spec.InitContainers[i].RestartPolicy
			return &c.Spec.InitContainers[i], p != nil && *p == corev1.ContainerRestartPolicyAlways
		}
	}
	for i := range c.Spec.Containers {
		if c.Spec.Containers[i].Name == name {
			return &c.Spec.Containers[i], false
		}
	}
	return nil, false
}

// sidecar returns the first sidecar, which must be there.
func (c created) sidecar(t *testing.T) *corev1.Container {
	t.Helper()
	found, _ := c.container("telegraf")
	if found == nil {
		t.Fatalf("there is no sidecar: %s; warnings %q", c.Annotations["sidecar.holdfast.dev/status"], c.warnings)
	}
	return found
}

// bare fails unless the pod has no sidecar and says why, with these words, on itself and to its creator.
func (c created) bare(t *testing.T, words string) {
	t.Helper()
	if found, _ := c.container("telegraf"); found != nil {
		t.Fatalf("there is a sidecar; status %q", c.Annotations["sidecar.holdfast.dev/status"])
	}
	if status := c.Annotations["sidecar.holdfast.dev/status"]; !strings.Contains(status, words) {
		t.Errorf("status %q does not say %q", status, words)
	}
	c.warned(t, words)
}

func (c created) warned(t *testing.T, words string) {
	t.Helper()
	if !slices.ContainsFunc(c.warnings, func(w string) bool { return strings.Contains(w, words) }) {
		t.Errorf("no warning says %q: %q", words, c.warnings)
	}
}

// conf is the generated file of a sidecar.
func (c created) conf(container string) string {
	return c.Annotations["sidecar.holdfast.dev/"+container+".conf"]
}

// env is a variable of a container.
func env(c *corev1.Container, name string) *corev1.EnvVar {
	for i := range c.Env {
		if c.Env[i].Name == name {
			return &c.Env[i]
		}
	}
	return nil
}

// eventually fails the test unless ok returns nil in time.
func eventually(t *testing.T, within time.Duration, ok func() error) {
	t.Helper()
	kube.Eventually(t, within, "it holds", func(context.Context) error { return ok() })
}

// delivered returns the Secret of classes of a namespace once it has a class, as text.
func delivered(t *testing.T, namespace, class, words string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		s, err := cluster.Client().CoreV1().Secrets(namespace).Get(t.Context(), "holdfast-classes", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if text := string(s.Data[class+".conf"]); !strings.Contains(text, words) {
			return errors.New("the Secret has for class " + class + ": " + text)
		}
		return nil
	})
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
