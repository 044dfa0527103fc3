// Package collect gathers metrics with Telegraf's inputs, processors and aggregators, configured by Telegraf's files, and hands
// them to the node's journal.
//
// It promises that names, tags, filters and timestamps come out as Telegraf's would; that what a gather brings is written as
// one batch, in the gather itself; that a plugin which panics in its gather, hangs, or cannot be started costs its own points
// only; and that memory is bounded by what the plugins hold. It does not promise to survive a panic in a goroutine that a
// plugin started by itself: Go has no way to catch that. It does not send anything: outputs become Destinations, which are for
// the node to replicate to.
//
// Unsigned integers become integers, the largest clamped, as Telegraf sends them, unless every output sets influx_uint_support.
package collect

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/models"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// Sink takes what was gathered. Write is called by several goroutines at once, each with a batch of its own that it must not keep.
// Its points have canonical series and fields sorted by key. An error means that the batch, or part of it, was not
// stored; it is counted and logged, and the points are not offered again.
type Sink interface {
	Write(ctx context.Context, b *line.Batch) error
}

// Options of Start.
type Options struct {
	Sink Sink
	// Logger gets the logs; nil discards them.
	Logger *slog.Logger
	// Registerer gets the metrics; nil means none.
	Registerer prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// BatchPoints is the most points of one Write; 0 means 5000.
	BatchPoints int
	// StopTimeout is how long Close waits for a gather that hangs; 0 means 5 s.
	StopTimeout time.Duration
	// StartRetry is the first pause before an input that could not be started is tried again; it doubles up to 10 min. 0
	// means 5 s.
	StartRetry time.Duration
}

// Collector runs the plugins of a Config.
type Collector struct {
	cfg     *Config
	o       Options
	log     *slog.Logger
	metrics *metrics
	pipe    *pipeline
	buffers sync.Pool // of *writeBuffer

	ctx    context.Context // ends when Close is called
	cancel context.CancelFunc
	inputs []*runner
	wg     sync.WaitGroup // runners
	pushes sync.WaitGroup // aggregators, which outlive the runners
	pushed context.CancelFunc

	mu        sync.Mutex
	lastWrite string // the last error of Sink.Write that was logged
}

// writeBuffer is what turning metrics into a batch needs.
type writeBuffer struct {
	batch   line.Batch
	encoder encoder
}

// Start prepares a Collector and starts it.
func Start(cfg *Config, o Options) (*Collector, error) {
	c, err := Prepare(cfg, o)
	if err == nil {
		c.Start()
	}
	return c, err
}

// Prepare starts the processors and aggregators. An error means that one of them has wrong options. A Config can be prepared
// once. What was prepared must be closed, whether it was started or not.
func Prepare(cfg *Config, o Options) (*Collector, error) { return newCollector(cfg, o) }

// Start starts each input in a goroutine of its own, where one that cannot be started is tried again. It is called once.
func (c *Collector) Start() {
	redirectLogs(c.log, c.cfg.levels)
	started := c.o.Now()
	round := c.cfg.tg.Agent.RoundInterval
	pushes, pushed := context.WithCancel(context.Background())
	c.pushed = pushed
	for _, agg := range c.pipe.aggregators {
		agg.UpdateWindow(window(started, round, agg.Period()))
		c.pushes.Go(func() { c.pushLoop(pushes, agg) })
	}
	for _, in := range c.cfg.inputs {
		r := newRunner(c, in)
		c.inputs = append(c.inputs, r)
		c.wg.Go(func() { r.run(c.ctx) })
	}
}

func newCollector(cfg *Config, o Options) (*Collector, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BatchPoints == 0 {
		o.BatchPoints = 5000
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 5 * time.Second
	}
	if o.StartRetry == 0 {
		o.StartRetry = 5 * time.Second
	}
	redirectLogs(o.Logger, cfg.levels)
	c := &Collector{cfg: cfg, o: o, log: o.Logger, metrics: newMetrics(o.Registerer)}
	c.buffers.New = func() any { return &writeBuffer{encoder: encoder{unsigned: cfg.unsigned}} }
	c.ctx, c.cancel = context.WithCancel(context.Background())
	var err error
	c.pipe, err = newPipeline(cfg, o.Now, c.pluginFailed)
	return c, err
}

// Close stops the inputs, writes what the aggregators hold and stops the processors. It waits for gathers that run, at most the
// stop timeout; what such a gather had added is written, what it adds later is dropped.
func (c *Collector) Close() error {
	c.cancel()
	c.wg.Wait()
	if c.pushed != nil { // it was started
		c.pushed()
	}
	c.pushes.Wait()
	c.pipe.stop()
	return nil
}

// Status returns the state of every input, in the order of the configuration.
func (c *Collector) Status() []InputStatus {
	all := make([]InputStatus, len(c.inputs))
	for i, r := range c.inputs {
		all[i] = r.snapshot()
	}
	return all
}

// pushLoop ends each window of an aggregator in time, and the last one when ctx ends.
func (c *Collector) pushLoop(ctx context.Context, agg *models.RunningAggregator) {
	for last := false; !last; {
		timer := time.NewTimer(agg.EndPeriod().Sub(c.o.Now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			last = true
		}
		c.write(agg.LogName(), c.pipe.push(agg))
	}
}

// deliver takes what an input added through the pipeline to the sink.
func (c *Collector) deliver(name string, in *models.RunningInput, metrics []telegraf.Metric) {
	made := metrics[:0]
	for _, m := range metrics {
		if m = in.MakeMetric(m); m != nil {
			made = append(made, m)
		}
	}
	c.write(name, c.pipe.process(made))
}

// write hands metrics to the sink. It is not ended by Close: what was gathered is still stored.
func (c *Collector) write(name string, metrics []telegraf.Metric) {
	for len(metrics) > 0 {
		n := min(len(metrics), c.o.BatchPoints)
		c.writeBatch(name, metrics[:n])
		metrics = metrics[n:]
	}
}

func (c *Collector) writeBatch(name string, metrics []telegraf.Metric) {
	buf := c.buffers.Get().(*writeBuffer)
	defer c.buffers.Put(buf)
	buf.batch.Reset()
	for _, m := range metrics {
		if !buf.encoder.add(&buf.batch, m) {
			c.metrics.dropped.WithLabelValues("no field that line protocol can express").Inc()
		}
	}
	points := len(buf.batch.Points)
	var err error
	if points > 0 {
		err = c.o.Sink.Write(context.WithoutCancel(c.ctx), &buf.batch)
	}
	for _, m := range metrics {
		if err == nil {
			m.Accept()
		} else {
			m.Reject()
		}
	}
	if c.logWrite(name, err); err == nil {
		c.metrics.points.WithLabelValues(name).Add(float64(points))
	} else {
		c.metrics.dropped.WithLabelValues("not stored").Add(float64(points))
	}
}

// logWrite logs an error of the sink when it is another than the last one, and the end of the errors.
func (c *Collector) logWrite(name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && err.Error() != c.lastWrite:
		c.lastWrite = err.Error()
		c.log.Error("collected points were not stored; further losses for this reason are counted, not logged", "plugin", name, "error", err)
	case err == nil && c.lastWrite != "":
		c.lastWrite = ""
		c.log.Info("collected points are stored again", "plugin", name)
	}
}

// pluginFailed reports an error of a processor or an aggregator.
func (c *Collector) pluginFailed(plugin string, err error) {
	c.metrics.errors.WithLabelValues(plugin).Inc()
	if p := new(PanicError); errors.As(err, &p) {
		c.metrics.panics.WithLabelValues(plugin).Inc()
		c.log.Error("a plugin panicked", "plugin", plugin, "error", err, "stack", p.Stack)
		return
	}
	c.log.Error("a plugin failed", "plugin", plugin, "error", oneLine(err.Error()))
}

// doubled returns d·2ⁿ, at most limit or d, whichever is more.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	limit = max(limit, d)
	if f := float64(d) * math.Pow(2, float64(n)); f < float64(limit) {
		return time.Duration(f)
	}
	return limit
}
