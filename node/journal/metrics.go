package journal

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what one journal counts.
type metrics struct {
	records, bytes   prometheus.Counter
	syncs            prometheus.Counter
	cursorSyncs      prometheus.Counter
	syncSeconds      prometheus.Histogram
	recordsPerSync   prometheus.Histogram
	appendErrors     *prometheus.CounterVec // reason
	damaged          *prometheus.CounterVec // part
	tornBytes        prometheus.Counter
	droppedRecords   *prometheus.CounterVec // reason
	droppedPoints    *prometheus.CounterVec // reason
	releasedSegments prometheus.Counter

	registerer prometheus.Registerer
	registered []prometheus.Collector
}

func newMetrics(j *Journal) *metrics {
	const ns = "holdfast_journal_"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: ns + name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + name, Help: help}, []string{label})
	}
	return &metrics{
		records:     counter("records_total", "Records made durable or, with periodic sync, written."),
		bytes:       counter("bytes_total", "Bytes of those records as kept, compressed and with their heads."),
		syncs:       counter("syncs_total", "Syncs of segments."),
		cursorSyncs: counter("cursor_syncs_total", "Writes and syncs of cursor files."),
		syncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: ns + "sync_seconds", Help: "Time that one sync of a segment took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
		recordsPerSync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: ns + "records_per_sync", Help: "Records that one sync made durable.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		appendErrors:     vec("append_errors_total", "Appends that were refused or failed.", "reason"),
		damaged:          vec("damaged_total", "Damaged parts found at open and by readers.", "part"),
		tornBytes:        counter("torn_bytes_total", "Bytes of unfinished records that were cut off at open."),
		droppedRecords:   vec("dropped_records_total", "Records dropped because of the bounds before every reader had read them.", "reason"),
		droppedPoints:    vec("dropped_points_total", "Points in the dropped records.", "reason"),
		releasedSegments: counter("released_segments_total", "Segments deleted after every cursor had passed them."),
		registerer:       j.o.Registerer,
	}
}

// register makes the metrics visible. Two journals on one registerer must be told apart by labels that its owner wraps
// around it.
func (m *metrics) register(j *Journal) error {
	if m.registerer == nil {
		return nil
	}
	const ns = "holdfast_journal_"
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: ns + name, Help: help}, f)
	}
	all := []prometheus.Collector{
		m.records, m.bytes, m.syncs, m.cursorSyncs, m.syncSeconds, m.recordsPerSync, m.appendErrors, m.damaged,
		m.tornBytes, m.droppedRecords, m.droppedPoints, m.releasedSegments,
		gauge("segments", "Segments kept.", func() float64 { n, _, _ := j.kept(); return float64(n) }),
		gauge("size_bytes", "Bytes of all segments.", func() float64 { _, b, _ := j.kept(); return float64(b) }),
		gauge("oldest_age_seconds", "Age of the oldest segment kept.", func() float64 {
			_, _, created := j.kept()
			return float64(j.o.Now().UnixNano()-created) / 1e9
		}),
		gauge("failed", "1 after a failed sync: the journal accepts nothing until the process is started again.", func() float64 {
			if j.failure() != nil {
				return 1
			}
			return 0
		}),
	}
	for _, c := range all {
		if err := m.registerer.Register(c); err != nil {
			m.unregister()
			return err
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
	m.registered = nil
}

// appendError counts a failed append by what went wrong.
func (m *metrics) appendError(err error) {
	reason := "io"
	switch {
	case errors.Is(err, ErrFull):
		reason = "full"
	case errors.Is(err, ErrFailed):
		reason = "failed"
	}
	m.appendErrors.WithLabelValues(reason).Inc()
}
