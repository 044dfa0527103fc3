//go:build e2e

package operator_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// The weaknesses of telegraf-operator that a successor can do without, by their numbers in the reference. 1 is in unharmed_test.go, 5 in
// outcomes_test.go, 10 in annotations_test.go and containers_test.go, 11 in generated_test.go.

// 2 and 8: what the webhook configuration promises, and which requests leave the API server at all.
func TestSuccessor2And8AdmissionHasNoSideEffectsAndAFewRequests(t *testing.T) {
	hook, err := cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "holdfast-operator", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(hook.Webhooks) != 1 {
		t.Fatalf("%d webhooks", len(hook.Webhooks))
	}
	w := hook.Webhooks[0]
	for what, ok := range map[string]bool{
		"has side effects":            *w.SideEffects == admissionregistrationv1.SideEffectClassNone,
		"refuses pods when away":      *w.FailurePolicy == admissionregistrationv1.Ignore,
		"takes long":                  *w.TimeoutSeconds >= 2 && *w.TimeoutSeconds <= 5,
		"is asked about more":         len(w.Rules) == 1 && fmt.Sprint(w.Rules[0].Operations, w.Rules[0].Resources) == "[CREATE] [pods]",
		"is not asked again":          *w.ReinvocationPolicy == admissionregistrationv1.IfNeededReinvocationPolicy,
		"has no condition":            len(w.MatchConditions) == 1,
		"heeds no label of pods":      len(w.ObjectSelector.MatchExpressions) == 1,
		"heeds no namespace's labels": len(w.NamespaceSelector.MatchExpressions) == 2,
	} {
		if !ok {
			t.Errorf("the webhook %s: %+v", what, w)
		}
	}
}

// 3: credentials are once in a namespace, in a Secret, however many pods there are; and a change of them is one write.
func TestSuccessor3CredentialsAreOncePerNamespace(t *testing.T) {
	in := cluster.Namespace(t, nil)
	text := func(token string) string {
		return "[[outputs.influxdb]]\n  urls = [\"http://influxdb.influxdb:8086\"]\n  password = \"" + token + "\"\n"
	}
	setClass(t, "credentials", text("s3cret-1"))
	const pods = 20
	for i := range pods {
		create(t, in, annotated(fmt.Sprintf("p-%d", i), "class", "credentials", "port", "8080"))
	}
	delivered(t, in, "credentials", "s3cret-1")
	if all := secretsOf(t, in); len(all) != 1 {
		t.Errorf("Secrets %v", keys(all))
	}
	settled(t)
	written := writesOf(t, in, sidecar.ClassesName)
	setClass(t, "credentials", text("s3cret-2"))
	delivered(t, in, "credentials", "s3cret-2")
	settled(t)
	if n := written(); n != 1 {
		t.Errorf("%d writes for %d pods", n, pods)
	}
	for _, kind := range []string{"pods", "events", "configmaps"} {
		if all, err := cluster.Kubectl(t.Context(), "-n", in, "get", kind, "-o", "yaml"); err != nil || strings.Contains(all, "s3cret") {
			t.Errorf("%s hold the credential, or: %v", kind, err)
		}
	}
}

// writesOf watches a Secret from now on. What it returns says how often the Secret was written until then, and ends the watch. It is the
// writes of this Secret alone: the operator may at any time take a class out of a namespace whose last pod has gone.
func writesOf(t *testing.T, namespace, name string) func() int {
	t.Helper()
	secrets := cluster.Client().CoreV1().Secrets(namespace)
	s, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := secrets.Watch(t.Context(), metav1.ListOptions{ResourceVersion: s.ResourceVersion, FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return func() int {
		t.Helper()
		// The last write to be watched is the test's own.
		if _, err := secrets.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"end-of-watch":"here"}}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			select {
			case e := <-w.ResultChan():
				o, err := meta.Accessor(e.Object)
				if err != nil {
					t.Fatal(err)
				}
				if o.GetAnnotations()["end-of-watch"] != "" {
					return n
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the watch does not see the test's own write")
			}
		}
	}
}

// 4: a native sidecar that is there before the application, with a startup probe where one is asked for.
func TestSuccessor4SidecarStartsBeforeTheApplication(t *testing.T) {
	in := cluster.Namespace(t, nil)
	c := create(t, in, annotated("p", "port", "8080", "holdfast.dev/health-port", "8888"))
	if _, native := c.container("telegraf"); !native {
		t.Error("the sidecar is no native one")
	}
	probe := c.sidecar(t).StartupProbe
	if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.IntValue() != 8888 {
		t.Errorf("the startup probe is %+v", probe)
	}
	accepted(t, c.Pod)
	c = create(t, in, annotated("opt-out", "port", "8080", "holdfast.dev/mode", "container"))
	if _, native := c.container("telegraf"); native {
		t.Error("the opt-out is not heeded")
	}
	accepted(t, c.Pod)
}

// 6: each namespace alone. What is wrong in one, and in one class, stops nothing else; the last good text stays.
func TestSuccessor6OneBadClassDoesNotStopAnother(t *testing.T) {
	in := cluster.Namespace(t, nil)
	setClass(t, "good-one", out("old"))
	setClass(t, "bad-one", out("old"))
	create(t, in, annotated("p", "class", "good-one,bad-one", "port", "8080"))
	delivered(t, in, "bad-one", `whose = "old"`)
	bad := "[[outputs.file]\n"
	putClass(t, "bad-one", &bad)
	setClass(t, "good-one", out("new"))
	delivered(t, in, "good-one", `whose = "new"`)
	awaitEvent(t, "holdfast-operator", "Secret", "holdfast-operator-classes", "SyntaxError", "class bad-one: bad-one.conf:1")
	settled(t)
	delivered(t, in, "bad-one", `whose = "old"`)
}

// 12: the security context meets "restricted" by itself, and a class or a pod can have another.
func TestSuccessor12SecurityContext(t *testing.T) {
	in := cluster.Namespace(t, nil)
	see := func(c *corev1.Container) string {
		text, err := json.Marshal(c.SecurityContext)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	const whole = `{"capabilities":{"drop":["ALL"]},"runAsUser":999,"runAsNonRoot":true,"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false,"seccompProfile":{"type":"RuntimeDefault"}}`
	has("telegraf", see, whole)(t, create(t, in, annotated("default", "port", "8080")))
	pod := annotated("users", "port", "8080")
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1000))}
	has("telegraf", see, strings.Replace(whole, `"runAsUser":999,`, "", 1))(t, create(t, in, pod))
	apply(t, classResource("TelegrafClass", in, "confined", out("x"), ", sidecar: {securityContext: {runAsUser: 1234}}"))
	awaitText(t, in, "confined", out("x"))
	has("telegraf", see, `{"runAsUser":1234}`)(t, create(t, in, annotated("by-class", "class", "confined", "port", "8080")))
	has("telegraf", see, `{"runAsUser":5678}`)(t, create(t, in, annotated("by-pod", "class", "confined", "port", "8080", "holdfast.dev/security-context", `{"runAsUser": 5678}`)))
}

// 14: what preview prints is what the cluster makes of the pod.
func TestSuccessor14PreviewShowsWhatTheClusterMakes(t *testing.T) {
	in := cluster.Namespace(t, nil)
	pod := annotated("p", "class", "app,audit", "port", "8080", "global-tag-literal-team", "a", "inputs", memory, "env-literal-A", "b")
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	pod.Namespace = in
	manifest, err := yaml.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	c := create(t, in, pod)
	var shown corev1.Pod
	text := preview(t, string(manifest), "-o", "pod", "--telegraf-watch-config", watchWord(c.sidecar(t)))
	if err := yaml.Unmarshal([]byte(text), &shown); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for key, value := range c.Annotations {
		if shown.Annotations[key] != value {
			t.Errorf("annotation %s is %q on the cluster, preview shows %q", key, value, shown.Annotations[key])
		}
	}
	for key, value := range c.Labels {
		if shown.Labels[key] != value {
			t.Errorf("label %s is %q on the cluster, preview shows %q", key, value, shown.Labels[key])
		}
	}
	sidecar, there := created{Pod: &shown}.sidecar(t), c.sidecar(t)
	if strings.Join(sidecar.Command, " ") != strings.Join(there.Command, " ") || sidecar.Image != there.Image ||
		len(sidecar.Env) != len(there.Env) || resources(sidecar) != resources(there) {
		t.Errorf("preview shows\n%+v\nthe cluster has\n%+v", sidecar, there)
	}
}

// watchWord is how a sidecar watches its files.
func watchWord(c *corev1.Container) string {
	for i, arg := range c.Command {
		if arg == "--watch-config" {
			return c.Command[i+1]
		}
	}
	return "off"
}

// 14: a check of class files, with the agent that will read them.
func TestSuccessor14CheckOfClassFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": out("x"), "syntax": "[[outputs.file]\n", "option": "[[outputs.file]]\n  flies = [\"stdout\"]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program, err := holdfastOperator()
	if err != nil {
		t.Fatal(err)
	}
	for agent, want := range map[string][]string{
		"":              {"good: ok", "option: ok", "syntax: SyntaxError (syntax): syntax.conf:1"},
		telegrafPath(t): {"good: ok (agent)", "option: RefusedByAgent (agent): ", "syntax: SyntaxError"},
	} {
		out, err := exec.CommandContext(t.Context(), program, "check", "--agent", agent, dir).Output()
		if err == nil {
			t.Error("the exit code is 0")
		}
		for _, line := range want {
			if !strings.Contains(string(out), line) {
				t.Errorf("with agent %q it prints\n%s, without %q", agent, out, line)
			}
		}
	}
}
