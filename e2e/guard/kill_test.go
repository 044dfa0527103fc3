//go:build e2e

package guard_test

import (
	"bufio"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// small has a set of each class.
var small = []set{
	{name: "etcd", replicas: 3, templates: []string{"data"}},
	{name: "zookeeper", replicas: 1, templates: []string{"data"}},
	{name: "kafka", replicas: 2, templates: []string{"data"}},
	{name: "storage", replicas: 2, templates: []string{"data"}, parallel: true},
}

// killed runs apply until it begins or ends a step for the first time, and kills it that much later. It returns that, empty
// when the plan ended before.
func (e *environment) killed(seen map[string]bool, after time.Duration) string {
	e.Helper()
	cmd := guardCommand(e.Context(), "recover", "apply", "--yes", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		e.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		e.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	step := ""
	for step == "" && lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) > 3 && (f[2] == "start" || f[2] == "done") && !seen[f[2]+" "+f[3]] {
			step = f[2] + " " + f[3]
		}
	}
	if step == "" {
		if err := cmd.Wait(); err != nil {
			e.Fatalf("apply: %v\n%s", err, stderr.String())
		}
		return ""
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		e.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	seen[step] = true
	return step
}

// uids are those of the claims.
func (e *environment) uids() map[string]string {
	l, err := cluster.Client().CoreV1().PersistentVolumeClaims(e.ns).List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range l.Items {
		all[c.Name] = string(c.UID)
	}
	return all
}

func TestARecoveryKilledAtEveryStepEndsTheSame(t *testing.T) {
	e := live(t, "killed", small)
	e.lose()
	e.plan(4)
	e.answer("secret/killed/from-outside", "later")
	e.answer("git/mended", "mended")
	e.answer("sync/argocd/killed", "sync-and-prune")
	h := e.record()
	seen := map[string]bool{}
	for len(seen) < 1000 {
		// Some are killed before they have asked for anything, some while they wait, some after.
		if e.killed(seen, time.Duration(rand.IntN(60))*time.Millisecond) == "" {
			break
		}
	}
	t.Logf("killed %d times", len(seen))
	if len(seen) < 50 {
		t.Errorf("it was killed %d times only", len(seen))
	}
	e.secret()
	e.whole()
	e.running()
	e.guard(0, "recover", "verify", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml"))
	for _, s := range small {
		for _, c := range e.claims() {
			if strings.HasPrefix(c, "data-"+s.name+"-") {
				h.before("Bound "+c, "pod "+s.name+"-0")
			}
		}
	}
	h.before("Ready kafka-0", "pod kafka-1")
	h.before("Ready etcd-2", "pod zookeeper-0")

	claims := e.uids()
	if err := os.Remove(e.path("plan.yaml.journal")); err != nil {
		t.Fatal(err)
	}
	e.recover(0)
	e.whole()
	for name, uid := range e.uids() {
		if claims[name] != uid {
			t.Errorf("claim %s was made again when the journal was lost", name)
		}
	}
}
