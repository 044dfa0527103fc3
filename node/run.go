package node

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/version"
	"github.com/holdfast-telemetry/holdfast/node/collect"
)

// Run runs a node until the context ends. On SIGHUP, and with WatchConfig when a file changes, it loads the configuration again.
func Run(ctx context.Context, o RunOptions) error {
	if o.Check {
		c, err := load(ctx, o, nil)
		if err != nil {
			return err
		}
		return checkReplications(c.settings, c.inputs)
	}
	if o.Test {
		c, err := load(ctx, o, nil)
		if err != nil {
			return err
		}
		return collect.Test(ctx, c.inputs, collect.Options{Logger: c.logger}, time.Duration(o.TestWait)*time.Second, os.Stdout)
	}
	if o.Once {
		return runOnce(ctx, o)
	}
	reload, err := o.reloads(ctx) // before the configuration is read, so that no change is missed
	if err != nil {
		return err
	}
	c, err := load(ctx, o, nil)
	if err != nil {
		return err
	}
	n, err := Open(c.settings, c.inputs, version.Get(), c.logger)
	if err != nil {
		return err
	}
	if err := n.Announce(os.Stdout); err != nil {
		return errors.Join(err, n.Close())
	}
	err = n.wait(ctx, o, reload)
	return errors.Join(err, n.Close())
}
