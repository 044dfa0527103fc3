package trust

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

// keeper has the rotation do what is due.
type keeper struct {
	rotation *rotation.Rotation
	logger   *slog.Logger

	steps   *prometheus.CounterVec
	version prometheus.Gauge
	ends    *prometheus.GaugeVec

	mu  sync.Mutex
	err error
}

func newKeeper(r *rotation.Rotation, logger *slog.Logger, registerer prometheus.Registerer) *keeper {
	k := &keeper{rotation: r, logger: logger, err: fmt.Errorf("the keys have not been read yet"),
		steps:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_trust_rotation_steps_total", Help: "Times that the keys were looked at, by how that ended."}, []string{"result"}),
		version: prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_trust_list_version", Help: "Version of the key list that is served."}),
		ends:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "holdfast_trust_key_ends_timestamp_seconds", Help: "When the signatures of a key stop counting."}, []string{"key", "state"}),
	}
	registerer.MustRegister(k.steps, k.version, k.ends)
	return k
}

// Waits between two steps: at least and at most, and after a failure. In between it looks every noticeWait whether another process changed the
// keys: the time that a key is served before it signs begins when this process knows of it.
const (
	leastWait  = 200 * time.Millisecond
	mostWait   = 30 * time.Second
	retryWait  = 2 * time.Second
	noticeWait = 2 * time.Second
)

// run steps until the context ends.
func (k *keeper) run(ctx context.Context) {
	before := ""
	for ctx.Err() == nil {
		rec, due, err := k.rotation.Step(ctx)
		wait := retryWait
		if err == nil {
			wait = min(max(time.Until(due), leastWait), mostWait)
			k.show(rec)
			if now := summary(rec); now != before {
				k.logger.Info("keys", "list", rec.ListVersion, "keys", now)
				before = now
			}
		}
		k.note(ctx, err)
		k.wait(ctx, time.Now().Add(wait), rec)
	}
}

// wait returns at a time, or when another process has changed the record, or when the context ends.
func (k *keeper) wait(ctx context.Context, until time.Time, rec *rotation.Record) {
	for left := time.Until(until); left > 0; left = time.Until(until) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(left, noticeWait)):
		}
		// That it cannot be read is told by the next step.
		if now, err := k.rotation.Current(ctx); err == nil && rec != nil && now.ListVersion != rec.ListVersion {
			return
		}
	}
}

func (k *keeper) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	changed := (err == nil) != (k.err == nil) || err != nil && err.Error() != k.err.Error()
	k.err = err
	k.mu.Unlock()
	if err == nil {
		k.steps.WithLabelValues("ok").Inc()
		return
	}
	k.steps.WithLabelValues("failed").Inc()
	if changed {
		k.logger.Error("the keys could not be looked at", "error", err)
	}
}

func summary(rec *rotation.Record) (text string) {
	for i, e := range rec.Keys {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %s", e.ID, e.State)
	}
	return text
}

func (k *keeper) show(rec *rotation.Record) {
	k.version.Set(float64(rec.ListVersion))
	k.ends.Reset()
	for _, e := range rec.Keys {
		k.ends.WithLabelValues(e.ID.String(), string(e.State)).Set(float64(e.NotAfter.Unix()))
	}
}

// ready says whether a list can be served, and whether a key signs.
func (k *keeper) ready(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	err := k.err
	k.mu.Unlock()
	if err == nil {
		var rec *rotation.Record
		if rec, err = k.rotation.Current(r.Context()); err == nil && (len(rec.Keys) == 0 || rec.Keys[0].State == keylist.Next && rec.Active() == nil) {
			err = fmt.Errorf("no key signs yet")
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// reloading is a certificate that is read again when its file changes.
type reloading struct {
	certificate, key string

	mu   sync.Mutex
	read time.Time // the file's time
	last *tls.Certificate
}

func (r *reloading) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, err := os.Stat(r.certificate)
	if err == nil && r.last != nil && at.ModTime().Equal(r.read) {
		return r.last, nil
	}
	pair, loadErr := tls.LoadX509KeyPair(r.certificate, r.key)
	if loadErr != nil || err != nil {
		if r.last != nil { // it is being replaced
			return r.last, nil
		}
		return nil, fmt.Errorf("reading the certificate %s: %w", r.certificate, loadErr)
	}
	r.last, r.read = &pair, at.ModTime()
	return r.last, nil
}
