package node

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/collect"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
	"github.com/holdfast-telemetry/holdfast/node/settings"
)

// replications keeps the running replications in step with the catalog and the configuration.
type replications struct {
	set     *replicate.Set
	catalog *catalog.Catalog
	logger  *slog.Logger
	hasty   bool // no point waits for company

	mu       sync.Mutex
	settings settings.Settings
	inputs   *collect.Config
	running  map[id.ID]string // names of the replications of the configuration that run
}

func newReplications(dir string, bs *buckets, c *catalog.Catalog, version string, logger *slog.Logger, registry prometheus.Registerer) (*replications, error) {
	set, err := replicate.NewSet(replicate.Options{
		Dir: filepath.Join(dir, "replication"),
		Journal: func(i id.ID) (journal.Log, error) {
			b, err := bs.get(i)
			if err != nil {
				return nil, err
			}
			return b.log, nil
		},
		Rows: func(i id.ID) replicate.Rows {
			b, err := bs.get(i)
			if err != nil {
				return nil
			}
			return replicate.RowsOf(b.store)
		},
		Version: version, Logger: logger, Registerer: registry,
	})
	if err != nil {
		return nil, err
	}
	return &replications{set: set, catalog: c, logger: logger, running: map[id.ID]string{}}, nil
}

// start adds what the catalog and the configuration have. A replication that cannot be started does not keep the others, nor
// the node, from starting.
func (r *replications) start(s settings.Settings, inputs *collect.Config) error {
	all, err := r.catalog.Replications(0)
	if err != nil {
		return err
	}
	for _, c := range all {
		r.apply(catalog.Change{Resource: catalog.ReplicationsType, ID: c.ID, Op: catalog.Created})
	}
	if err := r.swap(s, inputs); err != nil {
		return err
	}
	left, err := r.set.Leftovers()
	if err != nil {
		return err
	}
	for _, i := range left {
		r.logger.Warn("a replication's position is kept that nothing uses; it is used again when the replication comes back", "replication", i.String())
	}
	return nil
}

// apply follows a change of the catalog.
func (r *replications) apply(c catalog.Change) {
	switch {
	case c.Resource == catalog.BucketsType:
		if err := r.refresh(); err != nil {
			r.logger.Error("replications of the configuration do not follow the changed buckets", "err", err)
		}
	case c.Resource == catalog.RemotesType && c.Op == catalog.Updated:
		all, err := r.catalog.Replications(0)
		if err != nil {
			r.logger.Error("replications of a changed remote not updated", "remote", c.ID.String(), "err", err)
		}
		for _, v := range all {
			if v.RemoteID == c.ID {
				r.apply(catalog.Change{Resource: catalog.ReplicationsType, ID: v.ID, Op: catalog.Updated})
			}
		}
	case c.Resource != catalog.ReplicationsType:
	case c.Op == catalog.Deleted:
		last, err := r.set.Remove(c.ID)
		if err != nil && !errors.Is(err, replicate.ErrNotFound) {
			r.logger.Error("replication not removed", "replication", c.ID.String(), "err", err)
		} else if last.RemainingBytes > 0 {
			r.logger.Warn("a replication was deleted with points that it had not sent", "replication", c.ID.String(), "bytes", last.RemainingBytes)
		}
	default:
		if err := r.run(c.ID); err != nil {
			r.logger.Error("replication not started", "replication", c.ID.String(), "err", err)
		}
	}
}

// run brings one replication in line with the catalog.
func (r *replications) run(i id.ID) error {
	v, err := r.catalog.Replication(i)
	if err != nil {
		return err
	}
	spec, err := r.catalog.Spec(v)
	if err != nil {
		return err
	}
	return r.put(spec)
}

// put starts a replication, or changes it when it runs.
func (r *replications) put(spec replicate.Spec) error {
	if r.hasty {
		spec.MaxDelay = -1
	}
	err := r.set.Update(spec)
	if errors.Is(err, replicate.ErrNotFound) {
		err = r.set.Add(spec)
	}
	return err
}
