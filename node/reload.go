package node

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/holdfast-telemetry/holdfast/node/collect"
	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
	"github.com/holdfast-telemetry/holdfast/node/settings"
)

// reloads tells when the configuration is to be loaded again: on SIGHUP, which Windows never sends, and when a watched file changed.
func (o RunOptions) reloads(ctx context.Context) (<-chan string, error) {
	var changed <-chan struct{}
	if o.WatchConfig != "" {
		var err error
		if changed, err = conf.Watch(ctx, o.sources, conf.WatchOptions{Notify: o.WatchConfig == "notify"}); err != nil {
			return nil, err
		}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	reload := make(chan string)
	go func() {
		defer signal.Stop(hangups)
		for {
			why := "SIGHUP"
			select {
			case <-ctx.Done():
				return
			case <-hangups:
			case <-changed:
				why = "a file changed"
			}
			select {
			case reload <- why:
			case <-ctx.Done():
				return
			}
		}
	}()
	return reload, nil
}

// wait returns when the context ends, or with the server's error when it cannot go on. Meanwhile it follows the configuration.
func (n *Node) wait(ctx context.Context, o RunOptions, reload <-chan string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.served:
			return err
		case why := <-reload:
			n.logger.Info("the configuration is loaded again", "because", why)
			c, err := load(ctx, o, n.logger)
			if err == nil {
				err = n.Reload(c.settings, c.inputs)
			}
			if err != nil {
				n.logger.Error("the new configuration is not used, the one before stays in force", "err", err)
			}
		}
	}
}

// Reload changes what the node collects and the replications that are in its configuration. An error means that the configuration is wrong and
// that nothing has changed. What was gathered until then goes where it was to go. Other settings need a new start; the log names those that differ.
func (n *Node) Reload(s settings.Settings, inputs *collect.Config) error {
	differing := n.settings.Differing(s)
	s.Node, s.Journal, s.Store, s.Query = n.settings.Node, n.settings.Journal, n.settings.Store, n.settings.Query
	if _, err := n.replications.plan(s, inputs); err != nil {
		return err
	}
	next, err := n.prepare(inputs)
	if err != nil {
		return err
	}
	if n.collector != nil {
		if err := n.collector.Close(); err != nil {
			n.logger.Error("the collector before did not close cleanly", "err", err)
		}
	}
	// Between the two collectors: a new replication gets what the new one brings, and nothing older.
	if err := n.replications.swap(s, inputs); err != nil {
		n.logger.Error("the replications of the new configuration are not all in force", "err", err)
	}
	if n.collector = next; next != nil {
		next.Start()
	}
	n.mu.Lock()
	n.settings = s
	n.mu.Unlock()
	for _, name := range differing {
		n.logger.Warn("a changed setting takes effect at the next start", "setting", name)
	}
	n.logger.Info("the new configuration is in force")
	return nil
}
