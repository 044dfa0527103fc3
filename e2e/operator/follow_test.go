//go:build e2e

package operator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// edit changes annotations of a running pod as kubectl annotate does.
func edit(t *testing.T, namespace, name, key, value string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value)
	if _, err := cluster.Client().CoreV1().Pods(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitEvent waits for an event of a reason on an object that says some words.
func awaitEvent(t *testing.T, namespace, kind, name, reason, words string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		list, err := cluster.Client().CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		var seen []string
		for _, e := range list.Items {
			if e.InvolvedObject.Kind == kind && e.InvolvedObject.Name == name {
				if e.Reason == reason && strings.Contains(e.Message, words) {
					return nil
				}
				seen = append(seen, e.Reason+": "+e.Message)
			}
		}
		return fmt.Errorf("no event %s with %q on %s %s; there are %q", reason, words, kind, name, seen)
	})
}

// In telegraf-operator an edit waited for the next change of a class.
func TestRunningPodFollowsItsAnnotations(t *testing.T) {
	namespace := cluster.Namespace(t, nil)
	before := create(t, namespace, annotated("p", "class", "app", "port", "8080", "global-tag-literal-team", "a"))
	edit(t, namespace, "p", "telegraf.influxdata.com/port", "9090")
	edit(t, namespace, "p", "telegraf.influxdata.com/global-tag-literal-team", "b")
	var after created
	eventually(t, 10*time.Second, func() error {
		p, err := cluster.Client().CoreV1().Pods(namespace).Get(t.Context(), "p", metav1.GetOptions{})
		if err != nil {
			return err
		}
		after = created{Pod: p}
		if conf := after.conf("telegraf"); !strings.Contains(conf, ":9090/") || !strings.Contains(conf, `team = "b"`) {
			return fmt.Errorf("the file is still\n%s", conf)
		}
		return nil
	})
	accepted(t, after.Pod)
	if key := "sidecar.holdfast.dev/config-hash"; before.Annotations[key] == after.Annotations[key] {
		t.Error("the hash of the configuration did not change")
	}
}

func TestEditThatNeedsAnotherContainerIsToldAndChangesNothing(t *testing.T) {
	namespace := cluster.Namespace(t, nil)
	before := create(t, namespace, annotated("p", "class", "app", "port", "8080"))
	edit(t, namespace, "p", "holdfast.dev/global-tag-label-app", "app")
	awaitEvent(t, namespace, "Pod", "p", "AnnotationsNotFollowed", "created anew")
	edit(t, namespace, "p", "telegraf.influxdata.com/port", "http")
	awaitEvent(t, namespace, "Pod", "p", "AnnotationsNotFollowed", `"http" is not a port`)
	create(t, namespace, annotated("probed", "class", "app", "port", "8080", "holdfast.dev/health-port", "8888"))
	edit(t, namespace, "probed", "holdfast.dev/health-port", "9999")
	awaitEvent(t, namespace, "Pod", "probed", "AnnotationsNotFollowed", "created anew")
	p, err := cluster.Client().CoreV1().Pods(namespace).Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after := (created{Pod: p}); after.conf("telegraf") != before.conf("telegraf") {
		t.Errorf("the file changed to\n%s", after.conf("telegraf"))
	}
}

// In telegraf-operator such a sidecar crash-loops and nobody is told (issue 136).
func TestRawInputsThatTheAgentRefusesAreTold(t *testing.T) {
	namespace := cluster.Namespace(t, nil)
	for name, inputs := range map[string]string{
		"option": "[[inputs.redis]]\n  servrs = [\"tcp://localhost:6379\"]\n",
		"plugin": "[[inputs.radis]]\n",
	} {
		create(t, namespace, annotated(name, "class", "app", "inputs", inputs)).sidecar(t)
	}
	awaitEvent(t, namespace, "Pod", "option", "RefusedByAgent", "servrs")
	awaitEvent(t, namespace, "Pod", "plugin", "RefusedByAgent", "radis")
}
