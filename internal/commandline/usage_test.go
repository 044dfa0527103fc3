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
}

func TestArgumentsAreAskedForByTheirNames(t *testing.T) {
	root, cmd := &cobra.Command{Use: "holdfast"}, &cobra.Command{Use: "take FILE [REST]", Run: func(*cobra.Command, []string) {}}
	root.AddCommand(cmd)
	for _, c := range []struct {
		cmd         *cobra.Command
		least, most int
		args, want  string
	}{
		{cmd, 1, 2, "", `"holdfast take" needs more than it was given: holdfast take FILE [REST]`},
		{cmd, 1, 2, "a", ""},
		{cmd, 1, 2, "a b", ""},
		{cmd, 1, 2, "a b c", `"c" is one argument too many: holdfast take FILE [REST]`},
		{cmd, 0, 0, "a", `"holdfast take" takes no argument "a"`},
		{root, 0, 0, "tak", `unknown command "tak" for "holdfast" (did you mean take?)`},
	} {
		c.cmd.SuggestionsMinimumDistance = 2
		err := commandline.Arguments(c.least, c.most)(c.cmd, strings.Fields(c.args))
		if c.want == "" {
			if err != nil {
				t.Errorf("%q: %v", c.args, err)
			}
			continue
		}
		if !commandline.IsUsage(err) || !strings.HasPrefix(err.Error(), c.want+"\n") {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
}

func TestAFlagThatIsNotUnderstoodIsSaidToBeWhatItMay(t *testing.T) {
	for arg, want := range map[string]string{
		"--every=5x":  `--every "5x" is not understood: it is a time such as 90s or 1h30m`,
		"--most=many": `--most "many" is not understood: it is a whole number`,
		"--dry=yes":   `--dry "yes" is not understood: it is true or false`,
		"--evry=5s":   "unknown flag: --evry",
	} {
		root := &cobra.Command{Use: "holdfast", SilenceErrors: true, SilenceUsage: true, Run: func(*cobra.Command, []string) {}}
		root.Flags().Duration("every", 0, "")
		root.Flags().Int("most", 0, "")
		root.Flags().Bool("dry", false, "")
		root.SetFlagErrorFunc(commandline.Flag)
		root.SetArgs([]string{arg})
		if err := root.Execute(); !commandline.IsUsage(err) || !strings.HasPrefix(err.Error(), want+"\n") {
			t.Errorf("%s: %v, want %s", arg, err, want)
		}
	}
}

func TestAFlagThatIsRequiredIsAskedForByWhatItIs(t *testing.T) {
	for args, want := range map[string]string{
		"take":           "--pin is needed: `PEM` file with the key",
		"take --pin k":   "",
		"take --pin k x": `"holdfast take" takes no argument "x"`,
	} {
		root, cmd := &cobra.Command{Use: "holdfast", SilenceErrors: true, SilenceUsage: true}, &cobra.Command{
			Use: "take", Args: commandline.Arguments(0, 0), Run: func(*cobra.Command, []string) {},
		}
		root.AddCommand(cmd)
		cmd.Flags().String("pin", "", "`PEM` file with the key")
		if err := cmd.MarkFlagRequired("pin"); err != nil {
			t.Fatal(err)
		}
		commandline.Strict(root)
		root.SetArgs(strings.Fields(args))
		err := root.Execute()
		if (want == "") != (err == nil) || err != nil && (!commandline.IsUsage(err) || !strings.HasPrefix(err.Error(), strings.ReplaceAll(want, "`", ""))) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestACommandThatThereIsNotIsAWrongCommandLine(t *testing.T) {
	run := func(args ...string) (string, error) {
		var out strings.Builder
		root, group := &cobra.Command{Use: "holdfast", SilenceErrors: true, SilenceUsage: true}, &cobra.Command{Use: "keys", Short: "Keys"}
		group.AddCommand(&cobra.Command{Use: "rotate", Run: func(*cobra.Command, []string) { out.WriteString("rotated") }})
		root.AddCommand(group)
		commandline.Strict(root)
		root.SetOut(&out)
		root.SetArgs(args)
		err := root.Execute()
		return out.String(), err
	}
	for _, c := range []struct{ args, want string }{
		{"kyes rotate", `unknown command "kyes" for "holdfast" (did you mean keys?)`},
		{"keys rotat", `unknown command "rotat" for "holdfast keys" (did you mean rotate?)`},
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
