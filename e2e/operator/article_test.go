//go:build e2e

package operator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The article's first example: a DaemonSet whose pods are scraped.
const articleDaemonSet = `
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: my-application
  namespace: NAMESPACE
spec:
  selector:
    matchLabels:
      app: my-application
  template:
    metadata:
      labels:
        app: my-application
      annotations:
        telegraf.influxdata.com/class: app
        telegraf.influxdata.com/port: "8080"
        telegraf.influxdata.com/path: /v1/metrics
        telegraf.influxdata.com/interval: 5s
        telegraf.influxdata.com/scheme: http
        telegraf.influxdata.com/internal: "true"
    spec:
      containers:
      - name: my-application
        image: my-application:latest
`

// Its second: a StatefulSet of Redis with an input of its own.
const articleStatefulSet = `
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: redis
  namespace: NAMESPACE
spec:
  selector:
    matchLabels:
      app: redis
  serviceName: redis
  template:
    metadata:
      labels:
        app: redis
      annotations:
        telegraf.influxdata.com/inputs: |+
          [[inputs.redis]]
            servers = ["tcp://localhost:6379"]
        telegraf.influxdata.com/class: app
    spec:
      containers:
      - name: redis
        image: redis:alpine
`

// runningPods applies a manifest and returns its pods once as many as wanted are Running.
func runningPods(t *testing.T, namespace, manifest, selector string, want int) (pods []corev1.Pod) {
	t.Helper()
	if out, err := cluster.Apply(t.Context(), strings.ReplaceAll(manifest, "NAMESPACE", namespace)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, time.Minute, func() error {
		list, err := cluster.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		pods = nil
		for _, p := range list.Items {
			if p.Status.Phase == corev1.PodRunning {
				pods = append(pods, p)
			}
		}
		if len(pods) != want {
			return fmt.Errorf("%d pods run, want %d", len(pods), want)
		}
		return nil
	})
	return pods
}

func TestArticleDaemonSetIsScraped(t *testing.T) {
	namespace := cluster.Namespace(t, nil)
	for _, pod := range runningPods(t, namespace, articleDaemonSet, "app=my-application", 2) {
		c := created{Pod: &pod}
		if _, native := c.container("telegraf"); !native {
			t.Error("the sidecar is not a native one")
		}
		for _, words := range []string{`urls = ["http://127.0.0.1:8080/v1/metrics"]`, `interval = "5s"`, "[[inputs.internal]]"} {
			if !strings.Contains(c.conf("telegraf"), words) {
				t.Errorf("the file lacks %s:\n%s", words, c.conf("telegraf"))
			}
		}
		accepted(t, &pod)
	}
	delivered(t, namespace, "app", "http://influxdb.influxdb:8086")
}

func TestArticleRedisStatefulSetIsCollectedFrom(t *testing.T) {
	namespace := cluster.Namespace(t, nil)
	pod := runningPods(t, namespace, articleStatefulSet, "app=redis", 1)[0]
	files := accepted(t, &pod)
	if !strings.Contains(files["inputs.conf"], "[[inputs.redis]]\n  servers = [\"tcp://localhost:6379\"]") {
		t.Errorf("files %q", files)
	}
	if !strings.Contains(files["class-00-app.conf"], "influxdb.influxdb") {
		t.Errorf("the class is not among the files: %q", keys(files))
	}
}
