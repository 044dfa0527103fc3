package node

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"

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
	specs, err := configured(s, inputs, r.catalog)
	if err != nil {
		return err
	}
	for _, spec := range specs {
		err := r.set.Add(spec)
		if catalog.CodeOf(err) == catalog.NotFound { // its bucket was deleted
			r.logger.Error("replication of the configuration not started", "replication", spec.Name, "err", err)
		} else if err != nil {
			return fmt.Errorf("replication %q of the configuration: %w", spec.Name, err)
		}
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
	if err = r.set.Update(spec); errors.Is(err, replicate.ErrNotFound) {
		err = r.set.Add(spec)
	}
	return err
}

// configured returns the replications that the configuration asks for: [[replication]] tables and Telegraf outputs.
func configured(s settings.Settings, inputs *collect.Config, c *catalog.Catalog) ([]replicate.Spec, error) {
	var specs []replicate.Spec
	for _, v := range s.Replications {
		bucket, err := localBucket(c, v.Bucket)
		if err != nil {
			return nil, fmt.Errorf("replication %q: %w", v.Name, err)
		}
		r := s.Remotes[slices.IndexFunc(s.Remotes, func(r settings.Remote) bool { return r.Name == v.Remote })] // checked when it was decoded
		order := replicate.OldestFirst
		if v.Order == "newest-first" {
			order = replicate.NewestFirst
		}
		specs = append(specs, replicate.Spec{
			ID: idOf("replication/" + v.Name), Name: v.Name, Bucket: bucket,
			Remote: replicate.Remote{URL: r.URL, Token: r.Token.Reveal(), Username: r.Username, Password: r.Password.Reveal(), Org: r.Org, OrgID: r.OrgID,
				InsecureTLS: r.InsecureTLS, CAFile: r.TLSCA, CertFile: r.TLSCert, KeyFile: r.TLSKey, Proxy: r.Proxy.Reveal()},
			RemoteBucketID: v.RemoteBucketID, RemoteBucketName: v.RemoteBucket, MaxQueueBytes: int64(v.MaxQueueBytes), MaxAge: duration(v.MaxAge),
			DropNonRetryable: v.DropNonRetryable, Order: order, Backfill: v.Backfill, BytesPerSecond: int64(v.BytesPerSecond),
			MaxBatchBytes: int(v.MaxBatchBytes), MaxDelay: duration(v.MaxDelay),
		})
	}
	if inputs == nil {
		return specs, nil
	}
	for _, d := range inputs.Destinations {
		if !atAddress(d.URLs[0], s.Node.Listen) { // what would be sent to this node is in it
			specs = append(specs, destination(d, c.Reserved().Bucket))
		}
	}
	return specs, nil
}

// atAddress reports whether a URL is that of a server listening at host:port on this machine.
func atAddress(target, listen string) bool {
	u, err := url.Parse(target)
	if err != nil {
		return false
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || u.Port() != port {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == host || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// destination makes a replication of a Telegraf output. Its position is kept under the output's name, so that it survives every edit of
// the output's other options.
func destination(d collect.Destination, bucket id.ID) replicate.Spec {
	spec := replicate.Spec{
		ID: idOf("output/" + d.Name), Name: d.Name, Bucket: bucket, BytesPerSecond: d.BytesPerSecond, Order: replicate.OldestFirst,
		Remote: replicate.Remote{URL: d.URLs[0], Token: d.Token.Reveal(), Org: d.Org, Username: d.Username.Reveal(), Password: d.Password.Reveal(),
			Proxy: d.Proxy.Reveal()},
		RemoteBucketName: d.Bucket,
	}
	if d.Kind == "influxdb" {
		spec.RemoteBucketName = d.Database + "/" + d.RetentionPolicy
	}
	if d.TLS != nil {
		spec.Remote.CAFile, spec.Remote.CertFile, spec.Remote.KeyFile = d.TLS.CA, d.TLS.Cert, d.TLS.Key
		spec.Remote.InsecureTLS = d.TLS.InsecureSkipVerify
	}
	if !d.Gzip {
		spec.GzipLevel = -1
	}
	return spec
}

func localBucket(c *catalog.Catalog, idOrName string) (id.ID, error) {
	if idOrName == "" {
		return c.Reserved().Bucket, nil
	}
	all, err := c.Buckets(0)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(all, func(b catalog.Bucket) bool { return b.ID.String() == idOrName || b.Name == idOrName })
	if i < 0 {
		return 0, fmt.Errorf("there is no bucket %q; leave bucket out for the one that this node collects into", idOrName)
	}
	return all[i].ID, nil
}

// idOf gives something that has a name but no id one that is the same at every start.
func idOf(name string) id.ID {
	sum := sha256.Sum256([]byte(name))
	return id.ID(binary.BigEndian.Uint64(sum[:8]) | 1) // never zero
}
