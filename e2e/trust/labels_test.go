//go:build e2e

package trust_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

// knativeLabel exempts a namespace, whatever the webhooks' selectors are.
const knativeLabel = "webhooks.knative.dev/exclude"

// grant gives a user of the tests verbs on namespaces.
func grant(t *testing.T, user string, verbs ...string) {
	t.Helper()
	rbac := cluster.Client().RbacV1()
	meta := metav1.ObjectMeta{Name: "test-" + user}
	if _, err := rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: verbs}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	deleteAtEnd(t, "clusterrole/"+meta.Name, "clusterrolebinding/"+meta.Name)
}

// label sets a label on a namespace as a user.
func label(t *testing.T, user, namespace, name, value string) error {
	t.Helper()
	config, err := cluster.UserConfig(user)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, []byte(`{"metadata":{"labels":{"`+name+`":"`+value+`"}}}`), metav1.PatchOptions{})
	return err
}

func TestOnlyWhoMayExemptsANamespace(t *testing.T) {
	file := filepath.Join(abs(t, deploy), "policy-controller", "namespace-labels.yaml")
	if _, err := cluster.Kubectl(t.Context(), "apply", "-f", file); err != nil {
		t.Fatal(err)
	}
	deleteAtEnd(t, "-f", file)
	grant(t, "someone", "get", "patch")
	grant(t, "rescuer", "get", "patch", "exempt")
	namespace := cluster.Namespace(t, nil)
	refused := func(err error) bool {
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exempts a namespace")
	}
	within(t, time.Minute, func() error { // a new policy takes a moment
		err := label(t, "someone", namespace, trust.ExcludeLabel, "true")
		if refused(err) {
			return nil
		}
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "label", "namespace", namespace, trust.ExcludeLabel+"-"); err != nil {
			t.Fatal(err)
		}
		return orAdmitted(err)
	})
	if err := label(t, "someone", namespace, knativeLabel, ""); !refused(err) {
		t.Errorf("%s: %v", knativeLabel, err)
	}
	if err := label(t, "someone", namespace, "team", "a"); err != nil {
		t.Errorf("another label: %v", err)
	}
	for _, name := range []string{trust.ExcludeLabel, knativeLabel} {
		if err := label(t, "rescuer", namespace, name, "true"); err != nil {
			t.Errorf("%s, by who may: %v", name, err)
		}
	}
	if err := label(t, "someone", namespace, "team", "b"); err != nil { // it is exempt already
		t.Errorf("another label of an exempt namespace: %v", err)
	}
}

// A label that is not of policy-controller's selector exempts a namespace all the same, which is why it is guarded.
func TestTheLibrarysLabelExemptsToo(t *testing.T) {
	image := "127.0.0.1:1/none@sha256:" + strings.Repeat("0", 64)
	namespace := cluster.Namespace(t, map[string]string{knativeLabel: "true"})
	if err := controller.Admit(t.Context(), namespace, image); err != nil {
		t.Errorf("in a namespace with %s: %v", knativeLabel, err)
	}
	if err := controller.Admit(t.Context(), cluster.Namespace(t, nil), image); !trust.Denied(err, trust.ImageWebhook) {
		t.Errorf("in another: %v", err)
	}
}
