package commandline

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageError tells that the command line was wrong.
type usageError struct {
	cmd *cobra.Command
	err error
}

// Usage is an error that tells that the command line of a command was wrong. Such an error has an exit code of its own.
func Usage(cmd *cobra.Command, err error) error { return &usageError{cmd, err} }

// IsUsage says whether an error, or one in it, is of Usage.
func IsUsage(err error) bool {
	var usage *usageError
	return errors.As(err, &usage)
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v\nRun '%s --help' for usage.", e.err, e.cmd.CommandPath())
}

func (e *usageError) Unwrap() error { return e.err }

// Arguments checks the number of arguments.
func Arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return Usage(cmd, fmt.Errorf("%q does not take %d arguments: %q", cmd.CommandPath(), len(args), args))
		}
		return nil
	}
}

// Groups has commands that only have subcommands show their help when none is named, and refuse one that there is not.
func Groups(root *cobra.Command) {
	for _, c := range root.Commands() {
		Groups(c)
	}
	if !root.HasSubCommands() || root.Runnable() {
		return
	}
	root.SuggestionsMinimumDistance = 2
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf(": is %s meant?", strings.Join(near, " or "))
		}
		return Usage(cmd, fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint))
	}
}
