//go:build e2e

package kube_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// eventually waits until check returns nil.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(cluster.Logs())
		}
	}()
	kube.Eventually(t, time.Minute, "it holds", check)
}

func apply(t *testing.T, documents string) {
	t.Helper()
	if _, err := cluster.Apply(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
}

func TestClusterIsTheReleasedOne(t *testing.T) {
	v, err := cluster.Client().Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if v.GitVersion != kube.Version {
		t.Errorf("the API server calls itself %s, want %s", v.GitVersion, kube.Version)
	}
	out, err := cluster.Kubectl(t.Context(), "get", "nodes", "-o", "name")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(strings.Fields(out)); got != nodes {
		t.Errorf("kubectl shows %d nodes, want %d: %s", got, nodes, out)
	}
	if _, err := cluster.Kubectl(t.Context(), "get", "no-such-kind"); err == nil || !strings.Contains(err.Error(), `resource type "no-such-kind"`) {
		t.Errorf("kubectl's error is %v, want what it printed", err)
	}
}

const workloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
      - {name: prepare, image: none}
      - {name: telegraf, image: none, restartPolicy: Always}
      containers:
      - {name: web, image: none}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: %[1]s}
spec:
  template:
    spec:
      restartPolicy: Never
      initContainers:
      - {name: telegraf, image: none, restartPolicy: Always}
      containers:
      - {name: once, image: none}
`

func TestPodsOfADeploymentRunAndAJobsEnd(t *testing.T) {
	ns := cluster.Namespace(t, map[string]string{"team": "a"})
	apply(t, fmt.Sprintf(workloads, ns))
	client := cluster.Client()
	eventually(t, func(ctx context.Context) error {
		d, err := client.AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas != 3 {
			err = fmt.Errorf("%d replicas are available, want 3", d.Status.AvailableReplicas)
		}
		return err
	})
	pods, err := client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	ips := map[string]bool{}
	for _, p := range pods.Items {
		ips[p.Status.PodIP] = true
		if sidecar := p.Status.InitContainerStatuses[1]; p.Status.Phase != corev1.PodRunning || sidecar.State.Running == nil || !sidecar.Ready {
			t.Errorf("pod %s is %s, its native sidecar %+v", p.Name, p.Status.Phase, sidecar)
		}
	}
	if len(ips) != 3 || ips[""] {
		t.Errorf("pods have the addresses %v, want three", ips)
	}
	eventually(t, func(ctx context.Context) error {
		j, err := client.BatchV1().Jobs(ns).Get(ctx, "once", metav1.GetOptions{})
		if err == nil && j.Status.CompletionTime == nil {
			err = fmt.Errorf("the job is not complete: %+v", j.Status)
		}
		return err
	})
}

func TestOwnedSecretGoesWithItsOwner(t *testing.T) {
	ns, client := cluster.Namespace(t, nil), cluster.Client()
	owner, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, owners := range map[string][]metav1.OwnerReference{
		"owned": {{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}, "free": nil,
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}}
		if _, err := client.CoreV1().Secrets(ns).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.CoreV1().ConfigMaps(ns).Delete(t.Context(), owner.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		_, err := client.CoreV1().Secrets(ns).Get(ctx, "owned", metav1.GetOptions{})
		switch {
		case err == nil:
			return fmt.Errorf("the owned secret is still there")
		case apierrors.IsNotFound(err):
			return nil
		}
		return err
	})
	if _, err := client.CoreV1().Secrets(ns).Get(t.Context(), "free", metav1.GetOptions{}); err != nil {
		t.Errorf("the free secret: %v", err)
	}
}

func TestObjectsOutliveTheAPIServer(t *testing.T) {
	ns, client := cluster.Namespace(t, nil), cluster.Client()
	url := cluster.Config().Host
	cluster.StopAPIServer()
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err == nil {
		t.Error("the API server answers after it was stopped")
	}
	if err := cluster.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if now := cluster.Config().Host; now != url {
		t.Errorf("the API server moved from %s to %s", url, now)
	}
	// The controllers, the scheduler and KWOK find their way back by themselves.
	apply(t, fmt.Sprintf(workloads, ns))
	eventually(t, func(ctx context.Context) error {
		d, err := client.AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas != 3 {
			err = fmt.Errorf("%d replicas are available, want 3", d.Status.AvailableReplicas)
		}
		return err
	})
}

func TestStoppedControllersMakeNoPods(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	cluster.StopControllerManager()
	apply(t, fmt.Sprintf(workloads, ns))
	d, err := cluster.Client().AppsV1().Deployments(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || d.Status.ObservedGeneration != 0 {
		t.Errorf("the deployment was seen by a controller: %+v, %v", d.Status, err)
	}
	if err := cluster.StartControllerManager(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		d, err := cluster.Client().AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && d.Status.ObservedGeneration == 0 {
			err = fmt.Errorf("no controller has seen the deployment")
		}
		return err
	})
}

// clientOf returns the client of whoever a kubeconfig file is for.
func clientOf(t *testing.T, kubeconfig string, err error) kubernetes.Interface {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

const reader = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: %[1]s}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: jo}
- {kind: ServiceAccount, name: default, namespace: %[1]s}
`

func TestUsersHaveTheRightsThatAreBoundToThem(t *testing.T) {
	ns, dir := cluster.Namespace(t, nil), t.TempDir()
	user, err := cluster.UserKubeconfig(dir, "jo")
	jo := clientOf(t, user, err)
	account, err := cluster.ServiceAccountKubeconfig(t.Context(), dir, ns, "default")
	pod := clientOf(t, account, err)
	for name, c := range map[string]kubernetes.Interface{"jo": jo, "default": pod} {
		if _, err := c.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s without a right lists secrets: %v, want that it is forbidden", name, err)
		}
	}
	apply(t, fmt.Sprintf(reader, ns))
	for name, c := range map[string]kubernetes.Interface{"jo": jo, "default": pod} {
		eventually(t, func(ctx context.Context) error {
			if _, err := c.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{}); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
		if _, err := c.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s lists another namespace's secrets: %v, want that it is forbidden", name, err)
		}
	}
}

const mounted = `
apiVersion: v1
kind: ConfigMap
metadata: {name: telegraf, namespace: %[1]s}
data: {main: "1"}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: %[1]s, labels: {app: web}}
spec:
  containers:
  - {name: web, image: none}
  volumes:
  - {name: scratch, emptyDir: {}}
  - name: telegraf
    projected:
      sources:
      - configMap: {name: telegraf, items: [{key: main, path: telegraf.d/main.conf}]}
      - secret: {name: later, optional: true}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
      - serviceAccountToken: {path: token, audience: telegraf}
`

func TestMaterialiseFollowsTheObjects(t *testing.T) {
	ns, dir, client := cluster.Namespace(t, nil), t.TempDir(), cluster.Client()
	apply(t, fmt.Sprintf(mounted, ns))
	pod, err := client.CoreV1().Pods(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	look := func(want map[string]string) {
		t.Helper()
		for _, volume := range []string{"scratch", "telegraf"} {
			if err := cluster.Materialise(t.Context(), pod, volume, filepath.Join(dir, volume)); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range want {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != text {
				t.Errorf("%s has %q, %v, want %q", name, b, err, text)
			}
		}
	}
	look(map[string]string{"telegraf/telegraf.d/main.conf": "1", "telegraf/labels": `app="web"`})
	if b, err := os.ReadFile(filepath.Join(dir, "telegraf", "token")); err != nil || len(b) == 0 {
		t.Errorf("the token is %q, %v", b, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scratch", "kept"), []byte("k"), 0o600); err != nil {
		t.Fatal(err)
	}
	apply(t, fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: telegraf, namespace: %[1]s}
data: {main: "2"}
---
apiVersion: v1
kind: Secret
metadata: {name: later, namespace: %[1]s}
stringData: {key: k}
`, ns))
	look(map[string]string{"telegraf/telegraf.d/main.conf": "2", "telegraf/key": "k", "scratch/kept": "k"})
	if err := client.CoreV1().ConfigMaps(ns).Delete(t.Context(), "telegraf", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Materialise(t.Context(), pod, "telegraf", filepath.Join(dir, "telegraf")); !apierrors.IsNotFound(err) {
		t.Errorf("without its configmap: %v, want that it is not found", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "telegraf", "telegraf.d", "main.conf")); err != nil || string(b) != "2" {
		t.Errorf("a failed refresh left %q, %v, want what was there", b, err)
	}
}
