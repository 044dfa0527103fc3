// Package trust runs what holdfast-trust works with, for its tests: a registry (CNCF distribution, from the Debian package
// docker-registry), Vault with its transit engine and its logins, policy-controller beside a cluster of e2e/kube, and cosign. All are
// the released programs, built from their modules where the package comment of the peer says so, on the loopback, without containers.
//
// Each program dies with the process that started it and has its own folder. Registries and Vaults keep what they hold when they are
// stopped or killed and run again. Only one policy-controller can run on a machine: it always listens at the ports 8443 and 8080,
// of all addresses.
//
// Nothing here knows holdfast-trust.
package trust

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// readyTime is how long one program may take to become ready. A machine that is busy with other tests takes long.
const readyTime = 3 * time.Minute

// started runs a program until the test ends, and shows the end of its log when the test has failed.
func started(t testing.TB, p *kube.Program, run func() error) {
	t.Helper()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			log := p.Log()
			t.Logf("end of the log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	if err := run(); err != nil {
		t.Fatal(err)
	}
}

// run starts a program and returns when it is ready.
func run(ctx context.Context, p *kube.Program, what string, ready func(context.Context) error) error {
	if err := p.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return p.Await(ctx, what, ready)
}
