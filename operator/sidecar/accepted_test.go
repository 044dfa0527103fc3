package sidecar_test

import (
	"errors"
	"flag"
	"fmt"
	"testing"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

var telegraf = flag.String("telegraf", "", "path of a telegraf that is asked about the files of random pods, 40 pods at a time")

// TestGeneratedFilesAreAcceptedByTelegraf has the real program take the generated files of random pods. e2e/operator runs it with one.
func TestGeneratedFilesAreAcceptedByTelegraf(t *testing.T) {
	if *telegraf == "" {
		t.Skip("the real Telegraf is named by -telegraf: e2e/operator, which has one built, runs this test with it")
	}
	asked := 0
	var batch []agent.File
	ask := func() {
		err := agent.NewExec(*telegraf).Check(t.Context(), batch)
		if err != nil && !errors.As(err, new(*agent.Unjudged)) { // the pods' certificates are not here
			t.Fatalf("%v\n%s", err, batch)
		}
		asked += len(batch)
		batch = nil
	}
	for n := range *pods {
		in, err := builder().Inject(newGenerator(*seed+int64(n)).pod(t), "ns")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range in.Outcomes {
			if o.Reason == sidecar.Injected && o.Agent == v1alpha1.AgentTelegraf {
				batch = append(batch, agent.File{Name: fmt.Sprintf("pod-%05d-%s.conf", n, o.Container), Text: []byte(o.Files[0].Text)})
			}
		}
		if len(batch) >= 40 {
			ask()
		}
	}
	if len(batch) > 0 {
		ask()
	}
	if t.Logf("seed %d: Telegraf takes %d files", *seed, asked); asked < *pods/10 {
		t.Errorf("%d pods have %d files: they are not random enough", *pods, asked)
	}
}
