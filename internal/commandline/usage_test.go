package commandline_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
)

func TestAWrongCommandLineIsToldFromOtherFailures(t *testing.T) {
	root, cmd := &cobra.Command{Use: "holdfast"}, &cobra.Command{Use: "take", Run: func(*cobra.Command, []string) {}}
	root.AddCommand(cmd)
	err := commandline.Usage(cmd, fs.ErrNotExist)
	if !commandline.IsUsage(fmt.Errorf("taking: %w", errors.Join(errors.New("first"), err))) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not known again", err)
	}
	if commandline.IsUsage(fs.ErrNotExist) || commandline.IsUsage(nil) {
		t.Error("another failure is one of the command line")
	}
	if want := "file does not exist\nRun 'holdfast take --help' for usage."; err.Error() != want {
		t.Errorf("it says %q", err)
	}
	check := commandline.Arguments(1, 2)
	for n, wrong := range []bool{true, false, false, true} {
		if err := check(cmd, make([]string, n)); commandline.IsUsage(err) != wrong || (err != nil) != wrong {
			t.Errorf("%d arguments: %v", n, err)
		}
	}
}

func TestACommandThatThereIsNotIsAWrongCommandLine(t *testing.T) {
	run := func(args ...string) (string, error) {
		var out strings.Builder
		root, group := &cobra.Command{Use: "holdfast", SilenceErrors: true, SilenceUsage: true}, &cobra.Command{Use: "keys", Short: "Keys"}
		group.AddCommand(&cobra.Command{Use: "rotate", Run: func(*cobra.Command, []string) { out.WriteString("rotated") }})
		root.AddCommand(group)
		commandline.Groups(root)
		root.SetOut(&out)
		root.SetArgs(args)
		err := root.Execute()
		return out.String(), err
	}
	for _, c := range []struct{ args, want string }{
		{"kyes rotate", `unknown command "kyes" for "holdfast": is keys meant?`},
		{"keys rotat", `unknown command "rotat" for "holdfast keys": is rotate meant?`},
		{"keys x", `unknown command "x" for "holdfast keys"` + "\n"},
	} {
		if _, err := run(strings.Fields(c.args)...); !commandline.IsUsage(err) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
	for args, want := range map[string]string{"keys rotate": "rotated", "keys": "Available Commands", "": "Available Commands"} {
		if out, err := run(strings.Fields(args)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%q: %v, and prints %s", args, err, out)
		}
	}
}
