//go:build e2e

package guard_test

import (
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

func TestAPlanIsRehearsedInAnEmptyClusterAndInNoOther(t *testing.T) {
	e := live(t, "rehearsed", small)
	e.guard(0, "snapshot", "--kubeconfig", cluster.Kubeconfig(), e.path("snapshots"))
	e.plan(4, "--snapshot", e.path("snapshots")) // of what still runs: "if this were lost now"
	before := e.disks()
	if out := e.guard(1, "recover", "rehearse", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml")); !strings.Contains(out, "is not empty") {
		t.Errorf("it rehearses in a cluster that is used: %s", out)
	}
	scratch, err := kube.Start(t.Context(), kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := scratch.Stop(); err != nil {
			t.Error(err)
		}
	})
	if out := e.guard(0, "recover", "rehearse", "--kubeconfig", scratch.Kubeconfig(), e.path("plan.yaml")); !strings.Contains(out, "ok: the rehearsal ends as the plan says") {
		t.Error(out)
	}
	if out, err := scratch.Kubectl(t.Context(), "-n", e.ns, "get", "pvc", "data-kafka-1", "-o", "jsonpath={.spec.volumeName} {.status.phase}"); err != nil || out != e.volume("data-kafka-1")+" Bound" {
		t.Errorf("in the rehearsal the claim is %q: %v", out, err)
	}
	if e.disks() != before {
		t.Error("the rehearsal has changed the volumes of the cluster")
	}
}

func TestAPlanWithoutItsAnswersIsNotRehearsed(t *testing.T) {
	e := live(t, "incomplete", tiny)
	e.lose()
	e.kubectl("delete", "pv", "pv-incomplete-data-etcd-1")
	if out := e.plan(4); !strings.Contains(out, "missing/incomplete/etcd") {
		t.Errorf("a lost volume is not asked about: %s", out)
	}
	scratch, err := kube.Start(t.Context(), kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := scratch.Stop(); err != nil {
			t.Error(err)
		}
	})
	if out := e.guard(4, "recover", "rehearse", "--kubeconfig", scratch.Kubeconfig(), e.path("plan.yaml")); !strings.Contains(out, "must not be mixed") {
		t.Errorf("it does not warn of mixed members: %s", out)
	}
}
