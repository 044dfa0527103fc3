package peer

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// InfluxDB is a running InfluxDB 1.8.10 without authentication, on a port of its own.
type InfluxDB struct {
	*Process
	// URL is where it answers: http://127.0.0.1:port.
	URL string
	// Shell is the path of the influx command that belongs to it.
	Shell string
}

const influxdbConfig = `reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = %[1]q
[data]
  dir = %[2]q
  wal-dir = %[3]q
  series-id-set-cache-size = 100
  %[4]s
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:0"
  log-enabled = false
[logging]
  format = "logfmt"
`

var influxdbReady = regexp.MustCompile(`msg="Listening on HTTP".* addr=(\S+)`)

// StartInfluxDB builds InfluxDB 1.8.10 if need be and runs it, with its data in a folder of the test, until the test ends.
// data is added to the [data] table of its configuration.
func StartInfluxDB(ctx context.Context, t testing.TB, data string) *InfluxDB {
	t.Helper()
	bin, err := Build(ctx, "influxdb")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "influxdb.conf")
	text := fmt.Sprintf(influxdbConfig, filepath.Join(dir, "meta"), filepath.Join(dir, "data"), filepath.Join(dir, "wal"), data)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	db := &InfluxDB{Shell: Executable(bin, "influx")}
	cmd := exec.Command(Executable(bin, "influxd"), "-config", config)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	db.Process = Start(ready, t, cmd, func(line string) bool {
		m := influxdbReady.FindStringSubmatch(line)
		if m == nil {
			return false
		}
		db.URL = "http://" + m[1]
		return true
	})
	if err := db.ping(ready); err != nil {
		t.Fatalf("InfluxDB does not answer: %v\n%s", err, db.Log())
	}
	return db
}

func (db *InfluxDB) ping(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, db.URL+"/ping", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("/ping answered %s", resp.Status)
	}
	return nil
}
