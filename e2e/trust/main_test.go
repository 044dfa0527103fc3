//go:build e2e

package trust_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/e2e/trust/watch"
)

// What all tests share: one control plane, and the policy-controller of it.
var (
	cluster    *kube.Cluster
	controller *trust.PolicyController
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute) // the first run builds the peers
	defer cancel()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	start := time.Now()
	if cluster, err = kube.Start(ctx, kube.Options{}); err != nil {
		return fail(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			status = fail(err)
		}
	}()
	up := time.Now()
	if controller, err = trust.StartPolicyController(ctx, cluster); err != nil {
		return fail(err)
	}
	defer controller.Stop()
	defer func() {
		if err := watch.RemoveFaulty(); err != nil {
			status = fail(err)
		}
	}()
	fmt.Printf("control plane %.1fs, policy-controller %.1fs\n", up.Sub(start).Seconds(), time.Since(up).Seconds())
	return m.Run()
}
