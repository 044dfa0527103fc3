package node

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/collect"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
	"github.com/holdfast-telemetry/holdfast/node/settings"
)

// plan returns the replications that a configuration asks for: [[replication]] tables and Telegraf outputs. One whose local bucket does not
// exist is left out and told in the log; it starts when the bucket is made.
func (r *replications) plan(s settings.Settings, inputs *collect.Config) ([]replicate.Spec, error) {
	buckets, err := r.catalog.Buckets(0)
	if err != nil {
		return nil, err
	}
	var specs []replicate.Spec
	for _, v := range s.Replications {
		bucket := r.catalog.Reserved().Bucket
		if v.Bucket != "" {
			i := slices.IndexFunc(buckets, func(b catalog.Bucket) bool { return b.ID.String() == v.Bucket || b.Name == v.Bucket })
			if i < 0 {
				r.logger.Warn("a replication of the configuration waits for its bucket to be made; without a bucket it sends what this node collects",
					"replication", v.Name, "bucket", v.Bucket)
				continue
			}
			bucket = buckets[i].ID
		}
		remote := s.Remotes[slices.IndexFunc(s.Remotes, func(r settings.Remote) bool { return r.Name == v.Remote })] // checked when it was decoded
		specs = append(specs, fromTable(v, remote, bucket))
	}
	if inputs != nil {
		for _, d := range inputs.Destinations {
			if !atAddress(d.URLs[0], s.Node.Listen) { // what would be sent to this node is in it
				specs = append(specs, destination(d, r.catalog.Reserved().Bucket))
				for _, option := range withoutEffect(d) {
					r.logger.Warn("an option of an output has no effect yet", "output", d.Name, "file", d.File, "line", d.Line, "option", option)
				}
			}
		}
	}
	return specs, checkSpecs(specs)
}

func checkSpecs(specs []replicate.Spec) error {
	for _, spec := range specs {
		if err := spec.Check(); err != nil {
			return fmt.Errorf("replication %q of the configuration: %w", spec.Name, err)
		}
	}
	return nil
}

// checkReplications returns what is wrong with the replications of a configuration, whichever buckets there are.
func checkReplications(s settings.Settings, inputs *collect.Config) error {
	const any = id.ID(1)
	var specs []replicate.Spec
	for _, v := range s.Replications {
		remote := s.Remotes[slices.IndexFunc(s.Remotes, func(r settings.Remote) bool { return r.Name == v.Remote })] // checked when it was decoded
		specs = append(specs, fromTable(v, remote, any))
	}
	for _, d := range inputs.Destinations {
		specs = append(specs, destination(d, any))
	}
	return checkSpecs(specs)
}

// swap takes over a configuration. An error means that it is wrong, and that nothing has changed.
func (r *replications) swap(s settings.Settings, inputs *collect.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	specs, err := r.plan(s, inputs)
	if err != nil {
		return err
	}
	r.settings, r.inputs = s, inputs
	r.install(specs)
	return nil
}

// refresh plans again, because the buckets have changed.
func (r *replications) refresh() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	specs, err := r.plan(r.settings, r.inputs)
	if err != nil {
		return err
	}
	r.install(specs)
	return nil
}

// install makes the running replications of the configuration those of the plan. One that is in it no more stops and keeps its position and
// what it has not sent. A replication that cannot be started does not keep the others from it. The lock is held.
func (r *replications) install(specs []replicate.Spec) {
	var running []catalog.Replication
	for _, spec := range specs {
		v := catalog.Replication{ID: spec.ID, Name: spec.Name, LocalBucketID: spec.Bucket, OrgID: r.catalog.Reserved().Org}
		if b, err := r.catalog.Bucket(spec.Bucket); err == nil { // the reserved one is there from set-up on
			v.OrgID = b.OrgID
		}
		running = append(running, v)
		if err := r.put(spec); err != nil {
			r.logger.Error("replication of the configuration not started", "replication", spec.Name, "err", err)
		}
	}
	for _, v := range r.running {
		if slices.ContainsFunc(running, func(o catalog.Replication) bool { return o.ID == v.ID }) {
			continue
		}
		last, err := r.set.Release(v.ID)
		if err != nil {
			r.logger.Error("replication not stopped", "replication", v.Name, "err", err)
			continue
		}
		r.logger.Info("a replication is in the configuration no more; its position is kept and used when it comes back",
			"replication", v.Name, "unsent bytes", last.RemainingBytes)
	}
	r.running = running
}

// configured returns the running replications of the configuration.
func (r *replications) configured() []catalog.Replication {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.running)
}

// fromTable returns the spec of a [[replication]]. Its position is kept under its name and its bucket.
func fromTable(v settings.Replication, r settings.Remote, bucket id.ID) replicate.Spec {
	order := replicate.OldestFirst
	if v.Order == "newest-first" {
		order = replicate.NewestFirst
	}
	return replicate.Spec{
		ID: idOf("replication/" + bucket.String() + "/" + v.Name), Name: v.Name, Bucket: bucket,
		Remote: replicate.Remote{URL: r.URL, Token: r.Token.Reveal(), Username: r.Username, Password: r.Password.Reveal(), Org: r.Org, OrgID: r.OrgID,
			InsecureTLS: r.InsecureTLS, CAFile: r.TLSCA, CertFile: r.TLSCert, KeyFile: r.TLSKey, Proxy: r.Proxy.Reveal()},
		RemoteBucketID: v.RemoteBucketID, RemoteBucketName: v.RemoteBucket, MaxQueueBytes: int64(v.MaxQueueBytes), MaxAge: duration(v.MaxAge),
		DropNonRetryable: v.DropNonRetryable, Order: order, Backfill: v.Backfill, BytesPerSecond: int64(v.BytesPerSecond),
		MaxBatchBytes: int(v.MaxBatchBytes), MaxDelay: duration(v.MaxDelay),
	}
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

// withoutEffect returns the options of an output that a replication does not heed.
func withoutEffect(d collect.Destination) (options []string) {
	for option, given := range map[string]bool{
		"urls, but for the first": len(d.URLs) > 1, "http_headers": len(d.Headers) > 0, "user_agent": d.UserAgent != "",
		"tls_server_name": d.TLS != nil && d.TLS.ServerName != "", "tls_min_version": d.TLS != nil && d.TLS.MinVersion != "",
		"tls_key_pwd": d.TLS != nil && d.TLS.KeyPassword != "",
	} {
		if given {
			options = append(options, option)
		}
	}
	slices.Sort(options)
	return options
}

// idOf gives something that has a name but no id one that is the same at every start.
func idOf(name string) id.ID {
	sum := sha256.Sum256([]byte(name))
	return id.ID(binary.BigEndian.Uint64(sum[:8]) | 1) // never zero
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
