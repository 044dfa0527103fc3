package kube

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// Main runs a package's tests, which share one cluster with nodes on which pods become Running. prepare is called before them; what it
// returns, unless it is nil, is called after them. It returns the status for os.Exit, which is not 0 either when the cluster cannot be
// started or does not end.
func Main(m *testing.M, nodes int, prepare func(context.Context, *Cluster) (stop func(), err error)) (status int) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute) // the first run builds the peers
	defer cancel()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c, err := Start(ctx, Options{})
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			status = fail(err)
		}
	}()
	if err := c.StartKwok(ctx, nodes); err != nil {
		return fail(err)
	}
	stop, err := prepare(ctx, c)
	if err != nil {
		return fail(err)
	}
	if stop != nil {
		defer stop()
	}
	return m.Run()
}

// Eventually waits until check returns nil. The test fails with its last error when that takes longer.
func Eventually(t testing.TB, within time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting until %s: not within %v: %v", what, within, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
