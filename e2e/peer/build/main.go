// Command build compiles the peers that it is given the names of, or all of them, into the cache that the tests look in. It
// takes minutes of the first run out of the tests' own time; without it they build what they need themselves.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	if len(names) == 0 {
		all, err := peer.Names()
		if err != nil {
			return err
		}
		names = all
	}
	for _, name := range names {
		start := time.Now()
		dir, err := peer.Build(ctx, name)
		if err != nil {
			return err
		}
		fmt.Printf("%s %s %s\n", name, time.Since(start).Round(time.Second/10), dir)
	}
	return nil
}
