// Command holdfast-operator gives annotated pods a metrics sidecar and keeps its configuration current.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/holdfast-telemetry/holdfast/operator"
	"github.com/holdfast-telemetry/holdfast/operator/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(cli.Main(ctx, cli.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Run: operator.Run, Getenv: os.Getenv}, os.Args[1:]))
}
