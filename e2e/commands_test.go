//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shell runs the command line of the built program, with profiles of its own.
type shell struct {
	t       testing.TB
	program string
	env     []string
}

// newShell calls the program by name, which is its own or that of a link to it.
func newShell(t testing.TB, name string) *shell {
	t.Helper()
	dir := t.TempDir()
	s := &shell{t: t, program: program(t), env: []string{"HOME=" + dir, "INFLUX_CONFIGS_PATH=" + filepath.Join(dir, "configs")}}
	if name != "holdfast" {
		s.program = linked(t, name)
	}
	return s
}

// linked returns a symlink to the program under another name.
func linked(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(program(t), path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *shell) try(stdin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(s.program, args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.env, strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// run requires success and returns what was printed.
func (s *shell) run(args ...string) string {
	s.t.Helper()
	out, errs, code := s.try("", args...)
	if code != 0 {
		s.t.Fatalf("%s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// into decodes the JSON that a command prints.
func (s *shell) into(v any, args ...string) {
	s.t.Helper()
	out := s.run(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		s.t.Fatalf("%s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// fails requires exit code 1 and a text on stderr.
func (s *shell) fails(text string, args ...string) {
	s.t.Helper()
	out, errs, code := s.try("", args...)
	if code != 1 || !strings.Contains(errs, text) {
		s.t.Fatalf("%s: exit code %d, want 1; stderr %q, want %q in it; stdout %q", strings.Join(args, " "), code, errs, text, out)
	}
}

// thing is what commands print of a resource.
type thing struct {
	ID, Name, Token, Username, Database  string
	LatestResponseCode                   int
	LatestErrorMessage                   string
	RemainingBytesToBeSynced, PointsSent int64
	State, Reason                        string
}

// id returns the ID of what a create command made.
func (s *shell) id(args ...string) string {
	s.t.Helper()
	var v thing
	s.into(&v, args...)
	if len(v.ID) != 16 {
		s.t.Fatalf("%s: ID %q", strings.Join(args, " "), v.ID)
	}
	return v.ID
}

// idOf returns the ID of the only one that a list command prints.
func (s *shell) idOf(args ...string) string {
	s.t.Helper()
	return s.list(args...)[0].ID
}

func (s *shell) list(args ...string) []thing {
	s.t.Helper()
	var v []thing
	s.into(&v, args...)
	if len(v) == 0 {
		s.t.Fatalf("%s: the list is empty", strings.Join(args, " "))
	}
	return v
}

func (s *shell) column(query, bucket, profile string) []string {
	s.t.Helper()
	out := s.run("query", "-c", profile, "-b", bucket, "--csv", query)
	var values []string
	for i, row := range strings.Split(strings.TrimSpace(out), "\n") {
		if cells := strings.Split(row, ","); i > 0 && row != "" {
			values = append(values, cells[len(cells)-1])
		}
	}
	return values
}

// onboard sets two nodes up by command and makes edge the active profile.
func (s *shell) onboard(edge, central *process) {
	s.t.Helper()
	for name, p := range map[string]*process{"edge": edge, "central": central} {
		out := s.run("setup", "-f", "--host", p.url(""), "-u", "admin", "-p", "password1", "-o", name, "-b", "plant", "-r", "0", "-n", name)
		if !strings.Contains(out, "admin") || !strings.Contains(out, "plant") {
			s.t.Fatalf("setup printed %q", out)
		}
	}
	s.run("config", "edge")
	s.run("ping")
	s.fails("already been set up", "setup", "-f", "--host", edge.url(""), "-u", "admin", "-p", "password1", "-o", "edge", "-b", "plant", "-n", "again")
}

// replicate makes remote and replication by command and returns their IDs.
func (s *shell) replicate(central *process) (remote, replication string) {
	s.t.Helper()
	token := s.id2token("auth", "create", "-c", "central", "--all-access", "-d", "for the edge")
	remote = s.id("remote", "create", "-n", "central", "--remote-url", central.url(""), "--remote-api-token", token,
		"--remote-org-id", s.idOf("org", "list", "-c", "central", "-n", "central"))
	replication = s.id("replication", "create", "-n", "to-central", "--remote-id", remote,
		"--local-bucket-id", s.idOf("bucket", "list", "-n", "plant"),
		"--remote-bucket-id", s.idOf("bucket", "list", "-c", "central", "-n", "plant"))
	return remote, replication
}

func (s *shell) id2token(args ...string) string {
	s.t.Helper()
	var v thing
	s.into(&v, args...)
	return v.Token
}

func inBoth(t *testing.T, f func(t *testing.T, s *shell)) {
	for _, name := range []string{"holdfast", "influx"} {
		t.Run(name, func(t *testing.T) { f(t, newShell(t, name)) })
	}
}

func TestTwoNodesAreSetUpAndReplicateByCommandAlone(t *testing.T) {
	inBoth(t, func(t *testing.T, s *shell) {
		edge, central := startNode(t, ""), startNode(t, "")
		s.onboard(edge, central)
		remote, replication := s.replicate(central)
		if out := s.run("remote", "list"); !strings.Contains(out, remote) || strings.Contains(out, "REDACTED") {
			t.Errorf("remote list: %s", out)
		}
		s.run("write", "-b", "plant", "-p", "s", "pump,id=p1 bar=3.5 1700000000")
		s.run("write", "-b", "plant", "-p", "s", "pump,id=p1 bar=4.5 1700000010\npump,id=p2 bar=1 1700000020")
		eventually(t, 20*time.Second, func() error {
			if got := s.column("SELECT bar FROM pump", "plant", "central"); !slices.Equal(got, []string{"3.5", "4.5", "1"}) {
				return fmt.Errorf("central holds %v", got)
			}
			return nil
		})
		eventually(t, 10*time.Second, func() error {
			if r := s.list("replication", "list")[0]; r.ID != replication || r.LatestResponseCode != 204 || r.RemainingBytesToBeSynced != 0 {
				return fmt.Errorf("replication list: %+v", r)
			}
			return nil
		})
		s.run("delete", "-b", "plant", "--start", "1970-01-01T00:00:00Z", "--stop", "2030-01-01T00:00:00Z", "-p", `_measurement="pump" AND id="p1"`)
		if got := s.column("SELECT bar FROM pump", "plant", "edge"); !slices.Equal(got, []string{"1"}) {
			t.Errorf("after the delete the edge holds %v", got)
		}
		s.run("replication", "delete", "-i", replication)
		s.run("remote", "delete", "-i", remote)
		if out := s.run("replication", "list", "--json"); strings.TrimSpace(out) != "[]" {
			t.Errorf("replications after the delete: %s", out)
		}
	})
}

func TestBucketsOfMoreThanOnePageAreListedByCommand(t *testing.T) {
	inBoth(t, func(t *testing.T, s *shell) {
		s.onboard(startNode(t, ""), startNode(t, ""))
		var want []string
		for i := range 43 {
			want = append(want, fmt.Sprintf("b%02d", i))
			s.id("bucket", "create", "-n", want[i], "-r", "2d")
		}
		var got []string
		for _, b := range s.list("bucket", "list") {
			if strings.HasPrefix(b.Name, "b") {
				got = append(got, b.Name)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("listed %v", got)
		}
		s.fails("already exists", "bucket", "create", "-n", "b00")
		s.run("bucket", "update", "-i", s.idOf("bucket", "list", "-n", "b01"), "-n", "renamed", "-r", "4h")
		s.run("bucket", "delete", "-n", "b02", "-o", "edge")
		s.fails("not found", "bucket", "list", "-n", "b02")
		if out := s.run("bucket", "list", "-n", "renamed"); !strings.Contains(out, "4h0m0s") {
			t.Errorf("bucket list: %s", out)
		}
	})
}

func TestATokenThatMayOnlyReadDoesNotWriteByCommand(t *testing.T) {
	inBoth(t, func(t *testing.T, s *shell) {
		s.onboard(startNode(t, ""), startNode(t, ""))
		s.run("write", "-b", "plant", "-p", "s", "m v=1 1700000000")
		other := s.id("bucket", "create", "-n", "other")
		read := s.id2token("auth", "create", "--read-bucket", s.idOf("bucket", "list", "-n", "plant"))
		if got := s.run("query", "-b", "plant", "-t", read, "SELECT v FROM m"); !strings.Contains(got, "2023-11-14T22:13:20Z") {
			t.Errorf("read by the token: %s", got)
		}
		s.fails("insufficient permissions for write", "write", "-b", "plant", "-t", read, "m v=2")
		s.fails("", "write", "--bucket-id", other, "-t", read, "m v=2")
		s.fails("unauthorized", "write", "-b", "plant", "-t", "nonsense", "m v=2")
		if got := s.column("SELECT v FROM m", "plant", "edge"); !slices.Equal(got, []string{"1"}) {
			t.Errorf("the bucket holds %v", got)
		}
		if out := s.run("auth", "list"); strings.Contains(out, read) {
			t.Error("auth list shows a token")
		}
		auths := s.list("auth", "list")
		last := auths[len(auths)-1].ID
		s.run("auth", "inactive", "-i", last)
		s.fails("", "query", "-b", "plant", "-t", read, "SELECT v FROM m")
		s.run("auth", "active", "-i", last)
		s.run("query", "-b", "plant", "-t", read, "SELECT v FROM m")
		s.run("auth", "delete", "-i", last)
		s.fails("", "query", "-b", "plant", "-t", read, "SELECT v FROM m")
	})
}

func TestOrganizationsUsersAndVersion1AreAdministeredByCommand(t *testing.T) {
	inBoth(t, func(t *testing.T, s *shell) {
		edge := startNode(t, "")
		s.onboard(edge, startNode(t, ""))
		org := s.id("org", "create", "-n", "second")
		s.run("org", "update", "-i", org, "-n", "renamed")
		s.run("user", "create", "-n", "operator", "-p", "password2", "-o", "renamed")
		if out := s.run("org", "members", "list", "-n", "renamed"); !strings.Contains(out, "operator") {
			t.Errorf("members: %s", out)
		}
		s.run("user", "delete", "-i", s.idOf("user", "list", "-n", "operator"))
		s.run("org", "delete", "-i", org)
		s.fails("not found", "org", "list", "-n", "renamed")

		bucket := s.idOf("bucket", "list", "-n", "plant")
		s.run("v1", "dbrp", "create", "--db", "telegraf", "--rp", "autogen", "--bucket-id", bucket, "--default")
		if out := s.run("v1", "dbrp", "list"); !strings.Contains(out, "telegraf") {
			t.Errorf("dbrp list: %s", out)
		}
		s.run("v1", "auth", "create", "--username", "old", "--password", "password3", "--read-bucket", bucket)
		s.fails("", "v1", "auth", "create", "--username", "old", "--password", "password3", "--read-bucket", bucket)
		if got := s.list("v1", "auth", "list"); len(got) != 1 {
			t.Errorf("v1 auth list: %+v", got)
		}
		s.run("write", "-b", "plant", "-p", "s", "m v=1 1700000000")
		if status, body := edge.version1("old", "password3", "GET", "/query?db=telegraf&q=SELECT+v+FROM+m", ""); status != 200 || !strings.Contains(body, "2023-11-14T22:13:20Z") {
			t.Errorf("query by the 1.x user: %d %s", status, body)
		}
		if status, _ := edge.version1("old", "wrong-password", "GET", "/query?db=telegraf&q=SELECT+v+FROM+m", ""); status != 401 {
			t.Errorf("query with a wrong password: %d", status)
		}
		if status, _ := edge.version1("old", "password3", "POST", "/write?db=telegraf", "m v=2"); status != 403 {
			t.Errorf("write by a 1.x user who may only read: %d", status)
		}
		s.run("v1", "auth", "set-password", "--username", "old", "--password", "password4")
		if status, _ := edge.version1("old", "password4", "GET", "/query?db=telegraf&q=SHOW+MEASUREMENTS", ""); status != 200 {
			t.Errorf("query with the new password: %d", status)
		}
		s.run("v1", "auth", "delete", "--username", "old")
	})
}

// What a paused replication keeps back is sent when it is resumed; only holdfast has these commands.
func TestAReplicationIsPausedAndResumedByCommand(t *testing.T) {
	s := newShell(t, "holdfast")
	edge, central := startNode(t, ""), startNode(t, "")
	s.onboard(edge, central)
	_, replication := s.replicate(central)
	s.run("replication", "pause", "-i", replication)
	s.run("write", "-b", "plant", "-p", "s", "m v=1 1700000000")
	status := func() (v thing) {
		s.into(&v, "replication", "status", "-i", replication)
		return v
	}
	eventually(t, 10*time.Second, func() error {
		if v := status(); v.State != "paused" || s.list("replication", "list")[0].RemainingBytesToBeSynced == 0 {
			return fmt.Errorf("status of a paused replication: %+v", v)
		}
		return nil
	})
	if got := s.column("SELECT v FROM m", "plant", "central"); len(got) != 0 {
		t.Fatalf("a paused replication has sent %v", got)
	}
	s.run("replication", "resume", "-i", replication)
	eventually(t, 20*time.Second, func() error {
		if got := s.column("SELECT v FROM m", "plant", "central"); !slices.Equal(got, []string{"1"}) {
			return fmt.Errorf("central holds %v", got)
		}
		if v := status(); v.State != "idle" || v.PointsSent != 1 {
			return fmt.Errorf("status after the resume: %+v", v)
		}
		return nil
	})
	if out := s.run("replication", "status"); !strings.Contains(out, "idle") {
		t.Errorf("replication status: %s", out)
	}
}
