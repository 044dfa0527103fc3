//go:build e2e

package argocd_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/argocd"
)

func TestMain(m *testing.M) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute) // the first run builds the peers
	err := argocd.Prepare(ctx)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(argocd.Privately(m.Run))
}
