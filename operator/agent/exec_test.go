//go:build unix

package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
)

// check has the stand-in for the agent do a word, with a text before it.
func check(t *testing.T, e *agent.Exec, text, word string) error {
	t.Helper()
	return e.Check(t.Context(), []agent.File{{Name: "a.conf", Text: []byte(text + "\n# do: " + word)}})
}

func fake() *agent.Exec { return agent.NewExec(os.Args[0]) }

func TestTheAgentsAnswerIsTheAnswer(t *testing.T) {
	if err := check(t, fake(), "", "accept"); err != nil {
		t.Errorf("accepted, with %v", err)
	}
	for _, test := range []struct{ name, text, word, want string }{
		{"useful line", "", "refuse", "a.conf: error parsing outputs, undefined but requested output: fiel known are: file"},
		{"older log", "", "old log", "a.conf: error loading config file a.conf: plugin outputs.file: line 1: the fields [\"fiels\"] were not used"},
		{"several lines of holdfast", "", "holdfast", "a.conf: a.conf:1: there is no plugin inputs.memm a.conf:2: nor inputs.cpuu"},
		{"no reason", "", "silent", "a.conf: the agent refuses the configuration without saying why"},
		{"crash", "", "crash", "a.conf: the agent crashed: panic: index out of range"},
		{"bounded output", "", "flood", "a.conf: the last word"},
		{"variables", "[agent]\n  interval = \"$PERIOD\" # $NOT\n  hostname = \"$NODENAME${PODNAME}\"", "silent",
			"a.conf: the agent refuses the configuration without saying why (variables that were not set at the check: PERIOD)"},
		{"secrets", "[[outputs.x]]\n  password = \"hunter2\"\n  token = \"$TOKEN\"\n", "quote",
			`a.conf: cannot read "…" nor http://…@host/ (variables that were not set at the check: TOKEN)`},
		{"as strict as a start", "", "be strict", "a.conf: the fields were not used"},
		{"a mistake beside a file of the pod", "tls_ca = \"/etc/ssl/corp/ca.pem\"\nmistake = \"fiels\"", "read files", `a.conf: line: the field "fiels" was not used`},
		{"a variable with a default", "[[outputs.file]]\n  \"${X:-max}\" = 5", "default", `a.conf: the fields ["${X:-max}"] were not used (variables that were not set at the check: X)`},
		{"a path that is not whole", "tls_ca = \"ca.pem\"", "read files",
			`a.conf: could not initialize output x: could not read certificate "ca.pem": open ca.pem: no such file or directory`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := check(t, fake(), test.text, test.word)
			var refusal *agent.Refusal
			if !errors.As(err, &refusal) || err.Error() != test.want {
				t.Errorf("the error is %q, want a refusal with %q", err, test.want)
			}
		})
	}
}

// A private authority is mounted into the pods, and what a class says of it is not refused because the checker has no such file.
func TestWhatOnlyThePodHasIsNotJudged(t *testing.T) {
	for _, test := range []struct{ name, text, word, want string }{
		{"an authority", "tls_ca = \"/etc/ssl/corp/ca.pem\"", "read files", "the agent could not judge all of it: the file /etc/ssl/corp/ca.pem is only in the pod"},
		{"several files", "tls_ca = \"/etc/x/ca.pem\"\ntls_key = \"$CERTS/key.pem\"", "read files", "the files /etc/x/ca.pem, $CERTS/key.pem are only in the pod"},
		{"another kind of file", "token_file = \"/run/token\"", "read files", "the file /run/token is only in the pod"},
		{"a variable", "[agent]\n  interval = \"${PERIOD}\"", "variable", "the variable PERIOD is only in the pod"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := check(t, fake(), test.text, test.word)
			var unjudged *agent.Unjudged
			if !errors.As(err, &unjudged) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the answer is %v, want %q", err, test.want)
			}
		})
	}
	if err := check(t, fake(), "", "variable"); !errors.As(err, new(*agent.Refusal)) {
		t.Errorf("a variable that the text does not name: %v", err)
	}
}

func TestAnAgentOfBeforeStrictChecksIsAskedWithout(t *testing.T) {
	if err := check(t, fake(), "", "be old"); err != nil {
		t.Error(err)
	}
}

func TestNoAnswerIsNoRefusal(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		name        string
		err         error
		unreachable bool
		want        string
	}{
		{"killed", check(t, fake(), "", "kill"), false, "signal: killed"},
		{"too old", check(t, fake(), "", "sample"), false, "too old to check configurations"},
		{"not there", check(t, agent.NewExec("/nowhere/telegraf"), "", "accept"), true, "/nowhere/telegraf"},
		{"given up", fake().Check(ended, []agent.File{{Name: "a.conf"}}), false, "context canceled"},
		{"a path", fake().Check(context.Background(), []agent.File{{Name: "../a.conf"}}), false, "not a plain file name"},
		{"twice", fake().Check(context.Background(), []agent.File{{Name: "a"}, {Name: "a"}}), false, "two files"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var refusal *agent.Refusal
			if test.err == nil || errors.As(test.err, &refusal) || errors.Is(test.err, agent.ErrUnreachable) != test.unreachable || !strings.Contains(test.err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", test.err, test.want)
			}
		})
	}
}

func TestAnAgentThatHangsIsEndedWithWhatItStarted(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	e := fake()
	e.Timeout, e.Variables = 2*time.Second, map[string]string{"PIDFILE": pidFile}
	start := time.Now()
	err := check(t, e, "", "hang")
	if err == nil || !strings.Contains(err.Error(), "gave no answer within 2s") {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); running(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the program %d that it started still runs", pid)
		}
	}
}

// running is whether a process is there and is not a zombie that nobody waits for.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestTheAgentSeesACleanEnvironmentAndLeavesNothing(t *testing.T) {
	t.Setenv("OPERATOR_SECRET", "hunter2")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	err := check(t, fake(), "", "environment")
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "NODENAME=node") {
		t.Errorf("the environment is %v", err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestInstallCopiesTheProgram(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // over an earlier copy too
		path, err := agent.Install(dir)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o755 || filepath.Dir(path) != dir {
			t.Errorf("%s is %v, %v", path, info.Mode(), err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("there is %v, %v", files, err)
	}
}
