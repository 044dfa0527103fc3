//go:build e2e

// Package guard_test holds the built holdfast-guard against a real control plane.
package guard_test

import (
	"context"
	"os"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// cluster is shared by all tests; each has namespaces and volumes of its own.
var cluster *kube.Cluster

func TestMain(m *testing.M) {
	os.Exit(kube.Main(m, 3, func(ctx context.Context, c *kube.Cluster) (func(), error) {
		cluster = c
		return nil, gitops(ctx)
	}))
}
