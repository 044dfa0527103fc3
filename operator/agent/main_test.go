package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test program a stand-in for the agent's: run with `config check`, it does what the first file given says.
func TestMain(m *testing.M) {
	if len(os.Args) > 4 && os.Args[1] == "config" && os.Args[2] == "check" {
		os.Exit(fakeAgent(os.Args[3:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "sleep" {
		time.Sleep(time.Minute)
		return
	}
	os.Exit(m.Run())
}

// fakeAgent does what `# do: WORD` in a file says.
func fakeAgent(args []string) int {
	var files []string
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] != "--config" {
			fmt.Fprintln(os.Stderr, "E! flag provided but not defined:", args[i])
			return 1
		}
		files = append(files, args[i+1])
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, word, _ := strings.Cut(string(text), "# do: ")
	switch strings.TrimSpace(word) {
	case "accept":
		return 0
	case "refuse":
		fmt.Fprintf(os.Stderr, "2026-01-02T03:04:05Z W! \x1b[33mStrict environment variable handling\x1b[0m\n2026-01-02T03:04:05Z E! loading config file %s failed: error parsing outputs, \x1b[31mundefined but requested output: fiel\x1b[0m\n  known are: file\n", files[0])
	case "old log":
		fmt.Fprintf(os.Stderr, "2026/01/02 03:04:05 E! error loading config file %s: plugin outputs.file: line 1: the fields [\"fiels\"] were not used\n", files[0])
	case "holdfast":
		fmt.Fprintf(os.Stderr, "time=2026-01-02T03:04:05Z level=WARN msg=note\nError: %s:1: there is no plugin inputs.memm\n%s:2: nor inputs.cpuu\n", files[0], files[0])
	case "silent":
	case "quote":
		fmt.Fprintln(os.Stderr, `E! cannot read "hunter2" nor http://me:secret@host/ nor "$TOKEN"`)
	case "crash":
		panic("index out of range")
	case "hang":
		child := exec.Command(os.Args[0], "sleep")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 1
		}
		_ = os.WriteFile(os.Getenv("PIDFILE"), fmt.Append(nil, child.Process.Pid), 0o600)
		time.Sleep(time.Minute)
	case "flood":
		for range 1 << 14 {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 1000))
		}
		fmt.Fprintln(os.Stderr, "E! the last word")
	case "environment":
		env := os.Environ()
		slices.Sort(env)
		fmt.Fprintln(os.Stderr, "E!", strings.Join(env, " "))
	case "sample":
		fmt.Println("# Telegraf Configuration\n#\n# Telegraf is entirely plugin driven.")
		return 0
	case "kill":
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		time.Sleep(time.Minute)
	}
	return 1
}
