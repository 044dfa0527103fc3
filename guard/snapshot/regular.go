package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// firstRetry is how soon a snapshot is tried again after the first failure; each further failure doubles it, until it is the period.
const firstRetry = 10 * time.Second

// Regular takes snapshots for as long as it runs. A failure is logged, counted and tried again; it never ends the run.
type Regular struct {
	// Every is the period. Each wait is up to a twentieth shorter or longer, so that clusters do not all write at one time.
	Every time.Duration
	// Timeout bounds one snapshot.
	Timeout time.Duration
	// Take takes one, and returns where it is.
	Take func(context.Context) (string, error)
	Log  *slog.Logger

	store   Store
	mu      sync.Mutex
	newest  time.Time // of a snapshot that is there
	metrics metrics
}

type metrics struct {
	attempts *prometheus.CounterVec
	newest   prometheus.Gauge
	seconds  prometheus.Gauge
}

// NewRegular returns one that goes on after the newest snapshot of the store: a program that starts again and again takes no more of them
// than one that runs, and so does not push older ones out.
func NewRegular(store Store, every time.Duration) *Regular {
	r := &Regular{Every: every, store: store, metrics: metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_guard_snapshot_attempts_total", Help: "Snapshots begun, by result."}, []string{"result"}),
		newest:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_guard_snapshot_newest_timestamp_seconds", Help: "When the newest snapshot was taken."}),
		seconds:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_guard_snapshot_duration_seconds", Help: "How long the last snapshot took that succeeded."}),
	}}
	for _, result := range []string{"done", "failed"} {
		r.metrics.attempts.WithLabelValues(result) // both are there from the start
	}
	return r
}

// look finds the newest snapshot, where none was taken yet. A folder that is not there has none.
func (r *Regular) look(ctx context.Context) error {
	r.mu.Lock()
	known := !r.newest.IsZero()
	r.mu.Unlock()
	if known {
		return nil
	}
	names, err := r.store.names(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return looking(err)
	}
	if len(names) > 0 {
		taken, _ := snapshotName(names[len(names)-1])
		r.took(taken)
	}
	return nil
}

func (r *Regular) took(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest = at
	r.metrics.newest.Set(float64(at.UnixMilli()) / 1e3)
}

// Run takes snapshots until the context ends.
func (r *Regular) Run(ctx context.Context) {
	retry := firstRetry
	for {
		wait, err := r.once(ctx)
		if err == nil {
			retry = firstRetry
		} else {
			wait = jitter(min(retry, r.Every))
			retry = min(2*retry, r.Every)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// once takes a snapshot when it is time, and returns when the next one is.
func (r *Regular) once(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	limited, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	if err := r.look(limited); err != nil {
		return 0, r.failed(ctx, err)
	}
	if left := r.left(); left > 0 {
		return left, nil
	}
	path, err := r.Take(limited)
	if path == "" {
		return 0, r.failed(ctx, err)
	}
	r.took(begin)
	r.metrics.seconds.Set(time.Since(begin).Seconds())
	r.metrics.attempts.WithLabelValues("done").Inc()
	r.Log.Info("snapshot taken", "at", path, "after", time.Since(begin).Round(time.Millisecond))
	if err != nil { // no reason for another one
		r.Log.Error("after the snapshot", "error", err)
	}
	return jitter(r.Every), nil
}

// left is how long the newest snapshot, of another run, is young enough. One from a clock that was ahead does not hold the next up for
// longer than a period.
func (r *Regular) left() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(time.Until(r.newest.Add(r.Every-r.Every/10)), r.Every) // in the past without one
}

func (r *Regular) failed(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		r.metrics.attempts.WithLabelValues("failed").Inc()
		r.Log.Error("no snapshot", "error", err)
	}
	return err
}

func jitter(d time.Duration) time.Duration {
	return d - d/20 + rand.N(d/10+1)
}

// Register registers the metrics.
func (r *Regular) Register(with prometheus.Registerer) {
	with.MustRegister(r.metrics.attempts, r.metrics.newest, r.metrics.seconds)
}

// Handler serves /metrics of a registry, /healthz, and /readyz, which is bad while the newest snapshot is older than it should ever be.
func (r *Regular) Handler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		newest := r.newest
		r.mu.Unlock()
		if time.Since(newest) > 2*r.Every+r.Timeout {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, "there is no snapshot younger than two periods of %v\n", r.Every)
		}
	})
	return mux
}
