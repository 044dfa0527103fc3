// Package cli is the command line of holdfast-trust.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/internal/version"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/settings"
)

// Exit codes of Main.
const (
	ExitDone    = 0 // the command did what it was asked
	ExitFailed  = 1 // the command could not do it, or what it checked is not good
	ExitUsage   = 2 // the command line was wrong and nothing was done
	ExitUnknown = 3 // it could not be found out: a registry or a cluster could not be asked
)

// Options are what the caller gives the command line.
type Options struct {
	In       io.Reader
	Out, Err io.Writer
	// Getenv looks up environment variables.
	Getenv func(string) string
	// Rotation, when it is set, is given the rotation of the keys before it is used. It is for tests.
	Rotation func(*rotation.Rotation)
}

// app is what the commands share.
type app struct {
	Options
	config, data string
	level        string
}

// Main runs one command line (without the program's name) and returns the exit code.
func Main(ctx context.Context, o Options, args []string) int {
	a := &app{Options: o}
	root := &cobra.Command{Use: "holdfast-trust", Short: "Sign container images by keys that rotate, and keep clusters to what is signed"}
	root.PersistentFlags().StringVar(&a.config, "config", "", "the configuration, a YAML file")
	root.PersistentFlags().StringVar(&a.data, "data", "", "the folder of keys, state, tokens and audit log (default holdfast-trust, or what the configuration says)")
	root.PersistentFlags().StringVar(&a.level, "log-level", "info", "debug, info, warn or error")
	root.AddCommand(a.serveCommand(), a.keysCommand(), a.credentialsCommand(), a.signCommand(), a.verifyCommand(), a.imagesCommand(), a.resignCommand(), a.recoverCommand(), a.inventoryCommand(), a.collectCommand(),
		a.syncCommand(), a.selftestCommand(), a.auditCommand(), a.versionCommand())
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
	_, _ = fmt.Fprintf(o.Err, "Error: %v\n", err)
	var unknown *unknownError
	switch {
	case commandline.IsUsage(err):
		return ExitUsage
	case errors.As(err, &unknown):
		return ExitUnknown
	}
	return ExitFailed
}

// unknownError tells that something could not be found out.
type unknownError struct{ error }

func (e *unknownError) Unwrap() error { return e.error }

// arguments checks the number of arguments.
var arguments = commandline.Arguments

// many is a number of arguments without a bound.
const many = 1 << 20

func (a *app) settings() (*settings.Settings, error) { return settings.Read(a.config, a.data) }

func (a *app) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.level)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	return slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: level})), nil
}

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.Out, format, args...) }

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the build", Args: arguments(0, 0), RunE: func(*cobra.Command, []string) error {
		b := version.Get()
		a.printf("holdfast-trust %s (git: %s) build_date: %s\n", b.Version, b.Commit, b.Date)
		return nil
	}}
}
