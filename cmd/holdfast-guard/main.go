// Command holdfast-guard keeps GitOps from deleting production, and is the way back when something did.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/holdfast-telemetry/holdfast/guard/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(cli.Main(ctx, cli.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}, os.Args[1:]))
}
