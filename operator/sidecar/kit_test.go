package sidecar_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// digest ends an image that is pinned.
const digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000000"

// classes are those of the tests' builders. The class team has inputs of its own, and bad never had a good text.
var classes = map[string]*class.Class{
	"default": newClass("default", "[[outputs.file]]\n  files = [\"stdout\"]\n", v1alpha1.SidecarSpec{}),
	"team": newClass("team", "[[inputs.cpu]]\n[[outputs.discard]]\n", v1alpha1.SidecarSpec{
		HealthPort: 9001, Env: []corev1.EnvVar{{Name: "TEAM", Value: "a"}}}),
	"istio": newClass("istio", "[[outputs.discard]]\n", v1alpha1.SidecarSpec{}),
}

func newClass(name, text string, spec v1alpha1.SidecarSpec) *class.Class {
	tables, err := agent.Syntax(agent.File{Name: name, Text: []byte(text)})
	if err != nil {
		panic(err)
	}
	return &class.Class{Kind: class.KindSecret, Name: name, Text: []byte(text), Hash: class.Hash([]byte(text)), Tables: tables, Sidecar: spec, Source: "the test"}
}

// builder has the operator's defaults, and Istio's sidecar switched on.
func builder() *sidecar.Builder {
	amounts := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	return &sidecar.Builder{
		Defaults: sidecar.Defaults{
			Class: "default", HoldfastImage: "holdfast" + digest, Istio: true, IstioClass: "istio",
			Sidecar: v1alpha1.SidecarSpec{Image: "telegraf" + digest, Agent: v1alpha1.AgentTelegraf, WatchConfig: v1alpha1.WatchNotify,
				Resources: corev1.ResourceRequirements{Requests: amounts("10m", "10Mi"), Limits: amounts("200m", "200Mi")}},
		},
		Classes: find,
		Native:  func() bool { return true },
	}
}

func find(namespace, name string) (*class.Class, error) {
	if c := classes[name]; c != nil {
		return c, nil
	}
	if name == "bad" {
		return nil, &class.ResolveError{Problem: class.ProblemNeverValid, Namespace: namespace, Name: name, Message: "bad.conf:1: invalid TOML syntax",
			Key: class.Key{Kind: class.KindSecret, Name: name}}
	}
	return nil, &class.ResolveError{Problem: class.ProblemUnknown, Namespace: namespace, Name: name}
}

// pod is one with a container app and these annotations.
func pod(annotations map[string]string) *corev1.Pod {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}}}
	p.APIVersion, p.Kind, p.Name, p.Annotations = "v1", "Pod", "p", annotations
	return p
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// inject returns what a pod gets, and the pod with it.
func inject(t testing.TB, b *sidecar.Builder, p *corev1.Pod) (*sidecar.Injection, *corev1.Pod) {
	t.Helper()
	raw := encode(t, p)
	in, err := b.Inject(raw, "ns")
	if err != nil {
		t.Fatal(err)
	}
	patched := &corev1.Pod{}
	if err := json.Unmarshal(apply(t, raw, in), patched); err != nil {
		t.Fatal(err)
	}
	return in, patched
}

// apply applies the patch as the API server does.
func apply(t testing.TB, raw []byte, in *sidecar.Injection) []byte {
	t.Helper()
	text, err := sidecar.Marshal(in.Patch)
	if err != nil {
		t.Fatal(err)
	}
	if text == nil {
		return raw
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	raw, err = patch.Apply(raw)
	if err != nil {
		t.Fatalf("the patch does not apply: %v\n%s", err, text)
	}
	return raw
}

// tree decodes JSON without loss.
func tree(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var all any
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	object, ok := all.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%T is no object", all)
	}
	return object, nil
}

// containerOf finds a container, ordinary or native.
func containerOf(t testing.TB, p *corev1.Pod, name string) corev1.Container {
	t.Helper()
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, c := range list {
			if c.Name == name {
				return c
			}
		}
	}
	t.Fatalf("there is no container %s", name)
	return corev1.Container{}
}
