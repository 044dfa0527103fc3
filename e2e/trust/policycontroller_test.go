//go:build e2e

package trust_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

// authority is one of a policy: a key, and where its signatures are.
type authority struct {
	name   string
	key    trust.KeyPair
	source string // a repository; empty is beside the image
}

// policy writes a policy called name for the images of one registry.
func policy(name, host string, authorities []authority, rego string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: %s}\n", name)
	fmt.Fprintf(&b, "spec:\n  images: [{glob: \"%s/**\"}]\n  mode: enforce\n  authorities:\n", host)
	for _, a := range authorities {
		fmt.Fprintf(&b, "  - name: %s\n    key: {data: %q}\n", a.name, a.key.Public)
		if a.source != "" {
			fmt.Fprintf(&b, "    source: [{oci: %s}]\n", a.source)
		}
	}
	if rego != "" {
		fmt.Fprintf(&b, "  policy: {type: rego, data: %q}\n", rego)
	}
	return b.String()
}

// apply applies a policy, waits until it is compiled, and deletes it at the end of the test.
func apply(t *testing.T, name, manifest string) {
	t.Helper()
	if err := controller.ApplyPolicy(t.Context(), manifest, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the test's is over
		defer cancel()
		if err := controller.DeletePolicy(ctx, name); err != nil {
			t.Error(err)
		}
	})
	if err := controller.AwaitPolicy(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// within polls check until it returns nil.
func within(t *testing.T, d time.Duration, check func() error) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > d {
			t.Fatalf("not within %v: %v", d, err)
		}
		<-tick.C
	}
}

// admitted is what a check wants when an image must be let in.
func admitted(t *testing.T, namespace, image string) func() error {
	return func() error { return controller.Admit(t.Context(), namespace, image) }
}

// refused is what a check wants when the image webhook must say no, with some words.
func refused(t *testing.T, namespace, image, words string) func() error {
	return func() error {
		err := controller.Admit(t.Context(), namespace, image)
		if !trust.Denied(err, trust.ImageWebhook) || !strings.Contains(err.Error(), words) {
			return fmt.Errorf("the answer is %w, want the refusal of %s with %q", orAdmitted(err), trust.ImageWebhook, words)
		}
		return nil
	}
}

func orAdmitted(err error) error {
	if err == nil {
		return fmt.Errorf("admission")
	}
	return err
}

// settle is how long a changed policy may take to be in force.
const settle = 10 * time.Second

func TestPodsAreAdmittedWhoseImageIsSigned(t *testing.T) {
	registry, cosign := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), trust.NewCosign(t.Context(), t)
	key, other := cosign.KeyPair(t.Context(), t), cosign.KeyPair(t.Context(), t)
	namespace := cluster.Namespace(t, nil)
	signed, unsigned, foreign := registry.Push(t.Context(), t, "app/web"), registry.Push(t.Context(), t, "app/web"), registry.Push(t.Context(), t, "app/web")
	if err := cosign.Sign(t.Context(), key, signed, ""); err != nil {
		t.Fatal(err)
	}
	if err := cosign.Sign(t.Context(), other, foreign, ""); err != nil {
		t.Fatal(err)
	}
	if err := cosign.Verify(t.Context(), key.Public, signed, ""); err != nil {
		t.Error(err)
	}
	if err := cosign.Verify(t.Context(), key.Public, foreign, ""); err == nil {
		t.Error("cosign took the signature of another key")
	}
	within(t, settle, refused(t, namespace, signed.String(), "no matching policies"))
	apply(t, "signed", policy("signed", registry.Host, []authority{{name: "key", key: key}}, ""))
	t.Logf("a new policy in force after %v", within(t, settle, admitted(t, namespace, signed.String())))
	for image, words := range map[string]string{unsigned.String(): "no signatures found", foreign.String(): "no matching signatures"} {
		if err := refused(t, namespace, image, words)(); err != nil {
			t.Error(err)
		}
	}
	if _, err := cluster.Client().CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: signed.String()}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Errorf("a pod, not only its dry run: %v", err)
	}
}

func TestTagsBecomeDigestsAndExcludedNamespacesAreLeftAlone(t *testing.T) {
	registry, cosign := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), trust.NewCosign(t.Context(), t)
	key := cosign.KeyPair(t.Context(), t)
	image := registry.Push(t.Context(), t, "app/web")
	if err := cosign.Sign(t.Context(), key, image, ""); err != nil {
		t.Fatal(err)
	}
	apply(t, "tags", policy("tags", registry.Host, []authority{{name: "key", key: key}}, ""))
	namespace := cluster.Namespace(t, nil)
	within(t, settle, admitted(t, namespace, image.String()))
	tag := registry.Host + "/app/web:latest"
	pod, err := cluster.Client().CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: tag}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := pod.Spec.Containers[0].Image, tag+"@"+image.DigestStr(); got != want {
		t.Errorf("the pod's image is %s, want %s", got, want)
	}
	excluded := cluster.Namespace(t, map[string]string{trust.ExcludeLabel: "true"})
	if err := controller.Admit(t.Context(), excluded, registry.Push(t.Context(), t, "app/web").String()); err != nil {
		t.Errorf("an unsigned image in an excluded namespace: %v", err)
	}
}

func TestSignaturesInAnotherRepositoryAreFound(t *testing.T) {
	registry, signatures := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), trust.StartRegistry(t.Context(), t, trust.RegistryOptions{})
	cosign := trust.NewCosign(t.Context(), t)
	key := cosign.KeyPair(t.Context(), t)
	namespace := cluster.Namespace(t, nil)
	third := signatures.Host + "/third/party"
	image, beside := registry.Push(t.Context(), t, "upstream/tool"), registry.Push(t.Context(), t, "upstream/tool")
	if err := cosign.Sign(t.Context(), key, image, third); err != nil {
		t.Fatal(err)
	}
	if err := cosign.Sign(t.Context(), key, beside, ""); err != nil {
		t.Fatal(err)
	}
	apply(t, "third", policy("third", registry.Host, []authority{{name: "third", key: key, source: third}}, ""))
	within(t, settle, admitted(t, namespace, image.String()))
	if err := refused(t, namespace, beside.String(), "")(); err != nil {
		t.Errorf("signed beside the image only: %v", err)
	}
	signatures.Stop()
	if err := refused(t, namespace, image.String(), "")(); err != nil {
		t.Errorf("with the registry of signatures down: %v", err)
	}
	if err := signatures.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, settle, admitted(t, namespace, image.String()))
}

func TestAReplacedPolicyIsInForceWithinSeconds(t *testing.T) {
	registry, cosign := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), trust.NewCosign(t.Context(), t)
	older, newer := cosign.KeyPair(t.Context(), t), cosign.KeyPair(t.Context(), t)
	namespace := cluster.Namespace(t, nil)
	before, after := registry.Push(t.Context(), t, "app/web"), registry.Push(t.Context(), t, "app/web")
	if err := cosign.Sign(t.Context(), older, before, ""); err != nil {
		t.Fatal(err)
	}
	if err := cosign.Sign(t.Context(), newer, after, ""); err != nil {
		t.Fatal(err)
	}
	apply(t, "rotated", policy("rotated", registry.Host, []authority{{name: "v1", key: older}}, ""))
	within(t, settle, admitted(t, namespace, before.String()))
	if err := refused(t, namespace, after.String(), "")(); err != nil {
		t.Error(err)
	}
	if err := controller.ApplyPolicy(t.Context(), policy("rotated", registry.Host, []authority{{name: "v1", key: older}, {name: "v2", key: newer}}, ""), false); err != nil {
		t.Fatal(err)
	}
	t.Logf("two keys in force after %v", within(t, settle, admitted(t, namespace, after.String())))
	if err := controller.Admit(t.Context(), namespace, before.String()); err != nil {
		t.Errorf("during the overlap: %v", err)
	}
	if err := controller.ApplyPolicy(t.Context(), policy("rotated", registry.Host, []authority{{name: "v2", key: newer}}, ""), false); err != nil {
		t.Fatal(err)
	}
	t.Logf("the old key dead after %v", within(t, settle, refused(t, namespace, before.String(), "")))
	if err := controller.Admit(t.Context(), namespace, after.String()); err != nil {
		t.Error(err)
	}
}

func TestAPolicyRefusesAfterItsDeadline(t *testing.T) {
	registry, cosign := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), trust.NewCosign(t.Context(), t)
	key := cosign.KeyPair(t.Context(), t)
	namespace := cluster.Namespace(t, nil)
	image := registry.Push(t.Context(), t, "app/web")
	if err := cosign.Sign(t.Context(), key, image, ""); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(15 * time.Second)
	rego := fmt.Sprintf("package sigstore\ndefault isCompliant = false\nisCompliant { input.authorityMatches[\"v1\"]; time.now_ns() < %d }\n", deadline.UnixNano())
	apply(t, "deadline", policy("deadline", registry.Host, []authority{{name: "v1", key: key}}, rego))
	within(t, settle, admitted(t, namespace, image.String()))
	time.Sleep(time.Until(deadline)) // nothing else happens then
	if err := refused(t, namespace, image.String(), "")(); err != nil {
		t.Errorf("after the deadline: %v", err)
	}
}

func TestAStaticPolicyRefusesAll(t *testing.T) {
	registry := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{})
	namespace := cluster.Namespace(t, nil)
	image := registry.Push(t.Context(), t, "app/web")
	apply(t, "static", fmt.Sprintf(`
apiVersion: policy.sigstore.dev/v1beta1
kind: ClusterImagePolicy
metadata: {name: static}
spec:
  images: [{glob: "%s/**"}]
  mode: enforce
  authorities: [{name: none, static: {action: fail, message: no key is valid}}]
`, registry.Host))
	within(t, settle, refused(t, namespace, image.String(), "no key is valid"))
}

func TestPolicyControllerComesBackAfterItWasKilled(t *testing.T) {
	registry := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{})
	namespace := cluster.Namespace(t, nil)
	image := registry.Push(t.Context(), t, "app/web").String()
	apply(t, "kept", policy("kept", registry.Host, []authority{{name: "key", key: trust.NewCosign(t.Context(), t).KeyPair(t.Context(), t)}}, ""))
	within(t, settle, refused(t, namespace, image, "no signatures found"))
	controller.Kill()
	if _, err := controller.Policy(t.Context(), "kept"); err == nil || !strings.Contains(err.Error(), "conversion webhook") {
		t.Errorf("without policy-controller the policy is read with %v, want that it could not be converted", err)
	}
	err := controller.Admit(t.Context(), namespace, image)
	if err == nil || trust.Denied(err, trust.ImageWebhook) || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("without policy-controller the answer is %v, want that the webhook could not be called", err)
	}
	start := time.Now()
	if err := controller.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("back after %v", time.Since(start))
	if err := refused(t, namespace, image, "no signatures found")(); err != nil {
		t.Error(err)
	}
	if err := controller.AwaitPolicy(t.Context(), "kept"); err != nil { // policies' status is written again, too
		t.Error(err)
	}
}
