// Package api is the node's HTTP surface: InfluxDB 2's at /api/v2, the 1.x one at /write and /query, our own at
// /api/holdfast/v1, and health, readiness, ping and metrics.
//
// It promises the shapes, status codes and texts that InfluxDB 2's command, Telegraf, the client libraries and Grafana expect,
// that every answer to a request outside the few public paths was allowed by a permission, that a body costs a bounded
// amount of memory however it is compressed, and that a handler's panic ends its request and nothing else. It keeps no
// state: that is the catalog's, and what it does not know itself it asks through the interfaces below, which the node implements.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

// Writer stores points. It returns when they are durable.
//
// A *store.PartialWrite tells that the other points are stored. journal.ErrFull asks the client to come back later
// (after what a RetryAfter() time.Duration method of the error says) and journal.ErrFailed says that the node stores nothing until
// it is started again. A *catalog.Error goes to the client as it is. The batch is the caller's again afterwards.
type Writer interface {
	Write(ctx context.Context, bucket id.ID, batch *line.Batch) error
}

// Deleter deletes the points of a bucket from start to stop, both inclusive, in ns since the epoch, that satisfy a predicate such as
// `_measurement="m" AND tag="v"`; an empty predicate is satisfied by all. A predicate that is wrong or not supported is a
// *catalog.Error.
type Deleter interface {
	Delete(ctx context.Context, bucket id.ID, start, stop int64, predicate string) error
}

// Querier answers InfluxQL. It writes the whole answer, or returns an error before it has written anything.
type Querier interface {
	Query(ctx context.Context, w http.ResponseWriter, q *Query) error
}

// Query is one request to /query.
type Query struct {
	// Text is one or more statements, separated by semicolons.
	Text string
	// Database and RetentionPolicy are what statements mean that name none; they may be empty.
	Database, RetentionPolicy string
	// Epoch is the unit of times in the answer; empty means RFC 3339.
	Epoch     string
	Chunked   bool
	ChunkSize int             // rows, always positive
	Params    json.RawMessage // the values of $name, a JSON object or nil
	Accept    string          // the Accept header as sent
	ReadOnly  bool            // asked by GET: what changes something is refused
	Access    *Access         // what the one who asks may see
}

// Replications tells about running replications and acts on them. *replicate.Set is one. That a replication is paused or
// changed is in the catalog, whose watchers act on it. A replication that does not run is replicate.ErrNotFound.
type Replications interface {
	Status(replication id.ID) (replicate.Status, error)
	// Validate checks that the remote takes writes to the bucket: one write with an empty body.
	Validate(ctx context.Context, spec replicate.Spec) error
	DeadLetters(replication id.ID) ([]replicate.DeadLetter, error)
	RetryDeadLetters(replication id.ID, letters ...int64) error
	PurgeDeadLetters(replication id.ID, letters ...int64) (int, error)
	Gaps(replication id.ID) ([]replicate.Gap, error)
	Fill(ctx context.Context, replication id.ID, gap int) error
	Resync(ctx context.Context, replication id.ID, min, max int64) error
}

var _ Replications = (*replicate.Set)(nil)

// Engine tells about what keeps the points.
type Engine interface {
	// BucketStatus returns false for a bucket that was never written to.
	BucketStatus(bucket id.ID) (BucketStatus, bool)
	// Health returns what keeps the node from reading and writing, nil when nothing does.
	Health() error
}

// BucketStatus is what is kept of a bucket. Positions are the journal's.
type BucketStatus struct {
	JournalFirst  uint64 `json:"journalFirst"`
	JournalLast   uint64 `json:"journalLast"`
	JournalBytes  int64  `json:"journalBytes"`
	StoreApplied  uint64 `json:"storeApplied"`
	StoreFlushed  uint64 `json:"storeFlushed"`
	StoreBytes    int64  `json:"storeBytes"`
	StoreSeries   int64  `json:"storeSeries"`
	StoreProblems string `json:"storeProblems,omitempty"`
}

// Limits bound what requests may cost. A zero field means its default.
type Limits struct {
	// WriteBytes is the longest body of a write, after decompression: 32 MiB.
	WriteBytes int64
	// HeldBytes is the most that all writes in progress may hold in bodies: 256 MiB. Beyond it a write is told to come back.
	HeldBytes int64
	// JSONBytes is the longest body of a request about a resource: 1 MiB.
	JSONBytes int64
	// QueryBytes is the longest body of a query: 8 MiB.
	QueryBytes int64
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, otherwise int64) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	set(&l.WriteBytes, 32<<20)
	set(&l.HeldBytes, 256<<20)
	set(&l.JSONBytes, 1<<20)
	set(&l.QueryBytes, 8<<20)
	return l
}

// Options of New. Catalog, Writer, Querier, Deleter, Replications and Engine are required.
type Options struct {
	Catalog      *catalog.Catalog
	Writer       Writer
	Querier      Querier
	Deleter      Deleter
	Replications Replications
	Engine       Engine

	// Version is told to clients, with a v in front where they expect one; Commit is the source's revision.
	Version, Commit string
	// Configured returns the replications that run because the node's configuration says so. They are not in the catalog and cannot be changed
	// here; ID, OrgID, Name and LocalBucketID are set. Nil means none.
	Configured func() []catalog.Replication
	// Config is what GET /api/v2/config shows operators. It must hold no secret. Nil shows nothing.
	Config func() map[string]any
	// Pages serves GET requests of all paths that are not the API's. Nil answers them with 404.
	Pages http.Handler
	// Registry takes the handler's metrics and is what /metrics serves; nil disables /metrics.
	Registry *prometheus.Registry
	Limits   Limits
	Logger   *slog.Logger     // nil discards
	Now      func() time.Time // nil means time.Now
}

// Handler serves the API.
type Handler struct {
	Options
	mux     *http.ServeMux
	metrics *metrics
	started time.Time
	writes  *writes
	// origin refuses what a browser sends on behalf of another site's page.
	origin *http.CrossOriginProtection
}

// New returns the handler of all paths.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.Limits.withDefaults()
	h := &Handler{Options: o, mux: http.NewServeMux(), started: o.Now(), origin: http.NewCrossOriginProtection(),
		writes: newWrites(o.Limits)}
	h.metrics = newMetrics(h)
	for path, e := range h.endpoints() {
		h.mux.Handle(path, h.serve(e))
	}
	h.mux.Handle("/", h.serve(h.elsewhere()))
	return h
}
