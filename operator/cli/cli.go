// Package cli is the command line of holdfast-operator. Without a command it runs an operator, with the flags of telegraf-operator and
// our own; the other commands need no cluster.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/internal/version"
	"github.com/holdfast-telemetry/holdfast/operator"
)

// Exit codes of Main.
const (
	ExitDone   = 0 // the command did what it was asked
	ExitFailed = 1 // the command could not do it, or what it checked is not good
	ExitUsage  = 2 // the command line was wrong and nothing was done
	ExitUnread = 3 // what was to be checked could not be read, or the agent not be asked about it
)

// Options are what the caller gives the command line.
type Options struct {
	In       io.Reader
	Out, Err io.Writer
	// Run runs an operator until the context ends.
	Run func(context.Context, operator.Options) error
	// Getenv looks up environment variables.
	Getenv func(string) string
}

// app is what the commands share.
type app struct{ Options }

// Main runs one command line (without the program's name) and returns the exit code.
func Main(ctx context.Context, o Options, args []string) int {
	a := &app{o}
	root := a.runCommand("holdfast-operator")
	root.AddCommand(a.runCommand("run"), a.previewCommand(), a.checkCommand(), a.checkerCommand(), a.installCheckerCommand(), a.versionCommand())
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(commandline.Flag)
	commandline.Strict(root)
	root.SetArgs(commandline.Normalise(root, args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	var silent silentError
	if !errors.As(err, &silent) {
		_, _ = fmt.Fprintf(o.Err, "Error: %v\n", err)
	}
	var unread unreadError
	switch {
	case commandline.IsUsage(err):
		return ExitUsage
	case errors.As(err, &unread):
		return ExitUnread
	}
	return ExitFailed
}

// unreadError makes the exit code that of a check which could not be made: a pipeline must not take it for one that found nothing.
type unreadError struct{ error }

// checking makes a command of a check: what it did not say itself kept it from its work.
func checking(check func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		var found silentError
		if err == nil || commandline.IsUsage(err) || errors.As(err, &found) {
			return err
		}
		return unreadError{err}
	}
}

// notAsked is the error of an agent that was named and could not be asked.
func notAsked(path string, err error) error {
	return fmt.Errorf("%w: is %s, of --agent, a telegraf?", err, path)
}

// silentError makes the exit code 1 where the command has already said all there is to say.
type silentError struct{ error }

// arguments checks the number of arguments.
var arguments = commandline.Arguments

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the build", Args: arguments(0, 0), RunE: func(*cobra.Command, []string) error {
		b := version.Get()
		_, err := fmt.Fprintf(a.Out, "holdfast-operator %s (git: %s) build_date: %s\n", b.Version, b.Commit, b.Date)
		return err
	}}
}
