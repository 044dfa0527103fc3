//go:build e2e

package operator_test

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

const namespace = "holdfast-operator"

// TestInstall applies what deploy/ holds to a real API server, and upgrades it, as people do.
func TestInstall(t *testing.T) {
	ctx := t.Context()
	cluster, err := kube.Start(ctx, kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, file := range []string{"holdfast-operator.yaml", "classes.yaml", "daemonset.yaml"} {
		if _, err := cluster.Apply(ctx, readFile(t, file)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	t.Run("PodsAreAdmittedToARestrictedNamespace", func(t *testing.T) { awaitPods(t, cluster, namespace, 2) })
	t.Run("OperatorMayDoWhatItMustAndNoMore", func(t *testing.T) { checkRights(t, cluster) })
	t.Run("ApplyingAgainKeepsWhatTheOperatorWrote", func(t *testing.T) {
		write(t, cluster, namespace, "holdfast-operator")
		next := strings.ReplaceAll(readFile(t, "holdfast-operator.yaml"), `version: "0.1.0"`, `version: "0.2.0"`)
		if _, err := cluster.Apply(ctx, next); err != nil {
			t.Fatal(err)
		}
		checkKept(t, cluster, namespace, "holdfast-operator", "0.2.0")
	})
	t.Run("HelmUpgradeKeepsWhatTheOperatorWrote", func(t *testing.T) {
		// A second one beside the first, only for this.
		install := func(args ...string) {
			t.Helper()
			if _, err := helm(t, append([]string{"upgrade", "--install", "second", folder, "--kubeconfig", cluster.Kubeconfig(), "--namespace", "second",
				"--create-namespace", "--skip-crds", "--set", "fullnameOverride=second"}, args...)...); err != nil {
				t.Fatal(err)
			}
		}
		install()
		write(t, cluster, "second", "second")
		install("--set", "replicaCount=3")
		checkKept(t, cluster, "second", "second", "0.1.0")
		install("--set", "replicaCount=3,classes.create=false")
		checkKept(t, cluster, "second", "second", "0.1.0")
	})
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func awaitPods(t *testing.T, cluster *kube.Cluster, namespace string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		pods, err := cluster.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err == nil && len(pods.Items) == want {
			return
		}
		select {
		case <-ctx.Done():
			events, _ := cluster.Kubectl(t.Context(), "get", "events", "-n", namespace)
			t.Fatalf("no %d pods: %v\n%s", want, err, events)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

const kept = "written by the operator"

// write does what the operator does when it runs, and a user who edits the classes.
func write(t *testing.T, cluster *kube.Cluster, namespace, name string) {
	t.Helper()
	secrets := cluster.Client().CoreV1().Secrets(namespace)
	for _, secret := range []string{name + "-tls", "holdfast-operator-last-good"} {
		s, err := secrets.Get(t.Context(), secret, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.Data = map[string][]byte{"key": []byte(kept)}
		if _, err := secrets.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	edit := []byte(`{"stringData":{"default":"` + kept + `","other":"` + kept + `"}}`)
	if _, err := secrets.Patch(t.Context(), "holdfast-operator-classes", types.MergePatchType, edit, metav1.PatchOptions{FieldManager: "kubectl-edit"}); err != nil {
		t.Fatal(err)
	}
	bundle := []byte(`[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"` + base64.StdEncoding.EncodeToString(cluster.CA()) + `"}]`)
	hooks := cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := hooks.Patch(t.Context(), name, types.JSONPatchType, bundle, metav1.PatchOptions{FieldManager: "holdfast-operator"}); err != nil {
		t.Fatal(err)
	}
}

func checkKept(t *testing.T, cluster *kube.Cluster, namespace, name, version string) {
	t.Helper()
	for secret, keys := range map[string][]string{
		name + "-tls": {"key"}, "holdfast-operator-last-good": {"key"}, "holdfast-operator-classes": {"default", "other"},
	} {
		s, err := cluster.Client().CoreV1().Secrets(namespace).Get(t.Context(), secret, metav1.GetOptions{})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, key := range keys {
			if string(s.Data[key]) != kept {
				t.Errorf("Secret %s, key %s is now %q", secret, key, s.Data[key])
			}
		}
	}
	hook, err := cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(hook.Webhooks[0].ClientConfig.CABundle) == 0 {
		t.Error("the CA bundle is gone")
	}
	if got := hook.Labels["app.kubernetes.io/version"]; got != version {
		t.Errorf("version %q, want %q: was there an upgrade at all?", got, version)
	}
}

// checkRights uses the service account's own token.
func checkRights(t *testing.T, cluster *kube.Cluster) {
	t.Helper()
	ctx := t.Context()
	path, err := cluster.ServiceAccountKubeconfig(ctx, t.TempDir(), namespace, "holdfast-operator")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	op, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	shop := cluster.Namespace(t, nil)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if _, err := cluster.Client().CoreV1().Pods(shop).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	named := metav1.ListOptions{FieldSelector: "metadata.name=holdfast-classes"}
	apply := metav1.ApplyOptions{FieldManager: "holdfast-operator"}
	label := []byte(`{"metadata":{"labels":{"class.holdfast.dev/default":"a"}}}`)
	secrets := func(ns string) typedcorev1.SecretInterface { return op.CoreV1().Secrets(ns) }
	for _, c := range []struct {
		what string
		may  bool
		do   func() error
	}{
		{"apply its Secret in any namespace, when there is none", true, func() error {
			_, err := secrets(shop).Apply(ctx, applycorev1.Secret("holdfast-classes", shop).WithData(map[string][]byte{"a.conf": nil}), apply)
			return err
		}},
		{"find its Secrets in all namespaces", true, func() error { _, err := secrets("").List(ctx, named); return err }},
		{"watch its Secrets in all namespaces", true, func() error {
			w, err := secrets("").Watch(ctx, named)
			if err == nil {
				w.Stop()
			}
			return err
		}},
		{"delete its Secret", true, func() error { return secrets(shop).Delete(ctx, "holdfast-classes", metav1.DeleteOptions{}) }},
		{"list all Secrets", false, func() error { _, err := secrets("").List(ctx, metav1.ListOptions{}); return err }},
		{"list the Secrets of its own namespace", false, func() error { _, err := secrets(namespace).List(ctx, metav1.ListOptions{}); return err }},
		{"apply another Secret", false, func() error {
			_, err := secrets(shop).Apply(ctx, applycorev1.Secret("other", shop), apply)
			return err
		}},
		{"make Secrets", false, func() error {
			_, err := secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
			return err
		}},
		{"read the classes", true, func() error {
			_, err := secrets(namespace).Get(ctx, "holdfast-operator-classes", metav1.GetOptions{})
			return err
		}},
		{"change the classes", false, func() error {
			_, err := secrets(namespace).Patch(ctx, "holdfast-operator-classes", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
			return err
		}},
		{"keep its certificates", true, func() error {
			s, err := secrets(namespace).Get(ctx, "holdfast-operator-tls", metav1.GetOptions{})
			if err == nil {
				s.Data = map[string][]byte{"ca.crt": []byte("x")}
				_, err = secrets(namespace).Update(ctx, s, metav1.UpdateOptions{})
			}
			return err
		}},
		{"make its certificates' Secret anew", true, func() error {
			if err := cluster.Client().CoreV1().Secrets(namespace).Delete(ctx, "holdfast-operator-tls", metav1.DeleteOptions{}); err != nil {
				return err
			}
			_, err := secrets(namespace).Apply(ctx, applycorev1.Secret("holdfast-operator-tls", namespace), apply)
			return err
		}},
		{"keep the last good texts", true, func() error {
			_, err := secrets(namespace).Apply(ctx, applycorev1.Secret("holdfast-operator-last-good", namespace), apply)
			return err
		}},
		{"label a pod through its status", true, func() error {
			_, err := op.CoreV1().Pods(shop).Patch(ctx, "p", types.MergePatchType, label, metav1.PatchOptions{}, "status")
			return err
		}},
		{"change a pod", false, func() error {
			_, err := op.CoreV1().Pods(shop).Patch(ctx, "p", types.MergePatchType, label, metav1.PatchOptions{})
			return err
		}},
		{"delete a pod", false, func() error { return op.CoreV1().Pods(shop).Delete(ctx, "p", metav1.DeleteOptions{}) }},
		{"patch its webhook", true, func() error {
			_, err := op.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(ctx, "holdfast-operator", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
			return err
		}},
		{"watch its webhook", true, func() error {
			_, err := op.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=holdfast-operator"})
			return err
		}},
		{"make a webhook", false, func() error {
			_, err := op.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx,
				&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
			return err
		}},
		{"make its lease", true, func() error {
			_, err := op.CoordinationV1().Leases(namespace).Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "holdfast-operator"}}, metav1.CreateOptions{})
			return err
		}},
		{"renew its lease", true, func() error {
			l, err := op.CoordinationV1().Leases(namespace).Get(ctx, "holdfast-operator", metav1.GetOptions{})
			if err == nil {
				_, err = op.CoordinationV1().Leases(namespace).Update(ctx, l, metav1.UpdateOptions{})
			}
			return err
		}},
	} {
		if err := c.do(); c.may && err != nil {
			t.Errorf("cannot %s: %v", c.what, err)
		} else if !c.may && !apierrors.IsForbidden(err) {
			t.Errorf("may %s: %v", c.what, err)
		}
	}
	checkStampChangesNoSpec(t, cluster, op, shop)
}

// checkStampChangesNoSpec checks what the rule for pods/status rests on.
func checkStampChangesNoSpec(t *testing.T, cluster *kube.Cluster, op kubernetes.Interface, shop string) {
	t.Helper()
	patch := []byte(`{"metadata":{"labels":{"class.holdfast.dev/default":"b"}},"spec":{"containers":[{"name":"c","image":"other"}]}}`)
	if _, err := op.CoreV1().Pods(shop).Patch(t.Context(), "p", types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	p, err := cluster.Client().CoreV1().Pods(shop).Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Labels["class.holdfast.dev/default"] != "b" || p.Spec.Containers[0].Image != "i" {
		t.Errorf("labels %v, image %s", p.Labels, p.Spec.Containers[0].Image)
	}
}
