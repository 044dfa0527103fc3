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
	running  []catalog.Replication // those of the configuration
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
	return &replications{set: set, catalog: c, logger: logger}, nil
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
