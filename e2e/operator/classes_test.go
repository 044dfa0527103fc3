//go:build e2e

package operator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// 81: classes as resources, for a namespace or for all.

// classResource is a resource with a text, and more of its specification as YAML has it in one line.
func classResource(kind, namespace, name, text, more string) string {
	in := ""
	if namespace != "" {
		in = "namespace: " + namespace + ", "
	}
	return fmt.Sprintf("{apiVersion: holdfast.dev/v1alpha1, kind: %s, metadata: {%sname: %s}, spec: {config: %q%s}}", kind, in, name, text, more)
}

// out is a text that says whose it is.
func out(whose string) string {
	return "[[outputs.file]]\n  files = [\"stdout\"]\n[global_tags]\n  whose = \"" + whose + "\"\n"
}

// awaitText waits until new pods of a namespace get a text for a class.
func awaitText(t *testing.T, namespace, name, text string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		c := create(t, namespace, annotated("await", "class", name, "port", "8080"), metav1.DryRunAll)
		if classLabel(c.Pod, name) != class.Hash([]byte(text)) {
			return fmt.Errorf("status %q", c.Annotations["sidecar.holdfast.dev/status"])
		}
		return nil
	})
}

func TestWish81TheNearerClassWins(t *testing.T) {
	in, elsewhere := cluster.Namespace(t, nil), cluster.Namespace(t, nil)
	setClass(t, "layered", out("secret"))
	p := create(t, in, annotated("p", "class", "layered", "port", "8080"))
	delivered(t, in, "layered", `whose = "secret"`)

	apply(t, classResource("ClusterTelegrafClass", "", "layered", out("cluster"), ""))
	awaitText(t, in, "layered", out("cluster"))
	delivered(t, in, "layered", `whose = "cluster"`) // running pods follow

	apply(t, classResource("TelegrafClass", in, "layered", out("namespace"), ""))
	awaitText(t, in, "layered", out("namespace"))
	awaitText(t, elsewhere, "layered", out("cluster"))
	delivered(t, in, "layered", `whose = "namespace"`)
	accepted(t, p.Pod)

	for _, args := range [][]string{{"-n", in, "delete", "telegrafclass", "layered"}, {"delete", "clustertelegrafclass", "layered"}} {
		if out, err := cluster.Kubectl(t.Context(), args...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	delivered(t, in, "layered", `whose = "secret"`)
}

func TestWish81ClassSaysHowItsSidecarsAreMade(t *testing.T) {
	in := cluster.Namespace(t, nil)
	apply(t, classResource("TelegrafClass", in, "classic", out("x"), ", sidecar: {mode: container, image: "+pinned+", healthPort: 8888, resources: {limits: {memory: 1Gi}}, env: [{name: TOKEN, value: t}]}"))
	awaitText(t, in, "classic", out("x"))
	c := create(t, in, annotated("by-class", "class", "classic", "port", "8080"))
	if _, native := c.container("telegraf"); native || len(c.Spec.Containers) != 2 || c.Spec.Containers[1].Name != "telegraf" {
		t.Errorf("the sidecar is no ordinary container: %v", c.Spec.Containers)
	}
	has("telegraf", image, pinned)(t, c)
	has("telegraf", resources, "10m 10Mi of 200m 1Gi")(t, c)
	has("telegraf", variable("TOKEN"), `{"name":"TOKEN","value":"t"}`)(t, c)
	accepted(t, c.Pod)
	c = create(t, in, annotated("pod-wins", "class", "classic", "port", "8080", "holdfast.dev/mode", "native", "limits-memory", "2Gi"))
	if _, native := c.container("telegraf"); !native {
		t.Error("the pod's annotation does not win over the class")
	}
	has("telegraf", resources, "10m 10Mi of 200m 2Gi")(t, c)
	c = create(t, in, annotated("by-annotation", "class", "app", "port", "8080", "mode", "container"))
	if _, native := c.container("telegraf"); native {
		t.Error("the sidecar is a native one")
	}
	accepted(t, c.Pod)
}

// Was: a class that does not parse was noticed pod by pod, and nobody told its author.
func TestWish81InvalidClassKeepsItsLastGoodText(t *testing.T) {
	in := cluster.Namespace(t, nil)
	apply(t, classResource("TelegrafClass", in, "edited", out("good"), ""))
	awaitText(t, in, "edited", out("good"))
	create(t, in, annotated("before", "class", "edited", "port", "8080"))
	delivered(t, in, "edited", `whose = "good"`)
	for reason, text := range map[string]string{"SyntaxError": "[[outputs.file]\n", "RefusedByAgent": "[[outputs.file]]\n  flies = [\"stdout\"]\n"} {
		apply(t, classResource("TelegrafClass", in, "edited", text, ""))
		awaitCondition(t, in, "edited", "False", reason, "the last good text "+class.Hash([]byte(out("good")))+" stays in use")
		awaitEvent(t, in, "TelegrafClass", "edited", reason, "stays in use")
		create(t, in, annotated("after-"+strings.ToLower(reason), "class", "edited", "port", "8080")).sidecar(t)
	}
	settled(t)
	delivered(t, in, "edited", `whose = "good"`)
	apply(t, classResource("TelegrafClass", in, "edited", out("better"), ""))
	awaitCondition(t, in, "edited", "True", "Accepted", "is in use")
	delivered(t, in, "edited", `whose = "better"`)
}

// awaitCondition waits for the condition Valid of a TelegrafClass.
func awaitCondition(t *testing.T, namespace, name, status, reason, words string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		got, err := cluster.Kubectl(t.Context(), "-n", namespace, "get", "telegrafclass", name, "-o",
			`jsonpath={range .status.conditions[?(@.type=="Valid")]}{.status} {.reason} {.message}{end}`)
		if err == nil && (!strings.HasPrefix(got, status+" "+reason+" ") || !strings.Contains(got, words)) {
			err = fmt.Errorf("the condition is %q", got)
		}
		return err
	})
}

// What kubectl get shows of a class, and how a class change shows on pods: the label follows what was delivered.
func TestWish81KubectlShowsWhoHasTheNewText(t *testing.T) {
	in := cluster.Namespace(t, nil)
	apply(t, classResource("TelegrafClass", in, "shown", out("old"), ""))
	awaitText(t, in, "shown", out("old"))
	awaitRow(t, in, "shown True "+class.Hash([]byte(out("old")))+" 0 0 ")
	for i := range 3 {
		create(t, in, annotated(fmt.Sprintf("p-%d", i), "class", "shown", "port", "8080"))
	}
	for _, text := range []string{out("old"), out("new")} {
		hash := class.Hash([]byte(text))
		apply(t, classResource("TelegrafClass", in, "shown", text, ""))
		awaitRow(t, in, "shown True "+hash+" 3 3 ")
		pods, err := cluster.Kubectl(t.Context(), "-n", in, "get", "pods", "-l", "class.holdfast.dev/shown="+hash, "-o", "name")
		if err != nil || strings.Count(pods, "pod/p-") != 3 {
			t.Errorf("with the text %s there are %v: %s", hash, err, pods)
		}
	}
	all, err := cluster.Kubectl(t.Context(), "-n", in, "get", "pods", "-l", "class.holdfast.dev/shown", "-L", "class.holdfast.dev/shown")
	if err != nil || strings.Count(all, class.Hash([]byte(out("new")))) != 3 {
		t.Errorf("%v: %s", err, all)
	}
}

// awaitRow waits until kubectl get shows of the only class of a namespace a row that begins so.
func awaitRow(t *testing.T, namespace, row string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		table, err := cluster.Kubectl(t.Context(), "-n", namespace, "get", "telegrafclasses")
		lines := strings.Split(strings.TrimSpace(table), "\n")
		if err == nil && (len(lines) != 2 || strings.Join(strings.Fields(lines[0]), " ") != "NAME VALID HASH PODS CURRENT AGE" ||
			!strings.HasPrefix(strings.Join(strings.Fields(lines[1]), " "), row)) {
			err = fmt.Errorf("kubectl get shows\n%s", table)
		}
		return err
	})
}

// The text of a class may stand in a Secret of the operator's namespace; then who may read classes does not see it. The operator can read
// such a Secret when it is granted by name, as the chart does for those of classes.referencedSecrets.
func TestWish81ClusterClassOfASecret(t *testing.T) {
	in := cluster.Namespace(t, nil)
	const ref = "{apiVersion: holdfast.dev/v1alpha1, kind: ClusterTelegrafClass, metadata: {name: %s}, spec: {configSecretKeyRef: {name: %s, key: a}}}"
	for _, name := range []string{"granted", "other"} {
		secret(t, "holdfast-operator", "texts-"+name, map[string]string{"a": out("hidden")})
	}
	apply(t, `
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: texts, namespace: holdfast-operator}, rules: [{apiGroups: [""], resources: [secrets], resourceNames: [texts-granted], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: texts, namespace: holdfast-operator}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: texts},
  subjects: [{kind: ServiceAccount, namespace: holdfast-operator, name: holdfast-operator}]}
`)
	for _, name := range []string{"granted", "other"} {
		apply(t, fmt.Sprintf(ref, name, "texts-"+name))
	}
	awaitText(t, in, "granted", out("hidden"))
	accepted(t, create(t, in, annotated("p", "class", "granted", "port", "8080")).Pod)
	eventually(t, 30*time.Second, func() error {
		c := create(t, in, annotated("q", "class", "other", "port", "8080"), metav1.DryRunAll)
		if status := c.Annotations["sidecar.holdfast.dev/status"]; !strings.Contains(status, `secrets "texts-other" is forbidden`) {
			return fmt.Errorf("status %q", status)
		}
		return nil
	})
}
