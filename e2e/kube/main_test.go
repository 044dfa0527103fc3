//go:build e2e

package kube_test

import (
	"context"
	"os"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// nodes that pods become Running on.
const nodes = 3

var cluster *kube.Cluster

func TestMain(m *testing.M) {
	os.Exit(kube.Main(m, nodes, func(_ context.Context, c *kube.Cluster) (func(), error) {
		cluster = c
		return nil, nil
	}))
}
