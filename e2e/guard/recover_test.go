//go:build e2e

package guard_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// production has 60 volumes.
var production = []set{
	{name: "etcd", replicas: 3, templates: []string{"data"}},
	{name: "zookeeper", replicas: 3, templates: []string{"data"}, parallel: true},
	{name: "kafka", replicas: 6, templates: []string{"data"}},
	{name: "storage-0-a", replicas: 6, templates: []string{"data", "wal"}, group: "g0", parallel: true},
	{name: "storage-0-b", replicas: 6, templates: []string{"data", "wal"}, group: "g0", parallel: true},
	{name: "storage-1-a", replicas: 6, templates: []string{"data", "wal"}, group: "g1", parallel: true},
	{name: "storage-1-b", replicas: 6, templates: []string{"data", "wal"}, group: "g1", parallel: true},
}

func TestAnEnvironmentComesBackOnItsOwnSixtyVolumesInOrder(t *testing.T) {
	e := live(t, "production", production)
	if n := len(e.claims()); n != 60 {
		t.Fatalf("the environment has %d volumes", n)
	}
	e.guard(0, "snapshot", "--kubeconfig", cluster.Kubeconfig(), e.path("snapshots"))
	e.lose()
	h := e.record()
	begin := time.Now()
	e.plan(4, "--snapshot", e.path("snapshots"))
	again := e.guard(4, "recover", "plan", "--kubeconfig", cluster.Kubeconfig(), "--manifests", e.path("manifests"), "--namespace", e.ns,
		"--policy", e.path("policy.yaml"), "--snapshot", e.path("snapshots"), "--output", e.path("again.yaml"))
	sameFile(t, e.path("plan.yaml"), e.path("again.yaml"), again)
	e.guard(0, "recover", "apply", "--dry-run", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml"))
	if _, err := os.Stat(e.path("plan.yaml.journal")); err == nil {
		t.Error("a dry run left a journal")
	}
	e.answer("secret/production/from-outside", "made")
	if out := e.recover(4); !strings.Contains(out, "Secret production/from-outside is not there") || !strings.Contains(out, "[password]") {
		t.Errorf("it does not say which Secret is missing, with its keys:\n%s", out)
	}
	e.secret()
	if out := e.recover(4); !strings.Contains(out, "git/mended") {
		t.Errorf("controllers come back without a question:\n%s", out)
	}
	e.answer("git/mended", "mended")
	e.answer("sync/argocd/production", "sync-and-prune")
	e.recover(0)
	took := time.Since(begin)
	t.Logf("recovered after %v", took.Round(time.Second/10))
	if took > 10*time.Minute {
		t.Errorf("it took %v", took)
	}
	e.whole()
	e.running()
	e.guard(0, "recover", "verify", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml"))
	h.inOrder()
	if out := e.kubectl("-n", "argocd", "get", "application", e.ns, "-o", "jsonpath={.spec.syncPolicy.automated}"); out != `{"prune":true,"selfHeal":true}` {
		t.Errorf("the Application syncs as %s", out)
	}
	if out := e.guard(0, "recover", "runbook", e.path("plan.yaml")); !strings.Contains(out, "pv-production-data-kafka-5") || !strings.Contains(out, "## Phase 6") {
		t.Errorf("the runbook lacks a volume or a phase")
	}
}

func sameFile(t *testing.T, a, b, out string) {
	t.Helper()
	x, xerr := os.ReadFile(a)
	y, yerr := os.ReadFile(b)
	if xerr != nil || yerr != nil || string(x) != string(y) {
		t.Errorf("two plans of the same differ: %v %v\n%s", xerr, yerr, out)
	}
}

func (h *history) inOrder() {
	t := h.e
	t.Helper()
	for _, s := range h.e.sets {
		for _, tpl := range s.templates {
			for i := range s.replicas {
				claim, pod := fmt.Sprintf("%s-%s-%d", tpl, s.name, i), fmt.Sprintf("%s-0", s.name)
				h.before("Bound "+claim, "pod "+pod)
			}
		}
	}
	for i := 1; i < 6; i++ {
		h.before(fmt.Sprintf("Ready kafka-%d", i-1), fmt.Sprintf("pod kafka-%d", i))
	}
	for _, chain := range [][2]string{
		{"Ready etcd-2", "pod zookeeper-0"}, {"Ready zookeeper-2", "pod kafka-0"}, {"Ready kafka-5", "deployment gateway-write"},
		{"deployment gateway-write 4", "pod storage-0-a-0"}, {"Ready storage-0-a-5", "pod storage-0-b-0"}, {"Ready storage-1-a-5", "pod storage-0-b-0"},
		{"Ready storage-1-b-5", "probes kafka"}, {"probes kafka", "deployment queryd"}, {"frozen argocd-application-controller", "Bound data-etcd-0"},
		{"probes kafka", "thawed argocd-application-controller"}, {"Ready storage-1-b-5", "thawed argocd-application-controller"},
		{"deployment queryd", "cron report runs"}, {"cron report suspended", "Bound data-etcd-0"}, {"deployment gateway-write 4", "deployment gateway-write 2"},
		{"cron report runs", "syncs " + h.e.ns}, {"bare kafka", "probes kafka"}, {"bare etcd", "probes etcd"},
	} {
		h.before(chain[0], chain[1])
	}
}
