//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

func peerProgram(t testing.TB, name, command string) string {
	t.Helper()
	dir, err := peer.Build(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return peer.Executable(dir, command)
}

// telegraf runs Telegraf once with a configuration, the node's token in its environment.
func telegraf(t *testing.T, n *process, config string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "telegraf.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(peerProgram(t, "telegraf", "telegraf"), "--config", path, "--once")
	cmd.Env = append(os.Environ(), "INFLUX_TOKEN="+n.token)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("telegraf: %v\n%s", err, out)
	}
}

const telegrafInputs = `
[agent]
  hostname = "probe"
  metric_batch_size = 100
[[inputs.mem]]
[[inputs.exec]]
  commands = ["sh -c 'for i in 1 2 3 4 5; do echo \"pump,id=p$i bar=$i.5,on=true,n=${i}i,state=\\\"run, \\\\\\\"fine\\\\\\\"\\\"\"; done'"]
  data_format = "influx"
`

func checkTelegrafPoints(t *testing.T, n *process) {
	t.Helper()
	rows := n.query(`SELECT bar, "on", n, state, id, host FROM pump`)
	if len(rows) != 5 {
		t.Fatalf("%d rows of pump, want 5: %v", len(rows), rows)
	}
	for _, r := range rows {
		id := strings.TrimPrefix(fmt.Sprint(r[5]), "p")
		if fmt.Sprint(r[1]) != id+".5" || r[2] != true || fmt.Sprint(r[3]) != id || r[4] != `run, "fine"` || r[6] != "probe" {
			t.Errorf("row %v", r)
		}
	}
	if rows := n.query(`SELECT total, used_percent FROM mem`); len(rows) == 0 {
		t.Error("no mem metrics arrived")
	}
}

func TestTelegrafWritesByItsV2Output(t *testing.T) {
	n := startNode(t, "").setup("org", "plant")
	telegraf(t, n, telegrafInputs+fmt.Sprintf(`
[[outputs.influxdb_v2]]
  urls = [%q]
  token = "$INFLUX_TOKEN"
  organization = "org"
  bucket = "plant"
`, n.url("")))
	checkTelegrafPoints(t, n)
}

// Telegraf's 1.x output creates its database at start, unless there is one of the name.
func TestTelegrafWritesByItsV1Output(t *testing.T) {
	for _, database := range []string{"plant", "fresh"} {
		t.Run(database, func(t *testing.T) {
			n := startNode(t, "").setup("org", "plant")
			telegraf(t, n, telegrafInputs+fmt.Sprintf(`
[[outputs.influxdb]]
  urls = [%q]
  database = %q
  username = "telegraf"
  password = "$INFLUX_TOKEN"
`, n.url(""), database))
			n.bucket = database
			checkTelegrafPoints(t, n)
		})
	}
}

// An agent's metrics on one node appear on the other.
func TestTelegrafMetricsOnTheEdgeAppearOnTheCentralNode(t *testing.T) {
	edge, central, wire := pair(t)
	edge.replicateTo(central, wire.url(), nil)
	telegraf(t, edge, telegrafInputs+fmt.Sprintf("[[outputs.influxdb_v2]]\n  urls = [%q]\n  token = \"$INFLUX_TOKEN\"\n  organization = \"edge\"\n  bucket = \"plant\"\n", edge.url("")))
	eventually(t, 20*time.Second, func() error {
		if rows, err := central.tryQuery("SELECT bar FROM pump"); err != nil || len(rows) != 5 {
			return fmt.Errorf("%d rows, %v", len(rows), err)
		}
		return nil
	})
	checkTelegrafPoints(t, central)
}

func TestInfluxShellConnectsInsertsAndQueries(t *testing.T) {
	n := startNode(t, "").setup("org", "plant")
	host, port, err := net.SplitHostPort(n.addr)
	if err != nil {
		t.Fatal(err)
	}
	shell := func(args ...string) string {
		t.Helper()
		args = append([]string{"-host", host, "-port", port, "-username", "anyone", "-password", n.token}, args...)
		out, err := exec.Command(peerProgram(t, "influxdb", "influx"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("influx %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := shell("-execute", "SHOW DATABASES"); !strings.Contains(out, "plant") {
		t.Errorf("SHOW DATABASES: %s", out)
	}
	shell("-database", "plant", "-execute", `INSERT pump,id=p1 bar=1.5,n=3i 1700000000000000000`)
	if out := shell("-database", "plant", "-execute", "SELECT * FROM pump"); !strings.Contains(out, "1700000000000000000 1.5 p1 3") {
		t.Errorf("SELECT: %s", out)
	}
	if out := shell("-database", "plant", "-format", "csv", "-execute", "SHOW FIELD KEYS"); !strings.Contains(out, "pump,bar,float") {
		t.Errorf("SHOW FIELD KEYS: %s", out)
	}
	if out := shell("-database", "plant", "-format", "json", "-execute", "SELECT mean(bar) FROM pump WHERE time > 0 GROUP BY id"); !strings.Contains(out, `"tags":{"id":"p1"}`) {
		t.Errorf("GROUP BY: %s", out)
	}
}
