//go:build e2e

package operator_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What becomes of a pod when something is wrong, and who is told.

// count is the value of a counter; 0 before it is first counted.
func count(t *testing.T, series string) int {
	t.Helper()
	text := sample(t, series)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const webhookRequests = `controller_runtime_webhook_requests_total{code="200",webhook="/mutate-v1-pod"}`

func TestOutcomeWithoutAMatchingAnnotationThePodNeverReachesTheWebhook(t *testing.T) {
	in := cluster.Namespace(t, nil)
	asked := count(t, webhookRequests)
	for i, pod := range []*corev1.Pod{
		annotated("bare"),
		annotated("other", "prometheus.io/scrape", "true"),
		// Was: any key that merely contains the prefix caused an injection.
		annotated("contains", "x.telegraf.influxdata.com/foo", "y"),
	} {
		c := create(t, in, pod)
		if len(c.Spec.InitContainers)+len(c.Spec.Containers) != 1 || len(c.Labels) > 0 || len(c.warnings) > 0 {
			t.Errorf("pod %d: labels %v, warnings %q, containers %d", i, c.Labels, c.warnings, len(c.Spec.Containers))
		}
	}
	if n := count(t, webhookRequests) - asked; n != 0 {
		t.Errorf("the webhook was asked %d times", n)
	}
	create(t, in, annotated("annotated", "port", "8080")).sidecar(t)
	if n := count(t, webhookRequests) - asked; n < 1 {
		t.Error("the webhook was not asked about an annotated pod: the count above says nothing")
	}
}

// Was: admitted without a sidecar, and only the operator's log said so.
func TestOutcomeWithoutASidecarIsTold(t *testing.T) {
	settled(t) // what is there when the operator starts is no news
	empty, broken := "", "[[outputs.file]\n"
	for name, text := range map[string]*string{"empty-class": &empty, "broken-class": &broken} {
		putClass(t, name, text)
		t.Cleanup(func() { putClass(t, name, nil) })
	}
	awaitStatus(t, "broken-class", "has no valid text yet")
	in := cluster.Namespace(t, nil)
	for _, r := range []struct{ name, key, value, reason, words string }{
		{"unknown-class", "class", "ap", "UnknownClass", "there is no class ap for namespace " + in + "; did you mean app?"},
		{"bad-class", "class", "broken-class", "InvalidClass", "broken-class.conf:1"},
		{"bad-inputs", "inputs", "[[inputs.mem]\n", "InvalidAnnotation", "inputs:1"},
		{"bad-version", "metric-version", "two", "InvalidAnnotation", "neither 1 nor 2"},
		{"bad-mounts", "volume-mounts", "{", "InvalidAnnotation", "is not a JSON object"},
	} {
		t.Run(r.name, func(t *testing.T) {
			series := fmt.Sprintf("holdfast_operator_injections_total{result=%q}", r.reason)
			before := count(t, series)
			c := create(t, in, annotated(r.name, "port", "8080", r.key, r.value))
			c.bare(t, r.words)
			if c.Labels["sidecar.holdfast.dev/injected"] != "false" {
				t.Errorf("labels %v", c.Labels)
			}
			if n := count(t, series) - before; n != 1 {
				t.Errorf("the metric grew by %d", n)
			}
			awaitEvent(t, in, "Pod", r.name, "NoSidecar", r.words)
		})
	}
	// An empty class is none that anything could be wrong with: it gives no output, and says so to its author.
	c := create(t, in, annotated("empty", "class", "empty-class", "port", "8080"))
	c.sidecar(t)
	awaitEvent(t, "holdfast-operator", "Secret", "holdfast-operator-classes", "Accepted", "class empty-class: ")
}

// Who made the pods by a Deployment sees no warning of admission, so it is said on the pod and on its ReplicaSet too.
func TestOutcomeOfAMisspeltKeyIsTold(t *testing.T) {
	in := cluster.Namespace(t, nil)
	const words = "telegraf.influxdata.com/prot: is not a key; did you mean port?"
	apply(t, deployment(in, "web", 1, "prot", "8080"))
	awaitEvent(t, in, "ReplicaSet", replicaSet(t, in), "NoSidecar", words)
	c := create(t, in, annotated("beside", "prot", "8080", "internal", "true"))
	c.sidecar(t)
	if status := c.Annotations["sidecar.holdfast.dev/status"]; !strings.Contains(status, words) {
		t.Errorf("status %q", status)
	}
	awaitEvent(t, in, "Pod", "beside", "AnnotationWarning", words)
}

// A sidecar that cannot be made is told of also where another could.
func TestOutcomeOfOneOfTwoSidecarsIsTold(t *testing.T) {
	in := cluster.Namespace(t, nil)
	create(t, in, annotated("p", "class", "ap", "port", "8080", "audit.holdfast.dev/class", "audit", "audit.holdfast.dev/internal", "true"))
	awaitEvent(t, in, "Pod", "p", "NoSidecar", "there is no class ap")
}

// awaitStatus returns when pods that name a class get no sidecar, for this reason.
func awaitStatus(t *testing.T, class, words string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		c := create(t, "default", annotated("await", "class", class, "port", "8080"), metav1.DryRunAll)
		if status := c.Annotations["sidecar.holdfast.dev/status"]; !strings.Contains(status, words) {
			return fmt.Errorf("status %q", status)
		}
		return nil
	})
}

// Was: the pod was refused, since a Secret of that name was not the operator's.
func TestOutcomeBesideAForeignSecretOfThePodsName(t *testing.T) {
	in := cluster.Namespace(t, nil)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "telegraf-config-p"}, StringData: map[string]string{"a": "b"}}
	if _, err := cluster.Client().CoreV1().Secrets(in).Create(t.Context(), foreign, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := secretsOf(t, in)["telegraf-config-p"]
	accepted(t, create(t, in, annotated("p", "port", "8080")).Pod)
	if after := secretsOf(t, in)["telegraf-config-p"]; after != before {
		t.Errorf("the Secret was\n%s\nand is\n%s", before, after)
	}
}

// Was: the default, with a line in the operator's log.
func TestOutcomeOfAnUnparsableQuantityIsTheDefaultAndAWarning(t *testing.T) {
	c := create(t, cluster.Namespace(t, nil), annotated("p", "port", "8080", "limits-memory", "200MB!"))
	c.warned(t, `telegraf.influxdata.com/limits-memory: "200MB!" is not a quantity`)
	has("telegraf", resources, "10m 10Mi of 200m 200Mi")(t, c)
}

// The manifest says Ignore: pods are created while the operator is away, and found when it is back.
func TestOutcomeWhenTheWebhookCannotBeReached(t *testing.T) {
	in := cluster.Namespace(t, nil)
	if err := installed.RouteTo(t.Context(), "https://127.0.0.1:1/mutate-v1-pod"); err != nil {
		t.Fatal(err)
	}
	away := true
	back := func() {
		if err := installed.Route(t.Context(), installed.Replicas[0]); err != nil {
			t.Fatal(err)
		}
		if err := installed.AwaitInjection(t.Context()); err != nil {
			t.Fatal(err)
		}
		away = false
	}
	defer func() {
		if away {
			failurePolicy(t, admissionregistrationv1.Ignore)
			back()
		}
	}()
	eventually(t, 30*time.Second, func() error { // the API server hears of the other address
		c := create(t, in, annotated("dry", "port", "8080"), metav1.DryRunAll)
		if len(c.Labels) > 0 {
			return fmt.Errorf("labels %v", c.Labels)
		}
		return nil
	})
	c := create(t, in, annotated("p", "port", "8080"))
	if len(c.Labels) > 0 || len(c.Spec.InitContainers) > 0 {
		t.Errorf("labels %v, init containers %v", c.Labels, c.Spec.InitContainers)
	}
	failurePolicy(t, admissionregistrationv1.Fail)
	eventually(t, 30*time.Second, func() error {
		if _, err := tryCreate(t, in, annotated("refused", "port", "8080"), metav1.DryRunAll); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
			return fmt.Errorf("with the policy Fail: %v", err)
		}
		return nil
	})
	create(t, in, annotated("not-annotated")) // what asks for nothing does not depend on the operator
	failurePolicy(t, admissionregistrationv1.Ignore)
	back()
	awaitEvent(t, in, "Pod", "p", "SidecarMissing", "gets one when it is created anew")
}

func failurePolicy(t *testing.T, policy admissionregistrationv1.FailurePolicyType) {
	t.Helper()
	patch := fmt.Sprintf(`[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": %q}]`, policy)
	hooks := cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := hooks.Patch(t.Context(), "holdfast-operator", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Was: the Secret that admission had written stayed behind (issue 144).
func TestOutcomeWhenALaterStepRefusesThePodNothingStays(t *testing.T) {
	in := cluster.Namespace(t, nil)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("0")}}}
	if _, err := cluster.Client().CoreV1().ResourceQuotas(in).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := secretsOf(t, in)
	eventually(t, 30*time.Second, func() error { // the API server hears of the quota
		if _, err := tryCreate(t, in, annotated("p", "port", "8080")); err == nil || !strings.Contains(err.Error(), "exceeded quota") {
			_ = cluster.Client().CoreV1().Pods(in).Delete(t.Context(), "p", metav1.DeleteOptions{})
			return fmt.Errorf("creating: %v", err)
		}
		return nil
	})
	settled(t)
	if after := secretsOf(t, in); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the Secrets are %q", after)
	}
}

// A namespace's default for a resource is added to the new container, and the API server asks again because of that.
func TestOutcomeIsCountedOnce(t *testing.T) {
	const series = `holdfast_operator_injections_total{result="Injected"}`
	in := cluster.Namespace(t, nil)
	limit := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "storage"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Default: corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("1Gi")}}}}}
	if _, err := cluster.Client().CoreV1().LimitRanges(in).Create(t.Context(), limit, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The API server notices such an object in its own time.
	eventually(t, time.Minute, func() error {
		c, err := tryCreate(t, in, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}}}, metav1.DryRunAll)
		if err != nil || c.Spec.Containers[0].Resources.Limits.StorageEphemeral().IsZero() {
			return fmt.Errorf("the container has no limit: %v", err)
		}
		return nil
	})
	asked, before := count(t, webhookRequests), count(t, series)
	create(t, in, annotated("p", "port", "8080")).sidecar(t)
	if n := count(t, webhookRequests) - asked; n != 2 {
		t.Errorf("the webhook was asked %d times: this test shows nothing", n)
	}
	if n := count(t, series) - before; n != 1 {
		t.Errorf("the metric grew by %d", n)
	}
}

// What the API server would add to the new container is there already: it adds nothing, and has no reason to ask again.
func TestAPodIsAskedAboutOnce(t *testing.T) {
	asked := count(t, webhookRequests)
	made := create(t, cluster.Namespace(t, nil), annotated("p", "port", "8080"))
	mounts := func(c *corev1.Container) (paths []string) {
		for _, m := range c.VolumeMounts {
			if strings.HasPrefix(m.Name, "kube-api-access-") {
				paths = append(paths, fmt.Sprint(m.MountPath, m.ReadOnly))
			}
		}
		return paths
	}
	if own, app := mounts(made.sidecar(t)), mounts(&made.Spec.Containers[0]); fmt.Sprint(own) != fmt.Sprint(app) || len(app) != 1 {
		t.Errorf("the sidecar has the token at %q and the application at %q", own, app)
	}
	if n := count(t, webhookRequests) - asked; n != 1 {
		t.Errorf("the webhook was asked %d times", n)
	}
}
