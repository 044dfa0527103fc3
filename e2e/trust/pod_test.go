//go:build e2e

package trust_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// pod is one of a manifest, whose only container a test runs as a process: with the pod's arguments, volumes and service account.
type pod struct {
	testing.TB
	*corev1.Pod
	dir        string
	kubeconfig string
	places     map[string]string // by the path in the container
	Addrs      map[string]string // to listen at, by the address in the container
}

// awaitPods returns the pods of a component once the controllers have made that many, which they are let to where the namespace takes them.
func awaitPods(t *testing.T, namespace, component string, want int) (all []*pod) {
	t.Helper()
	within(t, time.Minute, func() error {
		list, err := cluster.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=" + component})
		if err == nil && len(list.Items) != want {
			events, _ := cluster.Kubectl(t.Context(), "get", "events", "-n", namespace)
			err = fmt.Errorf("there are %d pods\n%s", len(list.Items), events)
		}
		if err != nil {
			return err
		}
		all = nil
		for i := range list.Items {
			all = append(all, &pod{TB: t, Pod: &list.Items[i]})
		}
		return nil
	})
	for _, p := range all {
		p.prepare()
	}
	return all
}

// prepare writes the volumes.
func (p *pod) prepare() {
	p.Helper()
	p.dir, p.places = p.TempDir(), map[string]string{}
	var err error
	if p.kubeconfig, err = cluster.ServiceAccountKubeconfig(p.Context(), p.dir, p.Namespace, p.Spec.ServiceAccountName); err != nil {
		p.Fatal(err)
	}
	for _, m := range p.Spec.Containers[0].VolumeMounts {
		if strings.HasPrefix(m.MountPath, "/var/run/secrets/kubernetes.io") {
			continue // the kubeconfig is in its place
		}
		dir := filepath.Join(p.dir, m.Name)
		p.places[m.MountPath] = dir
		if slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name && v.PersistentVolumeClaim != nil }) {
			err = os.Mkdir(dir, 0o700)
		} else {
			err = cluster.Materialise(p.Context(), p.Pod, m.Name, dir)
		}
		if err != nil {
			p.Fatal(err)
		}
	}
}

// local puts this machine's folders and addresses in the place of the container's. Longer paths come first.
func (p *pod) local(text string) string {
	for _, path := range slices.Backward(slices.Sorted(maps.Keys(p.places))) {
		text = strings.ReplaceAll(text, path, p.places[path])
	}
	for addr, local := range p.Addrs {
		text = strings.ReplaceAll(text, addr, local)
	}
	return text
}

// edit makes a file of a volume the one that a process outside of a container can use, and returns its path.
func (p *pod) edit(path string) string {
	p.Helper()
	text, err := os.ReadFile(p.local(path))
	if err != nil {
		p.Fatal(err)
	}
	out := filepath.Join(p.dir, filepath.Base(path))
	if err := os.WriteFile(out, []byte(p.local(string(text))), 0o600); err != nil {
		p.Fatal(err)
	}
	return out
}

// environment reads the container's variables.
func (p *pod) environment() map[string]string {
	p.Helper()
	values := map[string]string{}
	for _, e := range p.Spec.Containers[0].Env {
		switch from := e.ValueFrom; {
		case from == nil:
			values[e.Name] = p.local(e.Value)
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
			values[e.Name] = p.Namespace
		case from.ConfigMapKeyRef != nil:
			m, err := cluster.Client().CoreV1().ConfigMaps(p.Namespace).Get(p.Context(), from.ConfigMapKeyRef.Name, metav1.GetOptions{})
			if err != nil {
				p.Fatal(err)
			}
			values[e.Name] = m.Data[from.ConfigMapKeyRef.Key]
		default:
			p.Fatalf("the variable %s is from %+v", e.Name, from)
		}
	}
	return values
}

// start runs the container's program.
func (p *pod) start(name string, replaced map[string]string) *kube.Program {
	p.Helper()
	variables := p.environment()
	var args []string
	for _, arg := range p.Spec.Containers[0].Args {
		for name, value := range variables {
			arg = strings.ReplaceAll(arg, "$("+name+")", value)
		}
		flag, _, _ := strings.Cut(arg, "=")
		if value, ok := replaced[flag]; ok {
			arg = flag + "=" + value
		}
		args = append(args, p.local(arg))
	}
	program := kube.NewProgram(p.dir, name, binary(p), args...)
	program.Setenv("KUBECONFIG=" + p.kubeconfig)
	for name, value := range variables {
		program.Setenv(name + "=" + value)
	}
	p.Cleanup(func() {
		program.Stop()
		if p.Failed() {
			log := program.Log()
			p.Logf("end of the log of %s:\n%s", name, log[max(0, len(log)-3000):])
		}
	})
	if err := program.Start(); err != nil {
		p.Fatal(err)
	}
	return program
}

// delete deletes objects at the end of a test.
func deleteAtEnd(t *testing.T, args ...string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's is over
		defer cancel()
		if _, err := cluster.Kubectl(ctx, append([]string{"delete", "--ignore-not-found", "--wait=false"}, args...)...); err != nil {
			t.Error(err)
		}
	})
}
