package inventory_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
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

// A CronJob has no pod most of the time, and its image must not lapse meanwhile.
func TestWhatWouldMakePodsIsFoundToo(t *testing.T) {
	image := func(letter string) string { return "reg.example/app@sha256:" + strings.Repeat(letter, 64) }
	template := func(letter string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image(letter)}}}}
	}
	at := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	over := batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}}
	unseen := pod("unseen", image("a"), image("e"), "nginx:latest")
	unseen.Namespace = "system"
	d, err := inventory.Read(t.Context(), fake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "system", Labels: map[string]string{inventory.ExemptLabel: "true"}}},
		unseen, // which comes before the others that ask for the same image
		&appsv1.Deployment{ObjectMeta: at("shop", "web"), Spec: appsv1.DeploymentSpec{Template: template("a")}},
		&appsv1.StatefulSet{ObjectMeta: at("shop", "db"), Spec: appsv1.StatefulSetSpec{Template: template("b")}},
		&appsv1.DaemonSet{ObjectMeta: at("system", "net"), Spec: appsv1.DaemonSetSpec{Template: template("c")}},
		&batchv1.CronJob{ObjectMeta: at("shop", "yearly"), Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template("d")}}}},
		&batchv1.Job{ObjectMeta: at("shop", "waiting"), Spec: batchv1.JobSpec{Template: template("f")}},
		&batchv1.Job{ObjectMeta: at("shop", "over"), Spec: batchv1.JobSpec{Template: template("0")}, Status: over}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range d.Images {
		got = append(got, fmt.Sprintf("%s %d %s %v", i.Reference[len(i.Reference)-1:], i.Pods, i.First, i.Exempt))
	}
	want := "a 1 shop/web (Deployment) false; b 0 shop/db (StatefulSet) false; c 0 system/net (DaemonSet) true; d 0 shop/yearly (CronJob) false; e 1 system/unseen true; f 0 shop/waiting (Job) false"
	if strings.Join(got, "; ") != want || len(d.Unpinned) != 0 {
		t.Errorf("found %s, and without a digest %v", strings.Join(got, "; "), d.Unpinned)
	}
}

// What policy-controller looks at is said by its webhook, which may exempt by other labels and by names.
func TestNamespacesAreExemptAsTheWebhookSays(t *testing.T) {
	image := "reg.example/app@sha256:" + strings.Repeat("a", 64)
	expression := func(key string, op metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: values}
	}
	named := metav1.ObjectMeta{Name: "policy.sigstore.dev"}
	other := &metav1.LabelSelector{}
	for _, c := range []struct {
		selector *metav1.LabelSelector
		labels   map[string]string
		exempt   bool
	}{
		{&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{expression("kubernetes.io/metadata.name", metav1.LabelSelectorOpNotIn, "shop")}}, nil, true},
		{&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{expression("webhooks.knative.dev/exclude", metav1.LabelSelectorOpDoesNotExist)}}, map[string]string{"webhooks.knative.dev/exclude": ""}, true},
		{&metav1.LabelSelector{MatchLabels: map[string]string{"policy.sigstore.dev/include": "true"}}, nil, true},
		{&metav1.LabelSelector{MatchLabels: map[string]string{"policy.sigstore.dev/include": "true"}}, map[string]string{"policy.sigstore.dev/include": "true"}, false},
		{&metav1.LabelSelector{}, map[string]string{inventory.ExemptLabel: "true"}, false}, // the label means nothing to it
	} {
		all := map[string]string{"kubernetes.io/metadata.name": "shop"}
		maps.Copy(all, c.labels)
		d, err := inventory.Read(t.Context(), fake.NewClientset(pod("one", image), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: all}},
			&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: named, Webhooks: []admissionv1.ValidatingWebhook{{Name: "another", NamespaceSelector: other}, {Name: "policy.sigstore.dev", NamespaceSelector: c.selector}}}))
		if err != nil {
			t.Fatal(err)
		}
		if d.Images[0].Exempt != c.exempt {
			t.Errorf("%v with %v: exempt is %v", c.selector, c.labels, d.Images[0].Exempt)
		}
	}
}

func TestImagesAreFoundInTexts(t *testing.T) {
	dir := t.TempDir()
	digest := "sha256:" + strings.Repeat("a", 64)
	if err := os.WriteFile(filepath.Join(dir, "x.yaml"), []byte(`image: reg.example/a@`+digest+`
  - {image: "reg.example:5000/b/c:v1.2@`+digest+`"} # reg.example/late@`+digest+`
#image: reg.example/commented@`+digest+`
url: https://x/#reg.example/d@`+digest+`, redis@`+digest+` reg.example/short@sha256:aa reg.example/UPPER@`+digest+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := inventory.References(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range all {
		got = append(got, strings.TrimSuffix(i.Reference, "@"+digest))
	}
	if want := "index.docker.io/library/redis reg.example/a reg.example/d reg.example:5000/b/c"; strings.Join(got, " ") != want {
		t.Errorf("found %v, and not %s", got, want)
	}
	if _, err := inventory.References(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there has images")
	}
}
