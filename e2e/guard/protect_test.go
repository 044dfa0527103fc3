//go:build e2e

package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/guard/protect"
)

// refused tries a deletion, as a dry run too, and wants it refused with the way out.
func (e *environment) refused(args ...string) {
	e.Helper()
	for _, more := range [][]string{{"--dry-run=server"}, {"--wait=false"}} {
		out, err := cluster.Kubectl(e.Context(), append(append([]string{"delete"}, args...), more...)...)
		if err == nil || !strings.Contains(out, "holdfast-guard protects") || !strings.Contains(out, protect.Approval) {
			e.Errorf("kubectl delete %v %v: %v: %s", args, more, err, out)
		}
	}
}

func TestTheBeltRefusesDeletionsUntilOneIsApproved(t *testing.T) {
	e := live(t, "belted", tiny)
	e.makeVolume("pv-belted-elsewhere", "data", "8c6f0a5e-0000-4000-8000-000000000004")
	belt := e.guard(0, "protect", "generate", "--namespace", e.ns, "--kind", "deployments.apps")
	e.apply(belt)
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), "delete", "validatingadmissionpolicies,validatingadmissionpolicybindings", protect.Name); err != nil {
			t.Error(err)
		}
		end := time.Now().Add(patience) // the API server forgets it a little later
		for time.Now().Before(end) {
			if _, err := cluster.Kubectl(context.Background(), "delete", "pv", "pv-belted-data-etcd-1", "--dry-run=server"); err == nil {
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
	e.await("the belt is in force", func(ctx context.Context) error {
		if out, err := cluster.Kubectl(ctx, "-n", e.ns, "delete", "sts", "etcd", "--dry-run=server"); err == nil || !strings.Contains(out, "holdfast-guard protects") {
			return fmt.Errorf("a deletion is admitted: %s", out)
		}
		return nil
	})
	e.refused("namespace", e.ns)
	e.refused("-n", e.ns, "sts", "etcd")
	e.refused("-n", e.ns, "pvc", "data-etcd-0")
	e.refused("-n", e.ns, "pvc", "--all")
	e.refused("-n", e.ns, "deployment", "queryd")
	e.refused("pv", "pv-belted-data-etcd-0")
	e.kubectl("-n", e.ns, "delete", "configmap", "settings")
	e.kubectl("-n", "argocd", "delete", "applications", e.ns, "--dry-run=server")
	e.cascade()

	approve := func(until string) {
		e.kubectl("annotate", "--overwrite", "namespace", e.ns, protect.Approval+"="+until)
	}
	now := time.Now().UTC()
	for _, until := range []string{now.Add(-time.Minute).Format(time.RFC3339), now.Add(48 * time.Hour).Format(time.RFC3339)} {
		approve(until)
		e.refused("namespace", e.ns)
	}
	approve("soon")
	if out, err := cluster.Kubectl(t.Context(), "delete", "namespace", e.ns, "--wait=false"); err == nil {
		t.Errorf("an approval that is no time counts: %s", out)
	}
	e.kubectl("-n", e.ns, "get", "sts", "etcd")
	approve(now.Add(time.Hour).Format(time.RFC3339))
	e.gone()
}

// gone deletes the namespace and waits until it is gone with all that is in it.
func (e *environment) gone() {
	e.Helper()
	e.kubectl("delete", "namespace", e.ns, "--wait=false")
	e.await("the namespace is gone", func(ctx context.Context) error {
		_, err := cluster.Client().CoreV1().Namespaces().Get(ctx, e.ns, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	})
}

// cascade deletes an owner: the garbage collector must not get at what it owns.
func (e *environment) cascade() {
	e.Helper()
	e.apply(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {namespace: %s, name: owner}}", e.ns))
	uid := e.kubectl("-n", e.ns, "get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	e.kubectl("-n", e.ns, "patch", "sts", "etcd", "--type=merge", "-p",
		fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":%q}]}}`, uid))
	e.apply(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {namespace: %s, name: canary, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: %s}]}}", e.ns, uid))
	e.kubectl("-n", e.ns, "delete", "configmap", "owner")
	e.await("the garbage collector has been there", func(ctx context.Context) error {
		_, err := cluster.Client().CoreV1().ConfigMaps(e.ns).Get(ctx, "canary", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the canary lives: %w", err)
	})
	e.kubectl("-n", e.ns, "get", "sts", "etcd")
}

func TestAnAuditNamesWhatWouldNotSurviveADeletion(t *testing.T) {
	e := live(t, "audited", tiny)
	e.kubectl("patch", "pv", "pv-audited-data-etcd-0", "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	e.kubectl("-n", e.ns, "patch", "sts", "etcd", "-p", `{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Delete"}}}`)
	e.apply("{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: audited}, provisioner: kubernetes.io/no-provisioner}")
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "delete", "storageclass", "audited") })
	var findings []protect.Finding
	if err := json.Unmarshal([]byte(e.guard(1, "protect", "audit", "--json", "--kubeconfig", cluster.Kubeconfig())), &findings); err != nil {
		t.Fatal(err)
	}
	text := e.guard(1, "protect", "audit", "--kubeconfig", cluster.Kubeconfig())
	for _, want := range []string{"PersistentVolume pv-audited-data-etcd-0", "StatefulSet audited/etcd", "StorageClass audited", "Application argocd/audited", "ValidatingAdmissionPolicyBinding"} {
		if !strings.Contains(text, want+": ") && !strings.Contains(text, want) {
			t.Errorf("the audit does not name %s:\n%s", want, text)
		}
	}
	for _, f := range findings {
		if f.Name == "pv-audited-data-etcd-1" || f.Name == "disks" {
			t.Errorf("the audit names %s, which is Retain", f.Name)
		}
	}
}
