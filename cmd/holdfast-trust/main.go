// Command holdfast-trust signs container images by keys that rotate, and keeps clusters to what is signed.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/holdfast-telemetry/holdfast/trust/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(cli.Main(ctx, cli.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}, os.Args[1:]))
}
