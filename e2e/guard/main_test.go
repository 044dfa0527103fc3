//go:build e2e

// Package guard_test holds the built holdfast-guard against a real control plane.
package guard_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// cluster is shared by all tests; each has namespaces and volumes of its own.
var cluster *kube.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute) // the first run builds the peers
	defer cancel()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if cluster, err = kube.Start(ctx, kube.Options{}); err != nil {
		return fail(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			status = fail(err)
		}
	}()
	if err := cluster.StartKwok(ctx, 3); err != nil {
		return fail(err)
	}
	if err := gitops(ctx); err != nil {
		return fail(err)
	}
	return m.Run()
}
