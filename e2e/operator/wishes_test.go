//go:build e2e

package operator_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// What people wished for of telegraf-operator, by the numbers of its issues. 118 is in scrape_test.go, 81 in classes_test.go, 129 in
// unharmed_test.go.

// 136: Jobs never ended, for the sidecar of one did not.
func TestWish136JobsEnd(t *testing.T) {
	in := cluster.Namespace(t, nil)
	template := annotated("", "class", "app", "port", "8080")
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	pods := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Annotations: template.Annotations}, Spec: template.Spec}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "once"}, Spec: batchv1.JobSpec{Template: pods}}
	if _, err := cluster.Client().BatchV1().Jobs(in).Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() error {
		j, err := cluster.Client().BatchV1().Jobs(in).Get(t.Context(), "once", metav1.GetOptions{})
		if err == nil && j.Status.Succeeded != 1 {
			err = fmt.Errorf("the Job is at %+v", j.Status)
		}
		return err
	})
	list, err := cluster.Client().CoreV1().Pods(in).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The nodes of this test end every container of a Job. What makes a kubelet do so is the kind of the sidecar.
	for i := range list.Items {
		c := created{Pod: &list.Items[i]}
		if _, native := c.container("telegraf"); !native || len(c.Spec.Containers) != 1 {
			t.Errorf("the sidecar is no native one: %+v", c.Spec.Containers)
		}
		accepted(t, c.Pod)
	}
	if len(list.Items) != 1 {
		t.Errorf("%d pods", len(list.Items))
	}
}

// 137, 142: a pod of a StatefulSet that was made again waited for a Secret that the deletion of the first had taken away.
func TestWish137StatefulSetPodIsMadeAgain(t *testing.T) {
	in := cluster.Namespace(t, nil)
	old := runningPods(t, in, articleStatefulSet, "app=redis", 1)[0]
	accepted(t, &old)
	if err := cluster.Client().CoreV1().Pods(in).Delete(t.Context(), old.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var again *corev1.Pod
	eventually(t, time.Minute, func() error {
		p, err := cluster.Client().CoreV1().Pods(in).Get(t.Context(), old.Name, metav1.GetOptions{})
		if err == nil && (p.UID == old.UID || p.Status.Phase != corev1.PodRunning) {
			err = fmt.Errorf("pod %s is %s, phase %s", p.Name, p.UID, p.Status.Phase)
		}
		again = p
		return err
	})
	// Nothing that the pod mounts can be missing: what is no Secret of all classes is on the pod.
	for _, v := range again.Spec.Volumes {
		if v.Secret != nil {
			t.Errorf("volume %s waits for the Secret %s", v.Name, v.Secret.SecretName)
		}
	}
	accepted(t, again)
}

// 144: a Deployment whose pods a later step refuses left a Secret for each try.
func TestWish144LoopingDeploymentLeavesNothing(t *testing.T) {
	in := cluster.Namespace(t, nil)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("0")}}}
	if _, err := cluster.Client().CoreV1().ResourceQuotas(in).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error {
		q, err := cluster.Client().CoreV1().ResourceQuotas(in).Get(t.Context(), "none", metav1.GetOptions{})
		if err == nil && len(q.Status.Hard) == 0 {
			err = fmt.Errorf("the quota does not hold yet")
		}
		return err
	})
	apply(t, deployment(in, "web", 3, "class", "app", "port", "8080"))
	awaitEvent(t, in, "ReplicaSet", replicaSet(t, in), "FailedCreate", "exceeded quota")
	settled(t)
	if all := secretsOf(t, in); len(all) != 0 {
		t.Errorf("Secrets %v", keys(all))
	}
}

// 147, 148: Pod Security "restricted" refused the pod for its sidecar.
func TestWish147SidecarMeetsTheRestrictedStandard(t *testing.T) {
	in := cluster.Namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	pod := func(name string, annotations ...string) *corev1.Pod {
		p := annotated(name, append(annotations, "port", "8080", istioStatus, "{}")...)
		confine(p)
		return p
	}
	for name, annotations := range map[string][]string{"native": nil, "classic": {"holdfast.dev/mode", "container"}, "holdfast": {"holdfast.dev/agent", "holdfast"},
		"two": {"audit.holdfast.dev/class", "audit", "audit.holdfast.dev/port", "8081"}} {
		create(t, in, pod(name, annotations...)).sidecar(t)
	}
	bare := pod("bare")
	bare.Spec.Containers[0].SecurityContext = nil
	if _, err := tryCreate(t, in, bare); err == nil || !strings.Contains(err.Error(), `container "app"`) || strings.Contains(err.Error(), "telegraf") {
		t.Errorf("the standard is not enforced here, or finds fault with the sidecar: %v", err)
	}
}

// 121 and 106: several classes in one annotation.
func TestWish121SeveralClasses(t *testing.T) {
	in := cluster.Namespace(t, nil)
	c := create(t, in, annotated("p", "class", "app, audit", "port", "8080"))
	files := accepted(t, c.Pod)
	for _, name := range []string{"class-00-app.conf", "class-01-audit.conf"} {
		if _, ok := files[name]; !ok {
			t.Errorf("files %v", keys(files))
		}
	}
	if classLabel(c.Pod, "app") == "" || classLabel(c.Pod, "audit") == "" {
		t.Errorf("labels %v", c.Labels)
	}
	create(t, in, annotated("q", "class", "app,adit", "port", "8080")).bare(t, "did you mean audit?")
}

// 82: tags from fields, labels, annotations and ConfigMaps.
func TestWish82TagsFromElsewhere(t *testing.T) {
	setClass(t, "json", toStdout)
	in := cluster.Namespace(t, nil)
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "site"}, Data: map[string]string{"name": "hall 7"}}
	if _, err := cluster.Client().CoreV1().ConfigMaps(in).Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := annotated("p", "class", "json", "inputs", memory, "holdfast.dev/global-tag-fieldref-pod", "metadata.name", "holdfast.dev/global-tag-label-app", "app.kubernetes.io/name",
		"holdfast.dev/global-tag-annotation-owner", "example.com/owner", "holdfast.dev/global-tag-configmapkeyref-site", "site.name", "example.com/owner", "a b")
	pod.Labels = map[string]string{"app.kubernetes.io/name": "web"}
	c := create(t, in, pod)
	accepted(t, c.Pod)
	tagged(t, c, map[string]string{"pod": "p", "app": "web", "owner": "a b", "site": "hall 7"})
}

// 123: configuration in a ConfigMap, where no Secret may be made.
func TestWish123ClassesInConfigMaps(t *testing.T) {
	c := ownCluster(t, 0)
	in := c.Namespace(t, nil)
	forbidSecrets(t, c, in)
	file := filepath.Join(t.TempDir(), "points")
	classes := map[string]string{"default": *versioned(file, 0)}
	old, secret := servedBySecret(t, c, classes)

	op := install(t, c, operator.Options{Manifest: chartWith(t, "delivery.object=ConfigMap"), Classes: classes})
	pod, err := c.Client().CoreV1().Pods(in).Create(t.Context(), annotated("p", "inputs", memory), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if from := classesFrom(pod); !slices.Equal(from, []string{"ConfigMap holdfast-classes"}) || pod.Labels["sidecar.holdfast.dev/classes-in"] != "ConfigMap" {
		t.Fatalf("the pod mounts %q; labels %v", from, pod.Labels)
	}
	m := awaitConfigMap(t, c, in, `"v0"`)
	if len(m.OwnerReferences) != 1 || m.OwnerReferences[0].Name != "clustertelegrafclasses.holdfast.dev" || m.Labels["app.kubernetes.io/managed-by"] != "holdfast-operator" {
		t.Errorf("the ConfigMap's owners are %v, its labels %v", m.OwnerReferences, m.Labels)
	}
	a := newAgent(t, c, pod, telegrafPath(t))
	a.refresh(t)
	a.start(t)
	a.awaitFile(t, file, "version=v0", 20*time.Second)

	putClassIn(t, c, "default", *versioned(file, 1))
	awaitConfigMap(t, c, in, `"v1"`)
	awaitTime(t, 20*time.Second, "the pod's label followed", func(ctx context.Context) error {
		p, err := c.Client().CoreV1().Pods(in).Get(ctx, "p", metav1.GetOptions{})
		if err == nil && classLabel(p, "default") != class.Hash([]byte(*versioned(file, 1))) {
			err = fmt.Errorf("the label is %s", classLabel(p, "default"))
		}
		return err
	})
	a.refresh(t)
	a.awaitFile(t, file, "version=v1", 20*time.Second)
	if err := c.Client().CoreV1().ConfigMaps(in).Delete(t.Context(), m.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitConfigMap(t, c, in, `"v1"`)

	secrets, err := c.Client().CoreV1().Secrets(in).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(secrets.Items) > 0 {
		t.Errorf("%v; there are Secrets: %+v", err, secrets.Items)
	}
	if mayTouchSecrets(t, c, in) {
		t.Error("the operator may write Secrets")
	}
	// What was injected when Secrets were delivered keeps what it has, and its label says so.
	kept, err := c.Client().CoreV1().Secrets(old.Namespace).Get(t.Context(), secret.Name, metav1.GetOptions{})
	if err != nil || kept.ResourceVersion != secret.ResourceVersion {
		t.Errorf("%v; the Secret from before is %+v", err, kept)
	}
	if p, err := c.Client().CoreV1().Pods(old.Namespace).Get(t.Context(), old.Name, metav1.GetOptions{}); err != nil || classLabel(p, "default") != classLabel(old, "default") {
		t.Errorf("%v; the labels of the pod from before are %v", err, p.Labels)
	}
	if _, err := c.Client().CoreV1().ConfigMaps(old.Namespace).Get(t.Context(), "holdfast-classes", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a ConfigMap that nobody mounts: %v", err)
	}
	if log := op.Replicas[0].Log(); strings.Contains(log, "forbidden") || strings.Count(log, "until they are created anew") != 1 {
		t.Errorf("the operator wrote:\n%s", tail(log, 6000))
	}
}

// forbidSecrets has the API server refuse every Secret of a namespace.
func forbidSecrets(t *testing.T, c *kube.Cluster, namespace string) {
	t.Helper()
	quotas := c.Client().CoreV1().ResourceQuotas(namespace)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "no-secrets"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"secrets": resource.MustParse("0")}}}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "holdfast-classes"}}
		_, err := c.Client().CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if !apierrors.IsForbidden(err) {
			return fmt.Errorf("Secrets are not refused yet: %v", err)
		}
		return nil
	})
}

// servedBySecret makes a namespace with a pod that an operator which delivers Secrets has served, and ends that operator.
func servedBySecret(t *testing.T, c *kube.Cluster, classes map[string]string) (old *corev1.Pod, secret *corev1.Secret) {
	t.Helper()
	op := install(t, c, operator.Options{Classes: classes})
	in := c.Namespace(t, nil)
	old, err := c.Client().CoreV1().Pods(in).Create(t.Context(), annotated("p", "inputs", memory), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if from := classesFrom(old); !slices.Equal(from, []string{"Secret holdfast-classes"}) {
		t.Fatalf("the pod mounts %q", from)
	}
	awaitDelivered(t, c, in, "default", "v0")
	op.Stop()
	if secret, err = c.Client().CoreV1().Secrets(in).Get(t.Context(), "holdfast-classes", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	// It has the address of the operator that has ended.
	if err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(t.Context(), "holdfast-operator", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return old, secret
}

// classesFrom are the Secrets and ConfigMaps among the sources of a sidecar's configuration.
func classesFrom(pod *corev1.Pod) (all []string) {
	for _, v := range pod.Spec.Volumes {
		if v.Name != "telegraf-config" {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				all = append(all, "Secret "+s.Secret.Name)
			}
			if s.ConfigMap != nil {
				all = append(all, "ConfigMap "+s.ConfigMap.Name)
			}
		}
	}
	return all
}

// awaitConfigMap returns the ConfigMap of classes of a namespace once its class default has these words.
func awaitConfigMap(t *testing.T, c *kube.Cluster, namespace, words string) (m *corev1.ConfigMap) {
	t.Helper()
	awaitTime(t, 30*time.Second, "the ConfigMap had "+words, func(ctx context.Context) (err error) {
		if m, err = c.Client().CoreV1().ConfigMaps(namespace).Get(ctx, "holdfast-classes", metav1.GetOptions{}); err == nil && !strings.Contains(m.Data["default.conf"], words) {
			err = fmt.Errorf("the ConfigMap has %q", m.Data)
		}
		return err
	})
	return m
}

// mayTouchSecrets asks the API server whether the operator has any right on the Secret that it would deliver.
func mayTouchSecrets(t *testing.T, c *kube.Cluster, namespace string) bool {
	t.Helper()
	return slices.ContainsFunc([]string{"get", "list", "watch", "create", "patch", "update", "delete"}, func(verb string) bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "system:serviceaccount:holdfast-operator:holdfast-operator",
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Resource: "secrets", Name: "holdfast-classes"}}}
		answer, err := c.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status.Allowed
	})
}

// 45: more than one Telegraf, each with outputs of its own.
func TestWish45TwoSidecars(t *testing.T) {
	c := create(t, cluster.Namespace(t, nil), annotated("p", "class", "app", "port", "8080",
		"audit.holdfast.dev/class", "audit", "audit.holdfast.dev/inputs", memory, "audit.holdfast.dev/image", pinned, "audit.holdfast.dev/global-tag-literal-team", "b"))
	accepted(t, c.Pod)
	has("telegraf-audit", image, pinned)(t, c)
	second := configuration(t, c.Pod, "telegraf-config-audit")
	if !strings.Contains(second["class-00-audit.conf"], "stderr") || !strings.Contains(second["telegraf.conf"], `team = "b"`) || second["inputs.conf"] != memory {
		t.Errorf("the second sidecar's files are %q", second)
	}
	if first := configuration(t, c.Pod, "telegraf-config"); strings.Contains(first["telegraf.conf"], "team") || first["inputs.conf"] != "" {
		t.Errorf("the first sidecar's files are %q", first)
	}
	if status := c.Annotations["sidecar.holdfast.dev/status"]; !strings.Contains(status, "telegraf: injected") || !strings.Contains(status, "telegraf-audit: injected") {
		t.Errorf("status %q", status)
	}
}

// A mistake in one sidecar is not the other's.
func TestWish45OneOfTwoSidecarsHasAMistake(t *testing.T) {
	c := create(t, cluster.Namespace(t, nil), annotated("p", "class", "app", "port", "8080", "audit.holdfast.dev/class", "adit", "audit.holdfast.dev/port", "1"))
	c.sidecar(t)
	if other, _ := c.container("telegraf-audit"); other != nil {
		t.Error("there is a second sidecar")
	}
	c.warned(t, "no sidecar telegraf-audit: there is no class adit")
	accepted(t, c.Pod)
}

// 125, 143, 111: "no sidecar and I cannot see why". The author of a Deployment sees no warning of admission, so its ReplicaSet says it too.
func TestWish125DeploymentSaysWhyThereIsNoSidecar(t *testing.T) {
	in := cluster.Namespace(t, nil)
	apply(t, deployment(in, "web", 1, "class", "ap", "port", "8080"))
	const words = "there is no class ap"
	awaitEvent(t, in, "ReplicaSet", replicaSet(t, in), "NoSidecar", words)
	out, err := cluster.Kubectl(t.Context(), "-n", in, "get", "pods", "-l", "sidecar.holdfast.dev/injected=false", "-o", "name")
	if err != nil || strings.Count(out, "pod/web-") != 1 {
		t.Errorf("%v: %s", err, out)
	}
	awaitEvent(t, in, "Pod", strings.TrimPrefix(strings.TrimSpace(out), "pod/"), "NoSidecar", words)
}
