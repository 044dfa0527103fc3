package operator

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/discovery"
)

// nativeSince is the minor version of Kubernetes 1 that has native sidecars without being asked for them.
const nativeSince = 29

// nativeSidecars knows whether the API server has native sidecars. A cluster is upgraded while the operator runs, so it asks again.
type nativeSidecars struct {
	client discovery.ServerVersionInterface
	logger *slog.Logger
	have   atomic.Bool
}

func (n *nativeSidecars) known() bool { return n.have.Load() }

// NeedLeaderElection says that every replica needs to know.
func (n *nativeSidecars) NeedLeaderElection() bool { return false }

// Start asks now and then until the context ends.
func (n *nativeSidecars) Start(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := n.look(); err != nil {
			n.logger.Warn("asking for the API server's version", "error", err)
		}
	}
}

func (n *nativeSidecars) look() error {
	v, err := n.client.ServerVersion()
	if err != nil {
		return fmt.Errorf("asking for the API server's version: %w", err)
	}
	minor, err := strconv.Atoi(strings.TrimRight(v.Minor, "+"))
	if err != nil {
		return fmt.Errorf("the API server's version %q cannot be read; say --sidecar-mode native or container", v.String())
	}
	if have := v.Major != "1" || minor >= nativeSince; n.have.Swap(have) != have {
		n.logger.Info("native sidecars", "available", have, "version", v.GitVersion)
	}
	return nil
}
