package commandline_test

import (
	"errors"
	"fmt"
	"io/fs"
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
