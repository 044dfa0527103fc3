package store

import "github.com/prometheus/client_golang/prometheus"

// metrics are the store's, over all buckets.
type metrics struct {
	points      prometheus.Counter
	refused     prometheus.Counter
	dropped     *prometheus.CounterVec
	flushes     prometheus.Counter
	flushErrors prometheus.Counter
	flushTime   prometheus.Histogram
	compactions prometheus.Counter
	compactErrs prometheus.Counter
	damages     prometheus.Counter
	memory      prometheus.GaugeFunc
	blocks      prometheus.Gauge
	blockBytes  prometheus.Gauge
	series      prometheus.GaugeFunc
}

func newMetrics(s *Store, reg prometheus.Registerer) *metrics {
	name := func(n, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "holdfast", Subsystem: "store", Name: n, Help: help}
	}
	counter := func(n, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(name(n, help)))
	}
	gauge := func(n, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(name(n, help)))
	}
	m := &metrics{
		points:      counter("points_total", "Points taken into memtables."),
		refused:     counter("values_refused_total", "Field values left out of memtables because the field has another type by then."),
		flushes:     counter("flushes_total", "Memtables written to blocks."),
		flushErrors: counter("flush_errors_total", "Flushes that failed and are tried again."),
		compactions: counter("compactions_total", "Partitions of which blocks were merged."),
		compactErrs: counter("compaction_errors_total", "Compactions that failed and are tried again."),
		damages:     counter("damages_total", "Files, blocks and pages found damaged."),
		blocks:      gauge("blocks", "Blocks that exist."),
		blockBytes:  gauge("block_bytes", "Bytes of the Parquet files that exist."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts(name("points_dropped_total", "Points not admitted, by reason.")),
			[]string{"reason"}),
		flushTime: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "holdfast", Subsystem: "store",
			Name: "flush_seconds", Help: "Time a flush took.", Buckets: prometheus.ExponentialBuckets(0.005, 3, 9)}),
		memory: prometheus.NewGaugeFunc(prometheus.GaugeOpts(name("memtable_bytes", "Bytes of all memtables, about.")),
			func() float64 { return float64(s.memory.Load()) }),
		series: prometheus.NewGaugeFunc(prometheus.GaugeOpts(name("series", "Series in the indexes of all buckets.")),
			func() float64 { return float64(s.seriesCount()) }),
	}
	if reg != nil {
		reg.MustRegister(m.points, m.refused, m.dropped, m.flushes, m.flushErrors, m.flushTime, m.compactions, m.compactErrs,
			m.damages, m.memory, m.blocks, m.blockBytes, m.series)
	}
	return m
}
