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
	strict := len(args) > 0 && args[0] == "--strict-env-handling"
	if strict {
		args = args[1:]
	}
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
	case "be strict":
		if strict {
			fmt.Fprintln(os.Stderr, "E! the fields were not used")
			return 1
		}
		return 0
	case "be old":
		if strict {
			fmt.Fprintln(os.Stderr, "Incorrect Usage: flag provided but not defined: -strict-env-handling")
			return 1
		}
		return 0
	case "default":
		fmt.Fprintln(os.Stderr, `E! the fields ["${X:-max}"] were not used`)
	case "read files":
		return readFiles(string(text))
	case "refuse":
		fmt.Fprintf(os.Stderr, "2026-01-02T03:04:05Z W! \x1b[33mStrict environment variable handling\x1b[0m\n2026-01-02T03:04:05Z E! loading config file %s failed: error parsing outputs, \x1b[31mundefined but requested output: fiel\x1b[0m\n  known are: file\n", files[0])
	case "old log":
		fmt.Fprintf(os.Stderr, "2026/01/02 03:04:05 E! error loading config file %s: plugin outputs.file: line 1: the fields [\"fiels\"] were not used\n", files[0])
	case "holdfast":
		fmt.Fprintf(os.Stderr, "time=2026-01-02T03:04:05Z level=WARN msg=note\nError: %s:1: there is no plugin inputs.memm\n%s:2: nor inputs.cpuu\n", files[0], files[0])
	case "silent":
	case "quote":
		fmt.Fprintln(os.Stderr, `E! cannot read "hunter2" nor http://me:secret@host/`)
	case "variable":
		fmt.Fprintln(os.Stderr, "E! error parsing agent table: time: invalid duration \"${PERIOD}\"")
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

// readFiles opens what a text gives as files, as plugins do when they are made, and says what is wrong with the first.
func readFiles(text string) int {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		path := strings.Trim(value, `"`)
		switch key {
		case "tls_ca", "tls_key", "token_file":
			data, err := os.ReadFile(path)
			if err != nil {
				fmt.Fprintf(os.Stderr, "E! could not initialize output x: could not read certificate %q: %v\n", path, err)
				return 1
			}
			if key == "token_file" {
				fmt.Fprintf(os.Stderr, "E! %s is no token\n", path)
				return 1
			}
			if !strings.Contains(string(data), "BEGIN CERTIFICATE") || !strings.Contains(string(data), "PRIVATE KEY") {
				fmt.Fprintf(os.Stderr, "E! %s has nothing\n", path)
				return 1
			}
		case "mistake":
			fmt.Fprintf(os.Stderr, "E! line: the field %q was not used\n", path)
			return 1
		}
	}
	return 0
}
