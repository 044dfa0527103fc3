package collect

import (
	"sync"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
)

// accumulator is what a plugin adds its metrics to. It holds them until flush, or until there are limit of them: then the
// goroutine that adds delivers them, so that memory stays bounded and a fast plugin is slowed down.
type accumulator struct {
	deliver func([]telegraf.Metric)
	failed  func(error)
	now     func() time.Time
	limit   int
	// added, when set, is told that something waits to be flushed.
	added func()

	mu        sync.Mutex
	precision time.Duration
	pending   []telegraf.Metric
	closed    bool
}

// flush delivers what was added.
func (a *accumulator) flush() {
	if metrics := a.take(0); len(metrics) > 0 {
		a.deliver(metrics)
	}
}

// take removes and returns the pending metrics when there are at least n.
func (a *accumulator) take(n int) []telegraf.Metric {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) < n {
		return nil
	}
	metrics := a.pending
	a.pending = nil
	return metrics
}

// close makes the accumulator drop whatever is added from now on: a gather that outlives its Collector writes nothing.
func (a *accumulator) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
}

func (a *accumulator) add(m telegraf.Metric) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		m.Reject()
		return
	}
	m.SetTime(m.Time().Round(a.precision))
	a.pending = append(a.pending, m)
	full := len(a.pending) >= a.limit
	a.mu.Unlock()
	if full {
		if metrics := a.take(a.limit); metrics != nil {
			a.deliver(metrics)
		}
		return
	}
	if a.added != nil {
		a.added()
	}
}

func (a *accumulator) addNew(name string, fields map[string]any, tags map[string]string, kind telegraf.ValueType, at []time.Time) {
	t := a.now()
	if len(at) > 0 {
		t = at[0]
	}
	a.add(metric.New(name, tags, fields, t, kind))
}

// AddFields implements telegraf.Accumulator, as do the methods below.
func (a *accumulator) AddFields(name string, fields map[string]any, tags map[string]string, at ...time.Time) {
	a.addNew(name, fields, tags, telegraf.Untyped, at)
}

// AddGauge adds a gauge.
func (a *accumulator) AddGauge(name string, fields map[string]any, tags map[string]string, at ...time.Time) {
	a.addNew(name, fields, tags, telegraf.Gauge, at)
}

// AddCounter adds a counter.
func (a *accumulator) AddCounter(name string, fields map[string]any, tags map[string]string, at ...time.Time) {
	a.addNew(name, fields, tags, telegraf.Counter, at)
}

// AddSummary adds a summary.
func (a *accumulator) AddSummary(name string, fields map[string]any, tags map[string]string, at ...time.Time) {
	a.addNew(name, fields, tags, telegraf.Summary, at)
}

// AddHistogram adds a histogram.
func (a *accumulator) AddHistogram(name string, fields map[string]any, tags map[string]string, at ...time.Time) {
	a.addNew(name, fields, tags, telegraf.Histogram, at)
}

// AddMetric adds a metric made by a parser.
func (a *accumulator) AddMetric(m telegraf.Metric) { a.add(m) }

// SetPrecision sets what timestamps are rounded to.
func (a *accumulator) SetPrecision(precision time.Duration) {
	a.mu.Lock()
	a.precision = precision
	a.mu.Unlock()
}

// AddError reports an error of the plugin.
func (a *accumulator) AddError(err error) {
	if err != nil {
		a.failed(err)
	}
}

// WithTracking returns an accumulator that tells when metrics were stored.
func (a *accumulator) WithTracking(maxTracked int) telegraf.TrackingAccumulator {
	return &trackingAccumulator{accumulator: a, delivered: make(chan telegraf.DeliveryInfo, maxTracked)}
}

type trackingAccumulator struct {
	*accumulator
	delivered chan telegraf.DeliveryInfo
}

// AddTrackingMetric adds a metric whose delivery is reported.
func (t *trackingAccumulator) AddTrackingMetric(m telegraf.Metric) telegraf.TrackingID {
	tracked, id := metric.WithTracking(m, t.report)
	t.add(tracked)
	return id
}

// AddTrackingMetricGroup adds metrics whose delivery is reported together.
func (t *trackingAccumulator) AddTrackingMetricGroup(group []telegraf.Metric) telegraf.TrackingID {
	tracked, id := metric.WithGroupTracking(group, t.report)
	for _, m := range tracked {
		t.add(m)
	}
	return id
}

// Delivered returns the channel of reports.
func (t *trackingAccumulator) Delivered() <-chan telegraf.DeliveryInfo { return t.delivered }

// report never blocks: a plugin that tracks more than it announced loses the reports that it left no room for.
func (t *trackingAccumulator) report(info telegraf.DeliveryInfo) {
	select {
	case t.delivered <- info:
	default:
	}
}

// precisionOf returns what timestamps are rounded to: the setting, or the unit that the interval is at least one of, up to a second.
func precisionOf(setting, interval time.Duration) time.Duration {
	if setting > 0 {
		return setting
	}
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if interval >= unit {
			return unit
		}
	}
	return time.Nanosecond
}
