// Package node wires the rooms into one process and starts and stops them in order: catalog, store and journals, replications,
// the HTTP server, and last what collects, so that nothing arrives before there is a place for it.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/api"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/collect"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
	"github.com/holdfast-telemetry/holdfast/node/settings"
	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/holdfast-telemetry/holdfast/node/ui"
)

// Node is a running node. Everything it keeps is below one folder.
type Node struct {
	logger   *slog.Logger
	registry *prometheus.Registry
	// closing ends when Close is called: nobody waits for room any more.
	closing context.Context
	close   context.CancelFunc

	mu       sync.Mutex // of settings
	settings settings.Settings

	catalog      *catalog.Catalog
	store        *store.Store
	buckets      *buckets
	replications *replications
	server       *api.Server
	stopServing  context.CancelFunc
	served       chan error // gets what ended the server, and is closed
	unwatch      func()
	collector    *collect.Collector
}

// Open starts a node: when it returns, the node answers and, with a configuration that has inputs, collects. Close it.
func Open(s settings.Settings, inputs *collect.Config, b Build, logger *slog.Logger) (n *Node, err error) {
	n = newNode(s, logger)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
			n = nil
		}
	}()
	if err := n.openRooms(inputs, b, false); err != nil {
		return n, err
	}
	if err := n.listen(b); err != nil {
		return n, err
	}
	if n.collector, err = n.prepare(inputs); n.collector != nil {
		n.collector.Start()
	}
	return n, err
}

func newNode(s settings.Settings, logger *slog.Logger) *Node {
	n := &Node{settings: s, logger: logger, registry: prometheus.NewRegistry()}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.closing, n.close = context.WithCancel(context.Background())
	return n
}

// openRooms opens what keeps points and sends them on. With hasty, replications let no point wait for company.
func (n *Node) openRooms(inputs *collect.Config, b Build, hasty bool) (err error) {
	if err := os.MkdirAll(n.settings.Node.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w; another can be given as data under [node] or as --data", err)
	}
	if n.catalog, err = catalog.Open(filepath.Join(n.settings.Node.Data, "catalog.db"), catalog.Options{}); err != nil {
		return err
	}
	if err := n.openEngine(); err != nil {
		return err
	}
	n.replications, err = newReplications(n.settings.Node.Data, n.buckets, n.catalog, b.Version, n.logger, n.registry)
	if err != nil {
		return err
	}
	n.replications.hasty = hasty
	n.unwatch = n.catalog.Watch(n.follow)
	return n.replications.start(n.settings, inputs)
}

// prepare makes the collector of a configuration, nil when that has no inputs.
func (n *Node) prepare(inputs *collect.Config) (*collect.Collector, error) {
	if inputs == nil || inputs.Inputs() == 0 {
		return nil, nil
	}
	return collect.Prepare(inputs, n.collectOptions())
}

func (n *Node) collectOptions() collect.Options {
	return collect.Options{Sink: sink{n}, Logger: n.logger, Registerer: n.registry}
}

func (n *Node) openEngine() (err error) {
	o := storeOptions(n.settings.Store)
	o.Dir, o.Logger, o.Registerer = filepath.Join(n.settings.Node.Data, "store"), n.logger, n.registry
	if n.store, err = store.Open(o); err != nil {
		return err
	}
	n.buckets = &buckets{
		dir: n.settings.Node.Data, journal: journalOptions(n.settings.Journal), catalog: n.catalog, store: n.store,
		registry: n.registry, logger: n.logger, now: time.Now, open: map[id.ID]*bucket{}, shut: map[id.ID]bool{},
	}
	n.buckets.tidy()
	return n.buckets.openAll()
}

// follow applies a change of the catalog to what runs.
func (n *Node) follow(c catalog.Change) {
	n.replications.apply(c)
	if c.Resource != catalog.BucketsType {
		return
	}
	var err error
	switch c.Op {
	case catalog.Deleted:
		err = n.buckets.drop(c.ID)
	case catalog.Created, catalog.Updated: // set-up creates the reserved bucket, which is open already
		err = n.buckets.retain(c.ID)
	}
	if err != nil {
		n.logger.Error("bucket not changed", "bucket", c.ID.String(), "err", err)
	}
}

// sink is where this node's own inputs write: the bucket that set-up names.
type sink struct{ n *Node }

// Write stores what was gathered. While the node has no room it waits, because nobody offers the points again; the input's next
// gathers are left out meanwhile.
func (s sink) Write(ctx context.Context, b *line.Batch) error {
	for {
		err := s.n.buckets.Write(ctx, s.n.catalog.Reserved().Bucket, b)
		if !errors.Is(err, journal.ErrFull) && !errors.Is(err, store.ErrBusy) {
			return err
		}
		select {
		case <-time.After(sinkRetry):
		case <-ctx.Done():
			return err
		case <-s.n.closing.Done():
			return fmt.Errorf("%w: %w", errClosing, err)
		}
	}
}

// sinkRetry is how long a gather waits before it asks for room again.
const sinkRetry = time.Second

// listen starts the HTTP server.
func (n *Node) listen(b Build) (err error) {
	data := databases{n.buckets}
	executor := query.NewExecutor(query.Options{
		Databases: data, Deleter: data, CreateDatabase: data.createDatabase, Limits: queryLimits(n.settings.Query), Logger: n.logger,
	})
	handler := api.New(api.Options{
		Catalog: n.catalog, Writer: n.buckets, Querier: &querier{executor}, Deleter: n.buckets,
		Replications: n.replications.set, Engine: n.buckets,
		Version: b.Version, Commit: b.Commit, Config: n.shown, Configured: n.replications.configured, Pages: ui.Pages(), Registry: n.registry,
		Limits: api.Limits{WriteBytes: int64(n.settings.Node.MaxBody)}, Logger: n.logger,
	})
	n.server, err = api.NewServer(handler, api.ServerOptions{
		Address: n.settings.Node.Listen, CertFile: n.settings.Node.TLSCert, KeyFile: n.settings.Node.TLSKey, Logger: n.logger,
	})
	if unheard := new(net.OpError); errors.As(err, &unheard) {
		return fmt.Errorf("%w; another address can be given as listen under [node] or as --listen", err)
	} else if err != nil {
		return fmt.Errorf("%w; the files are those of tls_cert and tls_key under [node]", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stopServing, n.served = cancel, make(chan error, 1)
	go func() {
		defer close(n.served)
		n.served <- n.server.Serve(ctx)
	}()
	return nil
}

// URL returns where the node answers.
func (n *Node) URL() string { return n.server.URL() }

// Announce tells a person where the node is and, before it is set up, how to do that.
func (n *Node) Announce(out io.Writer) error {
	allowed, err := n.catalog.SetupAllowed()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("Holdfast answers at %s, its data is in %s\n", n.URL(), n.settings.Node.Data)
	if allowed {
		text += fmt.Sprintf("Set it up at %s/setup or with: holdfast setup --host %s\n", n.URL(), n.URL())
	}
	_, err = io.WriteString(out, text)
	return err
}

// Close stops what brings points in, lets requests finish, and closes the rooms from the top down. What was acknowledged is
// durable already; Close only makes the next start quicker.
func (n *Node) Close() error {
	n.close()
	var errs []error
	if n.collector != nil {
		errs = append(errs, n.collector.Close())
	}
	if n.stopServing != nil {
		n.stopServing()
		errs = append(errs, <-n.served)
	}
	if n.unwatch != nil {
		n.unwatch()
	}
	if n.replications != nil {
		errs = append(errs, n.replications.set.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.buckets != nil {
		errs = append(errs, n.buckets.close())
	}
	if n.catalog != nil {
		errs = append(errs, n.catalog.Close())
	}
	return errors.Join(errs...)
}

// shown is the configuration for operators. Secrets hide themselves; URLs are shown without the credentials that they may hold.
func (n *Node) shown() map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.settings
	s.Remotes = slices.Clone(s.Remotes)
	for i := range s.Remotes {
		s.Remotes[i].URL = replicate.Remote{URL: s.Remotes[i].URL}.String()
	}
	return map[string]any{"node": s.Node, "journal": s.Journal, "store": s.Store, "query": s.Query, "remotes": s.Remotes, "replications": s.Replications}
}
