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
	root.SetFlagErrorFunc(commandline.Usage)
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
	if commandline.IsUsage(err) {
		return ExitUsage
	}
	return ExitFailed
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
