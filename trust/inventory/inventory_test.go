package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/holdfast-telemetry/holdfast/trust/inventory"
)

func pod(name string, images ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	p.Spec.InitContainers = []corev1.Container{{Image: images[0]}}
	for _, image := range images[1:] {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Image: image})
	}
	return p
}

func TestEveryImageOfEveryContainerIsFound(t *testing.T) {
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	debug := pod("three", "reg.example/app@"+a)
	debug.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: "reg.example/debug@" + b}}}
	d, err := inventory.Read(t.Context(), fake.NewClientset(
		pod("one", "redis:7@"+a, "reg.example/app:1@"+a, "reg.example/app:1@"+a),
		pod("two", "docker.io/library/redis@"+a, "reg.example/app@"+b, "nginx:latest"),
		debug))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range d.Images {
		got = append(got, fmt.Sprintf("%s %d", strings.TrimSuffix(i.Reference, strings.Repeat(i.Reference[len(i.Reference)-1:], 63)), i.Pods))
	}
	want := "index.docker.io/library/redis@sha256:a 2, reg.example/app@sha256:a 2, reg.example/app@sha256:b 1, reg.example/debug@sha256:b 1"
	if strings.Join(got, ", ") != want || fmt.Sprint(d.Unpinned) != "[nginx:latest (shop/two)]" {
		t.Errorf("found %v, and without a digest %v", got, d.Unpinned)
	}
}
