//go:build e2e

package guard_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
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

// killed runs apply step by step, says yes to each step until one that was not killed yet, and kills it that much later: before it has
// asked for anything, half way, or after it is done, when the next step has not begun. It returns that step, empty when the plan ended.
func (e *environment) killed(seen map[string]bool, after time.Duration) string {
	e.Helper()
	cmd := guardCommand(e.Context(), "recover", "apply", "--step", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml"))
	out, oerr := cmd.StdoutPipe()
	in, ierr := cmd.StdinPipe()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := errors.Join(oerr, ierr, cmd.Start()); err != nil {
		e.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "phase ")
		if !ok {
			continue
		}
		_, step, _ := strings.Cut(rest, ": ")
		if _, err := io.WriteString(in, "y\n"); err != nil {
			e.Fatal(err)
		}
		if seen[step] {
			continue
		}
		time.Sleep(after)
		if err := cmd.Process.Kill(); err != nil {
			e.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		seen[step] = true
		return step
	}
	if err := cmd.Wait(); err != nil {
		e.Fatalf("apply: %v\n%s", err, stderr.String())
	}
	return ""
}

// begun are the steps that the journal says were begun.
func (e *environment) begun() map[string]bool {
	e.Helper()
	b, err := os.ReadFile(e.path("plan.yaml.journal"))
	if err != nil {
		e.Fatal(err)
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		var entry struct{ Event, Step string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			e.Fatal(err)
		}
		if entry.Event == "start" {
			all[entry.Step] = true
		}
	}
	return all
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
		if e.killed(seen, time.Duration(rand.IntN(60))*time.Millisecond) == "" {
			break
		}
	}
	for step := range e.begun() {
		if !seen[step] {
			t.Errorf("step %s was not killed", step)
		}
	}
	t.Logf("killed at %d steps", len(seen))
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
