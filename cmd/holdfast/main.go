// Command holdfast collects metrics, keeps them, answers queries and replicates them through outages.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/holdfast-telemetry/holdfast/node"
	"github.com/holdfast-telemetry/holdfast/node/cli"
	"github.com/holdfast-telemetry/holdfast/node/collect"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(cli.Main(ctx, cli.Options{
		Name:   os.Args[0],
		Run:    run,
		InUse:  cli.CatalogInUse("catalog.db"),
		Checks: []cli.Check{cli.CatalogCheck("catalog.db"), cli.JournalCheck("journal/*"), cli.StoreCheck("store/*")},
	}, os.Args[1:]))
}

func run(ctx context.Context, o cli.RunOptions) error {
	err := node.Run(ctx, node.RunOptions(o))
	if wrong := new(collect.FilterError); errors.As(err, &wrong) {
		return &cli.FlagError{Err: err}
	}
	return err
}
