//go:build e2e

package operator_test

import (
	"fmt"
	"os/exec"
	"testing"
	"time"
)

// TestTelegrafTakesTheFilesOfRandomPods asks the real program about the files of the pods of the property test of package sidecar.
func TestTelegrafTakesTheFilesOfRandomPods(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^TestGeneratedFilesAreAcceptedByTelegraf$", ".",
		"-pods", "400", "-seed", fmt.Sprint(time.Now().UnixNano()), "-telegraf", telegrafPath(t))
	cmd.Dir = "../../operator/sidecar"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
