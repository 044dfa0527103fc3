//go:build e2e

package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// wide has many claims, which are bound beside each other.
var wide = []set{
	{name: "etcd", replicas: 1, templates: []string{"data"}},
	{name: "storage", replicas: 12, templates: []string{"data", "wal"}, parallel: true},
}

// rebinds says of the journal how many claims were bound, and which were begun and are not.
func (e *environment) rebinds() (bound int, open []string) {
	b, err := os.ReadFile(e.path("plan.yaml.journal"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		e.Fatal(err)
	}
	state := map[string]string{}
	for line := range strings.Lines(string(b)) {
		var entry struct{ Event, Step string }
		if json.Unmarshal([]byte(line), &entry) == nil && strings.Contains(entry.Step, "rebind/") { // the last line may be half written
			state[entry.Step] = entry.Event
		}
	}
	for step, event := range state {
		if event == "done" {
			bound++
		} else {
			open = append(open, step)
		}
	}
	return bound, open
}

// killedBeside runs apply unattended and kills it once so many claims are bound and others are under way beside each other. It returns how
// many those were, 0 when the run ended before.
func (e *environment) killedBeside(bound int) int {
	e.Helper()
	cmd := guardCommand(e.Context(), "recover", "apply", "--yes", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml"))
	if err := cmd.Start(); err != nil {
		e.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	beside := 0
	e.await(fmt.Sprintf("%d claims are bound and others under way", bound), func(context.Context) error {
		for {
			if done, open := e.rebinds(); done >= bound && len(open) > 1 {
				beside = len(open)
				return nil
			}
			select {
			case <-ended:
				return nil
			case <-e.Context().Done():
				return e.Context().Err()
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	_ = cmd.Process.Kill() // it may have ended just now
	<-ended
	return beside
}

func TestAnUnattendedRecoveryKilledWithStepsBesideEachOtherEndsTheSame(t *testing.T) {
	e := live(t, "beside", wide)
	e.lose()
	e.plan(4)
	e.answer("secret/beside/from-outside", "later")
	e.answer("git/mended", "mended")
	e.answer("sync/argocd/beside", "sync")
	h := e.record()
	kills := 0
	for bound := 1; bound < len(e.claims()); bound += 4 {
		if n := e.killedBeside(bound); n > 0 {
			kills++
			t.Logf("killed with %d claims bound or more, and %d under way", bound, n)
		}
	}
	if kills < 2 {
		t.Errorf("it was killed %d times only", kills)
	}
	e.secret()
	e.recover(0)
	e.whole()
	e.running()
	e.guard(0, "recover", "verify", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml"))
	for _, c := range e.claims() {
		h.before("Bound "+c, "pod storage-0")
	}
}
