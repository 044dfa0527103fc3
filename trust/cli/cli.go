// Package cli is the command line of holdfast-trust.
package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/internal/version"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/settings"
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
	root := &cobra.Command{Use: "holdfast-trust", Short: "Sign container images by keys that rotate, and keep clusters to what is signed",
		Long: "Sign container images by keys that rotate, and keep clusters to what is signed.\n\n" + exitCodes}
	root.PersistentFlags().StringVar(&a.config, "config", "", "the configuration, a YAML file")
	root.PersistentFlags().StringVar(&a.data, "data", "", "the folder of keys, state, tokens and audit log (default holdfast-trust, or what the configuration says)")
	root.PersistentFlags().StringVar(&a.level, "log-level", "info", "debug, info, warn or error")
	root.AddCommand(a.serveCommand(), a.keysCommand(), a.credentialsCommand(), a.signCommand(), a.verifyCommand(), a.imagesCommand(), a.resignCommand(), a.recoverCommand(), a.inventoryCommand(), a.collectCommand(),
		a.syncCommand(), a.selftestCommand(), a.auditCommand(), a.versionCommand())
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(commandline.Flag)
	commandline.Strict(root)
	root.SetArgs(commandline.Normalise(root, args))
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // what the library says beside its errors
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	_, _ = fmt.Fprintf(o.Err, "Error: %v\n", err)
	return exitCode(err)
}

// arguments checks the number of arguments.
var arguments = commandline.Arguments

// many is a number of arguments without a bound.
const many = 1 << 20

func (a *app) settings() (*settings.Settings, error) {
	s, err := settings.Read(a.config, a.data)
	if err != nil {
		return nil, &settingsError{err}
	}
	return s, nil
}

func (a *app) logger(cmd *cobra.Command) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.level)); err != nil {
		return nil, commandline.Usage(cmd, fmt.Errorf("--log-level %q is not understood: it is debug, info, warn or error", a.level))
	}
	return slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: level})), nil
}

// tell says something that is not the command's output.
func (a *app) tell(format string, args ...any) { _, _ = fmt.Fprintf(a.Err, format+"\n", args...) }

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.Out, format, args...) }

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the build", Args: arguments(0, 0), RunE: func(*cobra.Command, []string) error {
		b := version.Get()
		a.printf("holdfast-trust %s (git: %s) build_date: %s\n", b.Version, b.Commit, b.Date)
		return nil
	}}
}
