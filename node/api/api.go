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
)

// Writer stores points. It returns when they are durable.
//
// An error that is a PartialWriteError tells that the other points are stored. journal.ErrFull asks the client to come back later
// (after what a RetryAfter() time.Duration method of the error says) and journal.ErrFailed says that the node stores nothing until
// it is started again. A *catalog.Error goes to the client as it is. The batch is the caller's again afterwards.
type Writer interface {
	Write(ctx context.Context, bucket id.ID, batch *line.Batch) error
}

// PartialWriteError is an error of a Writer that stored some of the points.
type PartialWriteError interface {
	error
	// PartialWrite returns why points were not stored, in the words that clients match on, and how many.
	PartialWrite() (reason string, dropped int)
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
	Access    *Access         // what the one who asks may see
}

// Validator checks that a remote takes writes to a bucket: one write with an empty body.
type Validator interface {
	Validate(ctx context.Context, t Target) error
}

// Target is where a replication would send. Bucket is an identifier or a name.
type Target struct {
	URL, Token       string
	OrgID            id.ID // 0 for none
	Bucket           string
	AllowInsecureTLS bool
}

// Replications tells about running replications and acts on their dead letters: lines that the remote refuses for good.
// That a replication is paused or changed is in the catalog, whose watchers act on it.
type Replications interface {
	Status(replication id.ID) (ReplicationStatus, bool)
	// DeadLetters returns at most limit letters, oldest first, after skipping offset, and how many there are.
	DeadLetters(ctx context.Context, replication id.ID, offset, limit int) (letters []DeadLetter, total int, err error)
	// Retry sends dead letters again, all when letters is empty, and returns how many.
	Retry(ctx context.Context, replication id.ID, letters []string) (int, error)
}

// ReplicationStatus is how a replication is doing. Times are zero when there is nothing to tell.
type ReplicationStatus struct {
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Attempted tells whether LatestResponseCode (0: no answer) and LatestErrorMessage mean anything yet.
	Attempted          bool   `json:"attempted"`
	LatestResponseCode int    `json:"latestResponseCode"`
	LatestErrorMessage string `json:"latestErrorMessage"`
	// QueueBytes are kept for this replication, RemainingBytes those of them that were not sent.
	QueueBytes     int64     `json:"queueBytes"`
	RemainingBytes int64     `json:"remainingBytes"`
	LagSeconds     float64   `json:"lagSeconds"`
	OldestUnsent   time.Time `json:"oldestUnsent,omitzero"`
	// ETASeconds is negative when it is not known.
	ETASeconds    float64          `json:"etaSeconds"`
	PointsSent    int64            `json:"pointsSent"`
	BytesSent     int64            `json:"bytesSent"`
	PointsDropped map[string]int64 `json:"pointsDropped,omitempty"` // by reason
	OpenGaps      int              `json:"openGaps"`
	DeadLetters   int              `json:"deadLetters"`
	NextTry       time.Time        `json:"nextTry,omitzero"`
	LastSuccess   time.Time        `json:"lastSuccess,omitzero"`
}

// DeadLetter is a line that a remote refused for good.
type DeadLetter struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Code   int       `json:"code"` // HTTP status of the refusal
	Reason string    `json:"reason"`
	Line   string    `json:"line"`
}

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

// Options of New. Catalog, Writer, Querier, Deleter, Validator, Replications and Engine are required.
type Options struct {
	Catalog      *catalog.Catalog
	Writer       Writer
	Querier      Querier
	Deleter      Deleter
	Validator    Validator
	Replications Replications
	Engine       Engine

	// Version is told to clients, with a v in front where they expect one; Commit is the source's revision.
	Version, Commit string
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
