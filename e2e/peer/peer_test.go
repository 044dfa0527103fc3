//go:build e2e

package peer_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

func TestInfluxDBAnswersItsOwnShell(t *testing.T) {
	db := peer.StartInfluxDB(t.Context(), t, "")
	_, port, _ := strings.Cut(strings.TrimPrefix(db.URL, "http://"), ":")
	out, err := exec.CommandContext(t.Context(), db.Shell, "-host", "127.0.0.1", "-port", port, "-execute", "SHOW DATABASES").CombinedOutput()
	if err != nil {
		t.Fatalf("influx: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "name: databases") {
		t.Errorf("influx answered %q", out)
	}
}
