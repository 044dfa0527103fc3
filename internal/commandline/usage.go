package commandline

import (
	"errors"
	"fmt"

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
