//go:build e2e

package operator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// quoted writes annotations as YAML has them in one line.
func quoted(annotations []string) string {
	var all []string
	for key, value := range annotated("", annotations...).Annotations {
		all = append(all, fmt.Sprintf("%q: %q", key, value))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// template is the template of a pod as YAML has it in one line.
func template(name string, annotations []string, spec string) string {
	return fmt.Sprintf(`{metadata: {labels: {app: %s}, annotations: %s}, spec: {containers: [{name: app, image: app}]%s}}`, name, quoted(annotations), spec)
}

func deployment(namespace, name string, replicas int, annotations ...string) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: %s, name: %s}, spec: {replicas: %d, selector: {matchLabels: {app: a}}, template: %s}}`,
		namespace, name, replicas, template("a", annotations, ""))
}

func apply(t *testing.T, manifest string) {
	t.Helper()
	if out, err := cluster.Apply(t.Context(), manifest); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// replicaSet is the name of the only one in a namespace, once it is there.
func replicaSet(t *testing.T, namespace string) (name string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		list, err := cluster.Client().AppsV1().ReplicaSets(namespace).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(list.Items) != 1 {
			err = fmt.Errorf("%d ReplicaSets", len(list.Items))
		}
		if err == nil {
			name = list.Items[0].Name
		}
		return err
	})
	return name
}

// Whatever makes pods, they get their sidecar; also where the names of its pods are as long as names can be.
func TestPodsOfEveryWorkloadGetTheirSidecar(t *testing.T) {
	annotations := []string{"class", "app", "port", "8080"}
	long := strings.Repeat("a", 63)
	selected := func(kind, more string) string {
		return "{apiVersion: apps/v1, kind: " + kind + ", metadata: {name: w, namespace: NAMESPACE}, spec: {selector: {matchLabels: {app: w}}, " + more + "template: " + template("w", annotations, "") + "}}"
	}
	job := "{template: " + template("w", annotations, ", restartPolicy: Never") + "}"
	for name, manifest := range map[string]string{
		"Pod": "{apiVersion: v1, kind: Pod, metadata: {name: w, namespace: NAMESPACE, labels: {app: w}, annotations: " + quoted(annotations) +
			"}, spec: {containers: [{name: app, image: app}]}}",
		"Deployment":                selected("Deployment", ""),
		"Deployment of a long name": strings.Replace(selected("Deployment", ""), "name: w, n", "name: "+long+", n", 1),
		"ReplicaSet":                selected("ReplicaSet", ""),
		"StatefulSet":               selected("StatefulSet", "serviceName: w, "),
		"DaemonSet":                 selected("DaemonSet", ""),
		"Job":                       "{apiVersion: batch/v1, kind: Job, metadata: {name: w, namespace: NAMESPACE}, spec: " + job + "}",
		"CronJob":                   "{apiVersion: batch/v1, kind: CronJob, metadata: {name: w, namespace: NAMESPACE}, spec: {schedule: '* * * * *', jobTemplate: {spec: " + job + "}}}",
	} {
		t.Run(name, func(t *testing.T) {
			in := cluster.Namespace(t, nil)
			apply(t, strings.ReplaceAll(manifest, "NAMESPACE", in))
			if name == "CronJob" {
				// Its hour has not come; kubectl makes the same Job as the controller does.
				if out, err := cluster.Kubectl(t.Context(), "-n", in, "create", "job", "--from=cronjob/w", "now"); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			eventually(t, time.Minute, func() error {
				list, err := cluster.Client().CoreV1().Pods(in).List(t.Context(), metav1.ListOptions{LabelSelector: "app=w"})
				if err != nil {
					return err
				}
				if len(list.Items) == 0 {
					return fmt.Errorf("there are no pods")
				}
				for i := range list.Items {
					created{Pod: &list.Items[i]}.sidecar(t)
					accepted(t, &list.Items[i])
				}
				return nil
			})
		})
	}
}

// Was: a Secret for each pod, of which some stayed. Here the namespace's one Secret goes some minutes after its last pod.
func TestDeletedPodsLeaveNothingOfTheirOwn(t *testing.T) {
	in := cluster.Namespace(t, nil)
	for i := range 3 {
		create(t, in, annotated(fmt.Sprintf("p-%d", i), "class", "app", "port", "8080"))
	}
	delivered(t, in, "app", "influxdb")
	if all := keys(secretsOf(t, in)); len(all) != 1 {
		t.Errorf("Secrets %v", all)
	}
	if out, err := cluster.Kubectl(t.Context(), "-n", in, "delete", "pods", "--all"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	settled(t)
	if all := keys(secretsOf(t, in)); len(all) != 1 || all[0] != "holdfast-classes" {
		t.Errorf("Secrets %v", all)
	}
	for _, kind := range []string{"configmaps", "roles", "rolebindings"} {
		out, err := cluster.Kubectl(t.Context(), "-n", in, "get", kind, "-o", "name")
		if err != nil || strings.TrimSpace(strings.ReplaceAll(out, "configmap/kube-root-ca.crt", "")) != "" {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
	}
}
