package commandline

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError tells that the command line was wrong.
type usageError struct {
	cmd *cobra.Command
	err error
}

// Usage is an error that tells that the command line of a command was wrong. Such an error has an exit code of its own.
func Usage(cmd *cobra.Command, err error) error { return &usageError{cmd, err} }

// allowed are the types of flags whose values the library refuses in words of Go's.
var allowed = map[string]string{
	"duration": "a time such as 90s or 1h30m", "bool": "true or false", "float64": "a number",
	"int": "a whole number", "int64": "a whole number", "uint": "a whole number from 0 on", "uint64": "a whole number from 0 on",
}

// Flag is the usage error of a flag that the library did not take. It says what the flag may be.
func Flag(cmd *cobra.Command, err error) error {
	var wrong *pflag.InvalidValueError
	if errors.As(err, &wrong) && allowed[wrong.GetFlag().Value.Type()] != "" {
		f := wrong.GetFlag()
		err = fmt.Errorf("--%s %q is not understood: it is %s", f.Name, wrong.GetValue(), allowed[f.Value.Type()])
	}
	return Usage(cmd, err)
}

// IsUsage says whether an error, or one in it, is of Usage.
func IsUsage(err error) bool {
	var usage *usageError
	return errors.As(err, &usage)
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v\nRun '%s --help' for usage.", e.err, e.cmd.CommandPath())
}

func (e *usageError) Unwrap() error { return e.err }

// Unknown is the error of a command that there is not, with those that it may have been meant to be.
func Unknown(cmd *cobra.Command, name string) error {
	hint := ""
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(near, " or "))
	}
	return Usage(cmd, fmt.Errorf("unknown command %q for %q%s", name, cmd.CommandPath(), hint))
}

// Arguments checks the number of arguments, which the command's Use line names.
func Arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return Usage(cmd, fmt.Errorf("%q needs more than it was given: %s", cmd.CommandPath(), synopsis(cmd)))
		case len(args) > most && cmd.HasSubCommands():
			return Unknown(cmd, args[most])
		case len(args) > most && most == 0:
			return Usage(cmd, fmt.Errorf("%q takes no argument %q", cmd.CommandPath(), args[0]))
		case len(args) > most:
			return Usage(cmd, fmt.Errorf("%q is one argument too many: %s", args[most], synopsis(cmd)))
		}
		return nil
	}
}

// synopsis is a command as it is typed.
func synopsis(cmd *cobra.Command) string {
	return strings.TrimSuffix(cmd.CommandPath(), cmd.Name()) + cmd.Use
}

// Strict has the commands below root refuse as a wrong command line what cobra refuses in its own words or not at all: a command that
// there is not, and a required flag that is not given. Commands that only have subcommands show their help when none is named.
func Strict(root *cobra.Command) {
	for _, c := range root.Commands() {
		Strict(c)
	}
	root.SuggestionsMinimumDistance = 2
	if !root.HasSubCommands() || root.Runnable() {
		root.Args = requiring(root.Args)
		return
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return Unknown(cmd, args[0])
	}
}

// requiring checks that a command has the flags that it requires, and then its arguments.
func requiring(arguments cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		var missing []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if len(f.Annotations[cobra.BashCompOneRequiredFlag]) > 0 && !f.Changed {
				_, usage := pflag.UnquoteUsage(f)
				missing = append(missing, fmt.Sprintf("--%s is needed: %s", f.Name, usage))
			}
		})
		if len(missing) > 0 {
			return Usage(cmd, errors.New(strings.Join(missing, "\n")))
		}
		if arguments == nil {
			return nil
		}
		return arguments(cmd, args)
	}
}
