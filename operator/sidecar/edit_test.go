package sidecar_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// refresh edits annotations of a pod and returns what becomes of that.
func refresh(t *testing.T, b *sidecar.Builder, p *corev1.Pod, edit map[string]string) *sidecar.Refresh {
	t.Helper()
	maps.Copy(p.Annotations, edit)
	fresh, err := b.Refresh(encode(t, p), "ns")
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// notFollowed fails unless an edit was told of and changes no file.
func notFollowed(t *testing.T, fresh *sidecar.Refresh) {
	t.Helper()
	if !strings.Contains(fresh.Problem, "created anew") {
		t.Errorf("the edit is not told of: %q", fresh.Problem)
	}
	if !slices.Equal(slices.Collect(maps.Keys(fresh.Annotations)), []string{sidecar.SourceAnnotation}) {
		t.Errorf("the edit changes %v", fresh.Annotations)
	}
}

func TestAnEditThatNeedsAnotherContainerIsNotFollowed(t *testing.T) {
	data := func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "data"}} }
	for name, tt := range map[string]struct{ made, edit map[string]string }{
		"another health port": {map[string]string{"holdfast.dev/health-port": "8888"}, map[string]string{"holdfast.dev/health-port": "9999"}},
		"no health port":      {map[string]string{"holdfast.dev/health-port": "8888"}, map[string]string{"holdfast.dev/health-port": "0"}},
		"a health port":       {nil, map[string]string{"holdfast.dev/health-port": "8888"}},
		"another agent":       {nil, map[string]string{"holdfast.dev/agent": "holdfast", "holdfast.dev/buffer-size": "1Gi"}},
		"a volume":            {nil, map[string]string{"holdfast.dev/volume-mounts": `{"data": "/data"}`}},
		"another volume":      {map[string]string{"holdfast.dev/volume-mounts": `{"data": "/data"}`}, map[string]string{"holdfast.dev/volume-mounts": `{"data": "/other"}`}},
		"variables":           {nil, map[string]string{"holdfast.dev/secret-env": "tokens"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := builder()
			asked := pod(map[string]string{port: "8080"})
			maps.Copy(asked.Annotations, tt.made)
			data(asked)
			_, p := inject(t, b, asked)
			containerOf(t, p, "telegraf")
			notFollowed(t, refresh(t, b, p, tt.edit))
		})
	}
}

// What a class says of the container is for new pods: an edit must not bring it into the file of a container that is of the old kind.
func TestAnEditDoesNotBringInWhatTheClassSaysOfNewContainers(t *testing.T) {
	for name, changed := range map[string]v1alpha1.SidecarSpec{"health port": {HealthPort: 9999}, "agent": {Agent: v1alpha1.AgentHoldfast}} {
		t.Run(name, func(t *testing.T) {
			b := builder()
			spec := v1alpha1.SidecarSpec{HealthPort: 8888}
			b.Classes = func(string, string) (*class.Class, error) { return newClass("default", "", spec), nil }
			_, p := inject(t, b, pod(map[string]string{port: "8080"}))
			spec = changed
			notFollowed(t, refresh(t, b, p, map[string]string{"holdfast.dev/global-tag-literal-a": "b"}))
		})
	}
}

func TestAnEditOfAnEarlierOperatorsPodSaysWhy(t *testing.T) {
	b := builder()
	_, p := inject(t, b, pod(map[string]string{port: "8080"}))
	p.Annotations["sidecar.holdfast.dev/telegraf.shape"] = "0123456789" // of before the agent and the health port were part of it
	fresh := refresh(t, b, p, map[string]string{port: "9090"})
	notFollowed(t, fresh)
	if !strings.Contains(fresh.Problem, "an earlier version of the operator") {
		t.Errorf("it says %q", fresh.Problem)
	}
}

// An API server asks again after another webhook has changed the annotations, and people create pods from what kubectl shows of others.
func TestAnInjectedPodWithOtherAnnotationsGetsTheirFiles(t *testing.T) {
	b := builder()
	_, p := inject(t, b, pod(map[string]string{port: "8080"}))
	p.Annotations[port] = "9090"
	in, again := inject(t, b, p)
	if conf := again.Annotations[sidecar.ConfigAnnotation("telegraf")]; !strings.Contains(conf, ":9090/") || len(in.Warnings) > 0 {
		t.Errorf("the file is\n%s\nwarnings %q", conf, in.Warnings)
	}
	if again.Annotations[sidecar.SourceAnnotation] != sidecar.SourceHash(again.Annotations) || again.Annotations[sidecar.HashAnnotation] == p.Annotations[sidecar.HashAnnotation] {
		t.Errorf("the pod says %v", again.Annotations)
	}
	fresh, err := b.Refresh(encode(t, again), "ns")
	if err != nil || fresh.Annotations[sidecar.HashAnnotation] != again.Annotations[sidecar.HashAnnotation] {
		t.Errorf("an edit would find another configuration: %+v %v", fresh, err)
	}
}

// keeps fails unless an injected pod with other annotations keeps its sidecar, and says so without claiming another.
func keeps(t *testing.T, b *sidecar.Builder, p *corev1.Pod, words string) {
	t.Helper()
	before := p.DeepCopy()
	in, again := inject(t, b, p)
	if !slices.ContainsFunc(in.Warnings, func(w string) bool { return strings.Contains(w, words) }) {
		t.Errorf("no warning says %q: %q", words, in.Warnings)
	}
	if status := again.Annotations[sidecar.StatusAnnotation]; !strings.Contains(status, words) || strings.Contains(status, "@") {
		t.Errorf("the status is %q", status)
	}
	for _, key := range []string{sidecar.ConfigAnnotation("telegraf"), sidecar.HashAnnotation, sidecar.SourceAnnotation} {
		if again.Annotations[key] != before.Annotations[key] {
			t.Errorf("%s is %q, was %q", key, again.Annotations[key], before.Annotations[key])
		}
	}
	if !maps.Equal(again.Labels, before.Labels) {
		t.Errorf("the labels are %v, were %v", again.Labels, before.Labels)
	}
	if more, _ := inject(t, b, again); len(more.Patch) > 0 {
		t.Errorf("it is changed once more: %v", more.Patch)
	}
	fresh, err := b.Refresh(encode(t, again), "ns")
	if err != nil || fresh.Problem == "" {
		t.Errorf("the running pod would say nothing: %+v %v", fresh, err)
	}
}

func TestAnInjectedPodWhoseAnnotationsNeedAnotherContainerSaysWhatItHas(t *testing.T) {
	for name, tt := range map[string]struct{ key, value, words string }{
		"another class":       {"holdfast.dev/class", "team", "needs another container"},
		"another health port": {"holdfast.dev/health-port", "9999", "needs another container"},
		"no such class":       {"holdfast.dev/class", "nowhere", "there is no class nowhere"},
		"a mistake":           {port, "http", `"http" is not a port`},
		"a text too large":    {"holdfast.dev/inputs", "[[inputs.cpu]]\n#" + strings.Repeat("x", 140<<10), "262144 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, p := inject(t, builder(), pod(map[string]string{port: "8080", "holdfast.dev/inputs": "[[inputs.cpu]]\n"}))
			p.Annotations[tt.key] = tt.value
			keeps(t, builder(), p, tt.words)
		})
	}
}

func TestAnInjectedPodThatNoLongerAsksForOneOfItsSidecarsSaysThatItHasIt(t *testing.T) {
	_, p := inject(t, builder(), pod(map[string]string{port: "8080", "x.holdfast.dev/port": "9090"}))
	delete(p.Annotations, "x.holdfast.dev/port")
	_, again := inject(t, builder(), p)
	if status := again.Annotations[sidecar.StatusAnnotation]; !strings.Contains(status, "telegraf-x: injected, keeps") {
		t.Errorf("the status is %q", status)
	}
	if again.Annotations[sidecar.SourceAnnotation] != p.Annotations[sidecar.SourceAnnotation] {
		t.Error("the pod says that its sidecars are what its annotations ask for")
	}
}

// A class that goes between two steps of admission leaves the sidecar that was made for it.
func TestAnInjectedPodWhoseClassIsGoneIsStillInjected(t *testing.T) {
	_, p := inject(t, builder(), pod(map[string]string{port: "8080", "holdfast.dev/pth": "/m"}))
	b := builder()
	b.Classes = func(string, string) (*class.Class, error) { return find("ns", "nowhere") }
	_, again := inject(t, b, p)
	if again.Labels[sidecar.InjectedLabel] != "true" || !strings.Contains(again.Annotations[sidecar.StatusAnnotation], "telegraf: injected, keeps") {
		t.Errorf("the pod says %v and %q", again.Labels, again.Annotations[sidecar.StatusAnnotation])
	}
}
