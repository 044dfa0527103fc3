package cli

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/node/cli/profile"
)

func TestFlagsOfOtherProgramsAreNormalised(t *testing.T) {
	tree := New(Options{Name: "holdfast", Run: func(context.Context, RunOptions) error { return nil }})
	tests := []struct{ name, in, want string }{
		{"one dash for a long flag", "run -config a.conf -config-directory d -test", "run --config=a.conf --config-directory=d --test"},
		{"one dash with a value behind =", "run -config=a.conf -test-wait=5", "run --config=a.conf --test-wait=5"},
		{"two dashes for a short flag", "bucket create --n telegraf --r 3d", "bucket create --name=telegraf --retention=3d"},
		{"a value that begins with a dash", "org list -t -token== --host x", "org list --token=-token== --host=x"},
		{"a value that looks like a flag", "delete --predicate -config", "delete --predicate=-config"},
		{"an alias of a command", "organization find -id x", "organization find --id=x"},
		{"short flags in a cluster stay", "setup -fuann", "setup -fuann"},
		{"unknown flags stay for the error", "run -confg x", "run -confg x"},
		{"nothing behind two dashes", "write -- -host", "write -- -host"},
		{"a dash is an argument", "write -f x -", "write --file=x -"},
		{"a flag without its value", "org list -host", "org list --host"},
		{"a boolean takes no value", "setup -force -host h", "setup --force --host=h"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := commandline.Normalise(tree, strings.Fields(tt.in)); !slices.Equal(got, strings.Fields(tt.want)) {
				t.Errorf("Normalise(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestRunGetsItsOptionsFromTheFlags(t *testing.T) {
	var got RunOptions
	s := setting{options: Options{Run: func(_ context.Context, o RunOptions) error { got = o; return nil }}}
	out := s.run(t, "run", "-config", "a.conf", "--config", "http://x/b", "-config-directory", "d", "--data", "dir", "--listen", "127.0.0.1:1",
		"-watch-config", "poll", "-quiet", "--debug", "-input-filter", "cpu:mem", "--output-filter", "influxdb_v2", "--processor-filter", "p", "--aggregator-filter", ":a:", "-test-wait", "3")
	want := RunOptions{
		Config: []string{"a.conf", "http://x/b"}, ConfigDirectory: []string{"d"}, Data: "dir", Listen: "127.0.0.1:1", Test: true, TestWait: 3,
		WatchConfig: "poll", Quiet: true, Debug: true, InputFilter: []string{"cpu", "mem"}, OutputFilter: []string{"influxdb_v2"},
		ProcessorFilter: []string{"p"}, AggregatorFilter: []string{"a"},
	}
	if out.code != ExitDone || !reflect.DeepEqual(got, want) {
		t.Errorf("%s\noptions %+v\n   want %+v", out, got, want)
	}
}

func TestRunRefusesFlagsThatContradict(t *testing.T) {
	s := setting{options: Options{Run: func(context.Context, RunOptions) error { t.Error("a node was started"); return nil }}}
	for _, args := range [][]string{
		{"run", "--test", "--once"}, {"run", "--watch-config", "sometimes"}, {"run", "extra"}, {"run", "--test-wait", "-1"}, {"run", "--no-such-flag"}, {"run", "--listen", "nonsense"},
	} {
		if got := s.run(t, args...); got.code != ExitUsage {
			t.Errorf("%q: %s", args, got)
		}
	}
}

func TestErrorOfRunIsTheCommands(t *testing.T) {
	s := setting{options: Options{Run: func(context.Context, RunOptions) error { return io.ErrUnexpectedEOF }}}
	if got := s.run(t, "run"); got.code != ExitFailed || got.errors != "Error: unexpected EOF\n" {
		t.Errorf("%s", got)
	}
}

func TestAFlagThatTheNodeCannotUseIsAWrongCommandLine(t *testing.T) {
	s := setting{options: Options{Run: func(context.Context, RunOptions) error {
		return &FlagError{errors.New("--input-filter: no such input")}
	}}}
	if got := s.run(t, "run"); got.code != ExitUsage || !strings.HasPrefix(got.errors, "Error: --input-filter: no such input\nRun 'holdfast run --help'") {
		t.Errorf("%s", got)
	}
}

func TestAnOrganizationToDeleteIsNotTakenFromTheEnvironment(t *testing.T) {
	s := at(t, play(t))
	s.env = map[string]string{"HOLDFAST_ORG_ID": orgID, "INFLUX_ORG_ID": orgID, "HOLDFAST_ORG": "o"}
	if got := s.run(t, "org", "delete"); got.code != ExitUsage || !strings.Contains(got.errors, "missing --id (-i)") {
		t.Errorf("%s", got)
	}
}

func TestAFlagThatHoldsNoIDIsNamed(t *testing.T) {
	s := at(t, play(t))
	for args, want := range map[string]string{
		"replication create -n up --remote-bucket b --remote-id 12 --local-bucket-id zz":                     `--remote-id "12"`,
		"replication create -n up --remote-bucket b --remote-id " + remoteID + " --local-bucket-id telegraf": `--local-bucket-id "telegraf"`,
		"replication update -i " + replID + " --remote-bucket-id x":                                          `--remote-bucket-id "x"`,
	} {
		if got := s.run(t, strings.Fields(args)...); got.code != ExitUsage || !strings.Contains(got.errors, want+": an ID has 16 hexadecimal digits") {
			t.Errorf("%s: %s", args, got)
		}
	}
}

func TestTreeHasOnlyWhatTheCallerWired(t *testing.T) {
	for _, args := range [][]string{{"run"}, {"doctor"}, {"journal", "check"}} {
		if got := (setting{}).run(t, args...); got.code != ExitUsage || !strings.Contains(got.errors, "unknown command") {
			t.Errorf("%q: %s", args, got)
		}
	}
}

func TestUnderTheNameTelegrafTheFlagsStartANode(t *testing.T) {
	var got RunOptions
	s := setting{name: "/usr/bin/telegraf", options: Options{Run: func(_ context.Context, o RunOptions) error { got = o; return nil }}}
	if out := s.run(t, "-config", "/etc/telegraf/telegraf.conf", "-config-directory", "/etc/telegraf/telegraf.d"); out.code != ExitDone {
		t.Fatal(out)
	}
	want := RunOptions{Config: []string{"/etc/telegraf/telegraf.conf"}, ConfigDirectory: []string{"/etc/telegraf/telegraf.d"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("options %+v, want %+v", got, want)
	}
	got = RunOptions{}
	if out := s.run(t, "config", "check", "--config", "a.conf", "--config-directory", "d"); out.code != ExitDone || out.out+out.errors != "" {
		t.Fatal(out)
	}
	if want := (RunOptions{Check: true, Quiet: true, Config: []string{"a.conf"}, ConfigDirectory: []string{"d"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("options of config check %+v, want %+v", got, want)
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if out := s.run(t, args...); out.code != ExitDone || !strings.HasPrefix(out.out, "Telegraf ") {
			t.Errorf("%q: %s", args, out)
		}
	}
}

func TestUnderTheNameInfluxTheTreeIsThatCommands(t *testing.T) {
	host := play(t, findOrg)
	s := at(t, host)
	s.name, s.options = `influx.exe`, Options{Run: func(context.Context, RunOptions) error { return nil }}
	if got := s.run(t, "org", "ls"); got.code != ExitDone || !strings.Contains(got.out, orgID) {
		t.Errorf("org ls: %s", got)
	}
	for _, args := range [][]string{{"run", "-config", "x"}, {"replication", "pause", "-i", replID}} {
		if got := s.run(t, args...); got.code != ExitFailed || !strings.Contains(got.errors, "unknown command") {
			t.Errorf("%q: %s", args, got)
		}
	}
	if got := s.run(t, "version"); !strings.HasPrefix(got.out, "Influx CLI ") {
		t.Errorf("version: %s", got)
	}
}

func TestUserAgentNamesTheProgram(t *testing.T) {
	for _, name := range []string{"holdfast", "influx"} {
		var agent string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			agent = r.UserAgent()
			_, _ = io.WriteString(w, `{"status":"pass"}`)
		}))
		defer server.Close()
		s := at(t, server.URL)
		s.name = name
		if got := s.run(t, "ping"); got.code != ExitDone || !strings.HasPrefix(agent, name+"/") {
			t.Errorf("agent %q: %s", agent, got)
		}
	}
}

func TestEnvironmentStandsForFlags(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		args string
		step exchange
	}{
		{"INFLUX_ names", nil, "bucket list", get("/api/v2/buckets?limit=20&org=o", `{}`)},
		{"HOLDFAST_ wins", map[string]string{"HOLDFAST_ORG": "p"}, "bucket list", get("/api/v2/buckets?limit=20&org=p", `{}`)},
		{"a flag wins", map[string]string{"HOLDFAST_ORG": "p"}, "bucket list -o q", get("/api/v2/buckets?limit=20&org=q", `{}`)},
		{"the ID wins over the name", map[string]string{"INFLUX_ORG_ID": orgID}, "bucket list", get("/api/v2/buckets?limit=20&orgID="+orgID, `{}`)},
		{"the flag of the ID silences the name", nil, "bucket list --org-id " + orgID, get("/api/v2/buckets?limit=20&orgID="+orgID, `{}`)},
		{"the flag of the name silences the ID", map[string]string{"INFLUX_ORG_ID": orgID}, "bucket list --org q", get("/api/v2/buckets?limit=20&org=q", `{}`)},
		{"a required flag", map[string]string{"INFLUX_BUCKET_NAME": "b"}, "bucket create --org-id " + orgID,
			post("/api/v2/buckets", `{"orgID":"`+orgID+`","name":"b","retentionRules":[],"schemaType":"implicit"}`, bucketJSON)},
		{"a rename is never taken from it", map[string]string{"INFLUX_BUCKET_NAME": "b"}, "bucket update -d text -i " + bucketID, patch("/api/v2/buckets/"+bucketID, `{"description":"text"}`, bucketJSON)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := at(t, play(t, tt.step))
			for k, v := range tt.env {
				s.env[k] = v
			}
			if got := s.run(t, strings.Fields(tt.args)...); got.code != ExitDone {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestEnvironmentThatCannotBeReadIsNamed(t *testing.T) {
	s := at(t, "http://127.0.0.1:1")
	s.env["INFLUX_SKIP_VERIFY"] = "perhaps"
	if got := s.run(t, "ping"); got.code != ExitUsage || !strings.Contains(got.errors, "INFLUX_SKIP_VERIFY") {
		t.Errorf("%s", got)
	}
}

func TestBothOrganizationFlagsAreAmbiguous(t *testing.T) {
	if got := at(t, "http://127.0.0.1:1").run(t, "bucket", "list", "--org", "o", "--org-id", orgID); got.code != ExitUsage || !strings.Contains(got.errors, "ambiguous") {
		t.Errorf("%s", got)
	}
}

func TestActiveConfigOfOneCommandIsNotMadeTheActiveOne(t *testing.T) {
	host := play(t, get("/api/v2/buckets?limit=20&org=theirs", `{}`))
	s := fresh(t, "")
	file := profile.File{Path: s.env["INFLUX_CONFIGS_PATH"]}
	for _, p := range []profile.Profile{{Name: "mine", Host: "http://127.0.0.1:1", Active: true}, {Name: "other", Host: host, Token: "tok", Org: "theirs"}} {
		if _, err := file.Create(p); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.run(t, "bucket", "list", "-c", "other"); got.code != ExitDone {
		t.Errorf("%s", got)
	}
	if p, _ := file.Active(); p.Name != "mine" {
		t.Errorf("%q is active, want mine", p.Name)
	}
}

func TestErrorsSayHowToMendThem(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	unauthorized := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"code":"unauthorized","message":"unauthorized access"}`)
	}))
	defer unauthorized.Close()
	tests := []struct {
		name, host, args, want string
		code                   int
	}{
		{"nobody listens", closed.URL, "ping", "holdfast run", ExitFailed},
		{"unknown certificate", tls.URL, "ping", "--skip-verify", ExitFailed},
		{"no token", unauthorized.URL, "user list", "HOLDFAST_TOKEN", ExitFailed},
		{"no organization", unauthorized.URL, "bucket list", "HOLDFAST_ORG", ExitUsage},
		{"bad host", "localhost:8086", "ping", "http://localhost:8086", ExitUsage},
		{"unknown config", "", "ping -c nowhere", "nowhere", ExitFailed},
		{"misspelt command", "", "bucket creat", "did you mean create", ExitUsage},
		{"misspelt top command", "", "buckets", "did you mean bucket", ExitUsage},
		{"extra argument", "", "bucket list telegraf", `takes no argument "telegraf"`, ExitUsage},
		{"header without a value", "", "ping --extra-http-header x", "name:value", ExitUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := fresh(t, tt.host).run(t, strings.Fields(tt.args)...)
			if got.code != tt.code || !strings.Contains(got.errors, tt.want) {
				t.Errorf("want exit %d and %q in the error:\n%s", tt.code, tt.want, got)
			}
		})
	}
}

func TestDebugOutputHasNoSecrets(t *testing.T) {
	host := play(t, findOrg)
	s := at(t, host)
	s.env["INFLUX_TOKEN"] = "tok"
	got := s.run(t, "org", "list", "--http-debug", "--extra-http-header", "X-Trace: 7")
	if !strings.Contains(got.errors, "> GET ") || !strings.Contains(got.errors, "X-Trace: 7") || !strings.Contains(got.errors, "< 200 OK") {
		t.Errorf("the heads are missing:\n%s", got)
	}
	if strings.Contains(got.errors, "Token tok") {
		t.Errorf("the token is shown:\n%s", got)
	}
}

func TestDurationsKnowDaysAndWeeks(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "0s": 0, "72h": 72 * time.Hour, "1h30m": 90 * time.Minute, "3d": 72 * time.Hour, "1w2d": 216 * time.Hour, "2d12h": 60 * time.Hour, "5µs": 5 * time.Microsecond,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"3", "d", "-3d", "-5s", "3q", "999999999999999999999d", "106751991167300w", "15250w52000w1w", "1.5d"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", text, got)
		}
	}
	if _, err := parseSeconds("1500ms"); err == nil {
		t.Error("1500ms passed for whole seconds")
	}
}

func TestCompletionScriptsAreMade(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := (setting{}).run(t, "completion", shell); got.code != ExitDone || !strings.Contains(got.out, "holdfast") {
			t.Errorf("%s: exit %d, %d bytes", shell, got.code, len(got.out))
		}
	}
}
