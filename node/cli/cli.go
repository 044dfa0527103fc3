// Package cli is the command line of `holdfast`: the tree of commands, their flags, and what they print.
//
// Its commands take the arguments of the `influx` command and print its tables, and under the name `influx` the tree is that
// command's; under the name `telegraf` it takes the flags that start a Telegraf. It talks to a node over HTTP only (node/cli/client);
// what needs a node's rooms in the same process (run, the offline checks) is handed in by the caller through Options.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/internal/version"
)

// Exit codes of Main.
const (
	ExitDone   = 0 // the command did what it was asked
	ExitFailed = 1 // the command could not do it, or found what it was looking for to be broken
	ExitUsage  = 2 // the command line was wrong and nothing was done (1 under the name influx, which has no such code)
)

// Options are what the caller gives the command line. The zero value reads os.Stdin, writes os.Stdout and os.Stderr, and has no `run`.
type Options struct {
	// Name is the name the program was called by (os.Args[0]); a folder and ".exe" are cut off.
	Name     string
	In       io.Reader
	Out, Err io.Writer
	// Getenv looks up environment variables; nil means os.Getenv.
	Getenv func(string) string
	// Run starts a node and returns when it has stopped; nil leaves `run` out of the tree. A FlagError tells that its options were wrong.
	Run func(context.Context, RunOptions) error
	// InUse returns an error when a node has a data folder open: what it writes meanwhile would look damaged. nil asks nobody.
	InUse func(dir string) error
	// Checks are the offline checks of a data folder, in the order `doctor` runs them.
	Checks []Check
}

// app is what the commands of one tree share.
type app struct {
	Options
	build version.Build
	asker *prompter // made at the first question: its buffer must be the only one on In
}

// New returns the tree of commands that fits the name. Main runs it with the conventions of arguments and exit codes; a caller
// that executes it by itself has cobra's.
func New(o Options) *cobra.Command {
	a := &app{Options: o, build: version.Get()}
	a.Name = strings.TrimSuffix(strings.ToLower(filepath.Base(orElse(o.Name, "holdfast"))), ".exe")
	if a.In == nil {
		a.In = os.Stdin
	}
	if a.Out == nil {
		a.Out = os.Stdout
	}
	if a.Err == nil {
		a.Err = os.Stderr
	}
	if a.Getenv == nil {
		a.Getenv = os.Getenv
	}
	root := a.root()
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.completeFlags(cmd) }
	root.SetFlagErrorFunc(commandline.Flag)
	return root
}

func (a *app) root() *cobra.Command {
	switch a.Name {
	case "influx":
		root := a.group("influx", "Influx Client", a.influxCommands()...)
		root.AddCommand(a.versionCommand())
		root.Long = root.Short + " (Holdfast).\n\n" + envHelp
		return root
	case "telegraf":
		if a.Run != nil {
			return a.telegraf()
		}
	}
	root := a.group("holdfast", "Telemetry that holds through outages", a.influxCommands()...)
	if a.Run != nil {
		root.AddCommand(a.runCommand("run"))
	}
	if len(a.Checks) > 0 {
		root.AddCommand(a.doctorCommand())
	}
	if checks := a.checksNamed("journal"); len(checks) > 0 {
		root.AddCommand(a.journalCommand(checks))
	}
	root.AddCommand(a.versionCommand())
	root.Long = root.Short + ".\n\n" + envHelp + "\n\n" + exitHelp
	return root
}

const envHelp = `A flag that shows a variable such as [$INFLUX_HOST] takes its value from there when it is not given; HOLDFAST_HOST is the same
and wins.`

const exitHelp = `Exit codes: 0 done; 1 it could not be done, or a check found damage; 2 the command line was wrong and nothing was done.`

// influxCommands are those that the `influx` command has too.
func (a *app) influxCommands() []*cobra.Command {
	return []*cobra.Command{
		a.setupCommand(), a.pingCommand(), a.orgCommand(), a.userCommand(), a.bucketCommand(), a.authCommand(),
		a.remoteCommand(), a.replicationCommand(), a.writeCommand(), a.queryCommand(), a.deleteCommand(),
		a.v1Command(), a.configCommand(),
	}
}

// Main runs one command line (without the program's name) and returns the exit code. An error is written to Err.
func Main(ctx context.Context, o Options, args []string) int {
	root := New(o)
	root.SetArgs(commandline.Normalise(root, args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	var quiet *silentError
	switch {
	case errors.As(err, &quiet):
	case errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(root.ErrOrStderr(), "Error: interrupted")
	default:
		_, _ = fmt.Fprintf(root.ErrOrStderr(), "Error: %v\n", err)
	}
	if commandline.IsUsage(err) && root.Name() != "influx" {
		return ExitUsage
	}
	return ExitFailed
}

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return commandline.Usage(cmd, fmt.Errorf(format, args...))
}

// FlagError tells that what a flag says cannot be used. The exit code is then that of a wrong command line.
type FlagError struct{ Err error }

func (e *FlagError) Error() string { return e.Err.Error() }

func (e *FlagError) Unwrap() error { return e.Err }

// silentError makes the exit code 1 where the command has already said all there is to say.
type silentError struct{ error }

// group makes a command that only has other commands below it. It looks at its arguments itself: of a misspelt command the name
// is to be told, not the first of the flags that follow it.
func (a *app) group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, SuggestionsMinimumDistance: 2, Args: cobra.ArbitraryArgs, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if arg == "-h" || arg == "--help" {
					return cmd.Help()
				}
			}
			for _, arg := range args {
				if !strings.HasPrefix(arg, "-") {
					return commandline.Unknown(cmd, arg)
				}
			}
			if len(args) > 0 {
				return usagef(cmd, "%q takes no flag %s before the name of a command", cmd.CommandPath(), args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(below...)
	return cmd
}

// leaf makes a command that does something and takes no arguments beside its flags.
func (a *app) leaf(use, short string, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, RunE: run,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef(cmd, "%q takes no argument %q", cmd.CommandPath(), args[0])
			}
			return nil
		},
	}
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
