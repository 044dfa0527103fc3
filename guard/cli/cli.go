// Package cli is the command line of holdfast-guard. Each command has a file of its own, which registers it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/internal/version"
)

// Exit codes of Main.
const (
	ExitDone    = 0 // the command did what it was asked, and found nothing
	ExitFailed  = 1 // it could not do it, or there are findings
	ExitUsage   = 2 // the command line or the settings were wrong and nothing was done
	ExitUnknown = 3 // something could not be read or written, or a cluster could not be asked
	ExitAsks    = 4 // a person has to decide before it goes on
)

// exitCodes are for the help.
const exitCodes = `Exit codes: 0 done, and nothing was found; 1 something was found, refused or failed; 2 the command line or the settings are wrong, and
nothing was done; 3 something could not be read, asked or written; 4 a person has to answer or to look first (recover).`

// Options are what the caller gives the command line.
type Options struct {
	In       io.Reader
	Out, Err io.Writer
	// Getenv looks up environment variables.
	Getenv func(string) string
}

// app is what the commands share.
type app struct{ Options }

// commands makes the commands of the program; each command's file adds its own.
var commands []func(*app) *cobra.Command

// Main runs one command line (without the program's name) and returns the exit code.
func Main(ctx context.Context, o Options, args []string) int {
	klog.SetLogger(klog.Logger{}) // nowhere: what the client logs, its errors say too
	a := &app{Options: o}
	root := a.root()
	root.SetArgs(commandline.Normalise(root, args))
	return a.exit(root.ExecuteContext(ctx))
}

// root makes the whole command line.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{Use: "holdfast-guard", Short: "GitOps that cannot delete production, and the way back",
		Long: `GitOps that cannot delete production, and the way back.

` + exitCodes}
	for _, command := range commands {
		root.AddCommand(command(a))
	}
	root.AddCommand(a.versionCommand())
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(commandline.Flag)
	commandline.Strict(root)
	return root
}

// exit says what went wrong and returns the exit code that it has.
func (a *app) exit(err error) int {
	if err == nil {
		return ExitDone
	}
	var coded *exitError
	if !errors.As(err, &coded) || coded.error != nil {
		_, _ = fmt.Fprintf(a.Err, "Error: %v\n", err)
	}
	switch {
	case commandline.IsUsage(err):
		return ExitUsage
	case coded != nil:
		return coded.code
	}
	return ExitFailed
}

// exitError has the exit code of its error. Without an error the command has said all itself.
type exitError struct {
	code int
	error
}

func (e *exitError) Error() string {
	if e.error == nil {
		return "findings"
	}
	return e.error.Error()
}

func (e *exitError) Unwrap() error { return e.error }

// unknown marks an error as something that could not be found out.
func unknown(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{ExitUnknown, err}
}

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.Out, format, args...) }

// explained says how to name a cluster where none is; what client-go says of that is about itself.
func explained(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return errors.New("there is no kubeconfig: give one by --kubeconfig, or set KUBECONFIG")
	}
	return err
}

// clusterConfig finds the API server.
func clusterConfig(kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, unknown(fmt.Errorf("finding the API server: %w", explained(err)))
	}
	config.UserAgent = "holdfast-guard"
	config.QPS, config.Burst = 200, 400
	return config, nil
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the build", Args: commandline.Arguments(0, 0), RunE: func(*cobra.Command, []string) error {
		b := version.Get()
		a.printf("holdfast-guard %s (git: %s) build_date: %s\n", b.Version, b.Commit, b.Date)
		return nil
	}}
}
