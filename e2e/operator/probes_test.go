//go:build e2e

package operator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What was tried with telegraf-operator against a real API server, tried again. What it did stands above each test.

// Was: a Secret for the pod, with the outputs' credentials in it and without an owner.
func TestProbePodWithGenerateName(t *testing.T) {
	in := cluster.Namespace(t, nil)
	pod := annotated("", "class", "app", "port", "8080")
	pod.GenerateName = "web-"
	c := create(t, in, pod)
	if !strings.HasPrefix(c.Name, "web-") || len(c.Name) != len("web-")+5 {
		t.Errorf("the name is %q, not one of the API server's", c.Name)
	}
	accepted(t, c.Pod)
	all := secretsOf(t, in)
	if len(all) != 1 {
		t.Errorf("Secrets %v", keys(all))
	}
	s, err := cluster.Client().CoreV1().Secrets(in).Get(t.Context(), "holdfast-classes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].Name != "clustertelegrafclasses.holdfast.dev" {
		t.Errorf("owners %v", s.OwnerReferences)
	}
}

// Was: the answer "dry run", and a real Secret that stayed for good.
func TestProbeCreateWithDryRun(t *testing.T) {
	in := cluster.Namespace(t, nil)
	series := `holdfast_operator_injections_total{result="Injected"}`
	before, counted := secretsOf(t, in), count(t, series)
	create(t, in, annotated("p", "class", "app", "port", "8080"), metav1.DryRunAll).sidecar(t)
	if n := count(t, series) - counted; n != 0 {
		t.Errorf("a dry run was counted %d times", n)
	}
	settled(t)
	if after := secretsOf(t, in); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the Secrets are %v", after)
	}
}

// Was: the Secret that admission had written stayed.
func TestProbePodThatValidationRefusesLater(t *testing.T) {
	in := cluster.Namespace(t, nil)
	before := secretsOf(t, in)
	invalid := annotated("p", "port", "8080")
	invalid.Spec.Containers[0].Name = "Not_A_Name"
	if _, err := tryCreate(t, in, invalid); err == nil {
		t.Error("an invalid pod was admitted")
	}
	settled(t)
	if after := secretsOf(t, in); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the Secrets are %v", after)
	}
}

// Was: the pod lived, and its Secret was really gone.
func TestProbeDeleteWithDryRun(t *testing.T) {
	in := cluster.Namespace(t, nil)
	create(t, in, annotated("p", "class", "app", "port", "8080"))
	delivered(t, in, "app", "influxdb")
	before := secretsOf(t, in)
	if out, err := cluster.Kubectl(t.Context(), "-n", in, "delete", "pod", "p", "--dry-run=server"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	settled(t)
	if after := secretsOf(t, in); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the Secrets were\n%v\nand are\n%v", before, after)
	}
}

// Was: admission was asked twice about each deletion, also of pods without an annotation.
func TestProbeDeleteOfANeverScheduledPod(t *testing.T) {
	in := cluster.Namespace(t, nil)
	pod := annotated("p", "port", "8080")
	pod.Spec.NodeSelector = map[string]string{"no": "such-node"}
	create(t, in, pod)
	asked := count(t, webhookRequests)
	if out, err := cluster.Kubectl(t.Context(), "-n", in, "delete", "pod", "p"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if n := count(t, webhookRequests) - asked; n != 0 {
		t.Errorf("the webhook was asked %d times about a deletion", n)
	}
}

// Was: admitted bare, the caller saw nothing, and there was no event.
func TestProbeUnknownClassIsSeenByWhoUsesKubectl(t *testing.T) {
	in := cluster.Namespace(t, nil)
	out, err := cluster.Apply(t.Context(), fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": %q, "name": "p",
		"annotations": {"telegraf.influxdata.com/class": "ap", "telegraf.influxdata.com/port": "8080"}}, "spec": {"containers": [{"name": "app", "image": "app"}]}}`, in))
	if err != nil {
		t.Fatal(err)
	}
	const words = "there is no class ap for namespace"
	if !strings.Contains(out, "Warning: no sidecar telegraf: "+words) || !strings.Contains(out, "pod/p created") {
		t.Errorf("kubectl apply prints\n%s", out)
	}
	awaitEvent(t, in, "Pod", "p", "NoSidecar", words)
	described, err := cluster.Kubectl(t.Context(), "-n", in, "describe", "pod", "p")
	if err != nil {
		t.Fatal(err)
	}
	if _, events, _ := strings.Cut(described, "Events:"); !strings.Contains(events, words) {
		t.Errorf("kubectl describe prints\n%s", described)
	}
}

// Was: refused, for the name became the value of a label.
func TestProbePodNameOf70Characters(t *testing.T) {
	in := cluster.Namespace(t, nil)
	accepted(t, create(t, in, annotated(strings.Repeat("a", 70), "class", "app", "port", "8080")).Pod)
}

// Was: the restart policy was removed, so that the init container never ended and the application never started.
func TestProbeNativeSidecarOfTheApplicationsOwn(t *testing.T) {
	pod := annotated("p", "port", "8080")
	pod.Spec.InitContainers = []corev1.Container{{Name: "proxy", Image: "proxy", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}, {Name: "setup", Image: "setup"}}
	c := create(t, cluster.Namespace(t, nil), pod)
	if _, native := c.container("proxy"); !native {
		t.Error("the application's sidecar is an ordinary init container now")
	}
	if _, native := c.container("setup"); native {
		t.Error("the ordinary init container is none any more")
	}
	if _, native := c.container("telegraf"); !native {
		t.Error("the injected sidecar is no native one")
	}
}

// Was: resident 39 MiB when idle, the program 38 MB.
func TestProbeMemory(t *testing.T) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", installed.Replicas[0].PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident %d MiB", kib>>10)
	// Pages of the program's file count as resident too, as they did there.
	if kib>>10 > 128 {
		t.Errorf("resident %d MiB", kib>>10)
	}
}

// orphan is a Secret that telegraf-operator left behind, in a namespace that comes before all others.
func orphan(t *testing.T, namespace string) {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "telegraf-config-x", Annotations: map[string]string{"app.kubernetes.io/managed-by": "telegraf-operator"},
		Labels: map[string]string{"telegraf.influxdata.com/class": "reload", "telegraf.influxdata.com/pod": "x"}}, StringData: map[string]string{"telegraf.conf": "[[inputs.mem]]\n"}}
	if _, err := cluster.Client().CoreV1().Secrets(namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// first makes a namespace that comes before those of other tests.
func first(t *testing.T) string {
	t.Helper()
	ns, err := cluster.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "aaa-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() error {
		return second(cluster.Client().CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{}))
	})
	return ns.Name
}

// Was: the walk through the namespaces ended at the orphan, and no later namespace got the new text.
func TestProbeClassChangeBesideAnOrphanedSecret(t *testing.T) {
	aaa, demo := first(t), cluster.Namespace(t, nil)
	setClass(t, "reload", "[[outputs.file]]\n  files = [\"stdout\"]\n[global_tags]\n  text = \"old\"\n")
	orphan(t, aaa)
	create(t, demo, annotated("p", "class", "reload", "port", "8080"))
	delivered(t, demo, "reload", `text = "old"`)
	before := secretsOf(t, aaa)
	began := time.Now()
	setClass(t, "reload", "[[outputs.file]]\n  files = [\"stdout\"]\n[global_tags]\n  text = \"new\"\n")
	delivered(t, demo, "reload", `text = "new"`)
	t.Logf("the new text was there after %s", time.Since(began).Round(time.Millisecond))
	if after := secretsOf(t, aaa); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the orphan was touched: %v", after)
	}
}

// The same for the one Secret that can be in our way: the namespace that has it is told, and no other waits for it.
func TestProbeClassChangeBesideANamespaceThatCannotBeServed(t *testing.T) {
	aaa, demo := first(t), cluster.Namespace(t, nil)
	setClass(t, "reload", "[[outputs.file]]\n  files = [\"stdout\"]\n[global_tags]\n  text = \"old\"\n")
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "holdfast-classes"}, StringData: map[string]string{"mine": "yes"}}
	if _, err := cluster.Client().CoreV1().Secrets(aaa).Create(t.Context(), foreign, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := secretsOf(t, aaa)
	create(t, aaa, annotated("p", "class", "reload", "port", "8080"))
	create(t, demo, annotated("p", "class", "reload", "port", "8080"))
	delivered(t, demo, "reload", `text = "old"`)
	setClass(t, "reload", "[[outputs.file]]\n  files = [\"stdout\"]\n[global_tags]\n  text = \"new\"\n")
	delivered(t, demo, "reload", `text = "new"`)
	if after := secretsOf(t, aaa); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the foreign Secret was touched: %v", after)
	}
	if count(t, fmt.Sprintf("holdfast_operator_delivery_failures_total{namespace=%q}", aaa)) == 0 {
		t.Error("the failure is not counted")
	}
	awaitEvent(t, aaa, "Pod", "p", "NotDelivered", "holdfast-classes")
	if err := cluster.Client().CoreV1().Secrets(aaa).Delete(t.Context(), "holdfast-classes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	delivered(t, aaa, "reload", `text = "new"`)
}

// specOf is the specification of a pod as it is stored, without what injection adds and what differs from pod to pod.
func specOf(t *testing.T, namespace, name string) string {
	t.Helper()
	raw, err := cluster.Client().CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name(name).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pod struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}
	delete(pod.Spec, "nodeName")
	for _, list := range []string{"containers", "initContainers", "volumes"} {
		all, _ := pod.Spec[list].([]any)
		var kept []any
		for _, e := range all {
			if name, _ := e.(map[string]any)["name"].(string); name != "telegraf" && name != "telegraf-config" {
				kept = append(kept, e)
			}
		}
		pod.Spec[list] = kept
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	if err := e.Encode(pod.Spec); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
