package collect

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/models"
)

// InputStatus is what is known of one input.
type InputStatus struct {
	Name     string // inputs.cpu, or inputs.cpu::alias
	File     string
	Line     int
	Interval time.Duration
	// Started tells whether the plugin accepted its options and started.
	Started bool
	// Running is when the gather that runs now began; zero when none does.
	Running time.Time
	// Last is when the last gather that ended began, and Took how long it took.
	Last time.Time
	Took time.Duration
	// Gathers, Errors, Panics and Skipped count since the start. A gather is skipped while another runs.
	Gathers, Errors, Panics, Skipped int
	// LastError is the text of the last error, LastErrorAt when it came.
	LastError   string
	LastErrorAt time.Time
	// PausedUntil is when an input that panicked is run again.
	PausedUntil time.Time
}

const (
	// maxPause bounds the pause after repeated failures and panics, unless the interval is longer.
	maxPause = 10 * time.Minute
	// streamDelay is how long the metrics of a service input are collected before they are written.
	streamDelay = 50 * time.Millisecond
	// repeatLog is how often an error that stays the same is logged.
	repeatLog = 10 * time.Minute
)

// runner owns one input: its goroutine, its schedule, its accumulators.
type runner struct {
	c  *Collector
	in *input
	// plugin is the instance that runs: the configured one, or a later one when that could not be started.
	plugin atomic.Pointer[models.RunningInput]
	log    *slog.Logger
	plan   schedule

	acc    *accumulator // of gathers
	stream *accumulator // of what a service input sends by itself

	overdue bool // counted in the gauge; touched by the runner's goroutine only

	mu       sync.Mutex
	status   InputStatus
	panics   int // in a row
	loggedAt time.Time
	logged   string
}

func newRunner(c *Collector, in *input) *runner {
	agent := c.cfg.tg.Agent
	conf := in.Config
	r := &runner{c: c, in: in, log: c.log.With("plugin", in.LogName())}
	r.plugin.Store(in.RunningInput)
	r.plan = schedule{
		interval: orElse(conf.Interval, time.Duration(agent.Interval)),
		jitter:   time.Duration(agent.CollectionJitter),
		offset:   orElse(conf.CollectionOffset, time.Duration(agent.CollectionOffset)),
		round:    agent.RoundInterval,
	}
	if conf.CollectionJitterSet {
		r.plan.jitter = conf.CollectionJitter
	}
	r.status = InputStatus{Name: in.LogName(), File: in.table.File, Line: in.table.Line, Interval: r.plan.interval}
	r.acc = r.accumulator(precisionOf(orElse(conf.Precision, time.Duration(agent.Precision)), r.plan.interval))
	r.stream = r.accumulator(precisionOf(conf.Precision, 0))
	return r
}

func orElse(d, other time.Duration) time.Duration {
	if d != 0 {
		return d
	}
	return other
}

func (r *runner) accumulator(precision time.Duration) *accumulator {
	return &accumulator{
		deliver:   func(m []telegraf.Metric) { r.c.deliver(r.status.Name, r.plugin.Load(), m) },
		failed:    r.failed,
		now:       r.c.o.Now,
		limit:     r.c.o.BatchPoints,
		precision: precision,
	}
}

// run starts the input and gathers until ctx ends.
func (r *runner) run(ctx context.Context) {
	flushes := newFlusher(r.stream)
	defer flushes.close()
	if !r.start(ctx) {
		return
	}
	r.gatherLoop(ctx)
	if err := guard(func() error { r.plugin.Load().Stop(); return nil }); err != nil {
		r.failed(err)
	}
}

// start initialises and starts the plugin, again and again until it works; false when ctx ended or the plugin is to be left out.
func (r *runner) start(ctx context.Context) bool {
	r.c.metrics.starting.Inc()
	defer r.c.metrics.starting.Dec()
	for n := 0; ; n++ {
		err := guard(r.startOnce)
		if err == nil {
			r.mu.Lock()
			r.status.Started = true
			r.mu.Unlock()
			return true
		}
		r.failed(err)
		if b := r.in.Config.StartupErrorBehavior; b == "ignore" || b == "probe" {
			r.log.Warn("the input cannot be started and is left out, as startup_error_behavior says", "error", oneLine(err.Error()))
			return false
		}
		pause := doubled(r.c.o.StartRetry, n, maxPause)
		r.log.Warn("the input cannot be started; it is tried again", "file", r.in.table.File, "line", r.in.table.Line, "in", pause, "error", oneLine(err.Error()))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if fresh, err := r.in.fresh(); err == nil {
			r.plugin.Store(fresh)
		}
	}
}

func (r *runner) startOnce() error {
	plugin := r.plugin.Load()
	if err := plugin.Init(); err != nil {
		return err
	}
	if err := plugin.Start(r.stream); err != nil {
		return err
	}
	err := plugin.Probe()
	if err != nil {
		plugin.Stop()
	}
	return err
}

// gatherLoop gathers at every tick. A tick that comes while a gather runs is dropped.
func (r *runner) gatherLoop(ctx context.Context) {
	timer := time.NewTimer(r.plan.first(r.c.o.Now()))
	defer timer.Stop()
	var running chan struct{}
	dropped := 0
	for {
		select {
		case <-ctx.Done():
			r.finish(running)
			return
		case <-running:
			running = nil
			r.setOverdue(false)
			if dropped > 0 {
				r.log.Info("the overdue gather has ended", "skipped", dropped)
				dropped = 0
			}
		case <-timer.C:
			now := r.c.o.Now()
			timer.Reset(r.plan.next(now))
			switch {
			case running != nil:
				dropped++
				r.skip(dropped)
			case !r.paused(now):
				running = make(chan struct{})
				go r.gather(running)
			}
		}
	}
}

// finish waits for the running gather, but not for ever: a gather cannot be ended from outside.
func (r *runner) finish(running chan struct{}) {
	r.setOverdue(false)
	if running == nil {
		return
	}
	timer := time.NewTimer(r.c.o.StopTimeout)
	defer timer.Stop()
	select {
	case <-running:
	case <-timer.C:
		r.acc.close()
		r.acc.flush()
		r.log.Warn("a gather did not end in time and is left behind; what it brings from now on is dropped", "waited", r.c.o.StopTimeout)
	}
}

// skip reports the n-th tick in a row that found a gather running: the first, the second, the fourth and so on in the log.
func (r *runner) skip(n int) {
	r.setOverdue(true)
	r.c.metrics.skipped.WithLabelValues(r.status.Name).Inc()
	r.plugin.Load().IncrGatherTimeouts()
	r.mu.Lock()
	r.status.Skipped++
	since := r.c.o.Now().Sub(r.status.Running)
	r.mu.Unlock()
	if bits.OnesCount(uint(n)) == 1 {
		r.log.Warn("a gather takes longer than its interval; this one is skipped", "interval", r.plan.interval, "running", since.Round(time.Millisecond), "skipped", n)
	}
}

func (r *runner) setOverdue(overdue bool) {
	if overdue == r.overdue {
		return
	}
	if r.overdue = overdue; overdue {
		r.c.metrics.overdue.Inc()
	} else {
		r.c.metrics.overdue.Dec()
	}
}

// gather runs one gather and writes what it brought.
func (r *runner) gather(done chan<- struct{}) {
	defer close(done)
	began := r.c.o.Now()
	r.mu.Lock()
	r.status.Running = began
	r.mu.Unlock()
	err := guard(func() error { return r.plugin.Load().Gather(r.acc) })
	if p := new(PanicError); err != nil && !errors.As(err, &p) {
		r.acc.AddError(err)
		err = nil
	}
	if flushed := guard(func() error { r.acc.flush(); return nil }); err == nil {
		err = flushed
	}
	r.ended(began, err)
}

// ended records a gather. panicked is nil, or the panic that it ended with: then the input pauses, longer each time.
func (r *runner) ended(began time.Time, panicked error) {
	now := r.c.o.Now()
	took := now.Sub(began)
	r.c.metrics.gathers.WithLabelValues(r.status.Name).Inc()
	r.c.metrics.seconds.WithLabelValues(r.status.Name).Add(took.Seconds())
	r.mu.Lock()
	r.status.Running, r.status.Last, r.status.Took = time.Time{}, began, took
	r.status.Gathers++
	if panicked == nil {
		r.panics, r.status.PausedUntil = 0, time.Time{}
		r.mu.Unlock()
		return
	}
	pause := doubled(r.plan.interval, r.panics, maxPause)
	r.panics++
	r.status.Panics++
	r.status.PausedUntil = now.Add(pause)
	r.mu.Unlock()
	r.c.metrics.panics.WithLabelValues(r.status.Name).Inc()
	r.failed(panicked)
	stack := ""
	if p := new(PanicError); errors.As(panicked, &p) {
		stack = p.Stack
	}
	r.log.Error("the input panicked; it pauses", "pause", pause, "stack", stack)
}

func (r *runner) paused(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.status.PausedUntil)
}

// failed counts an error and logs it through the plugin's logger, which knows the plugin's log_level. An error that stays the
// same is logged once in repeatLog.
func (r *runner) failed(err error) {
	r.c.metrics.errors.WithLabelValues(r.status.Name).Inc()
	now := r.c.o.Now()
	text := oneLine(err.Error())
	r.mu.Lock()
	r.status.Errors++
	r.status.LastError, r.status.LastErrorAt = text, now
	repeated := text == r.logged && now.Sub(r.loggedAt) < repeatLog
	if !repeated {
		r.logged, r.loggedAt = text, now
	}
	r.mu.Unlock()
	if !repeated {
		r.plugin.Load().Log().Errorf("Error in plugin: %s", text)
	}
}

func (r *runner) snapshot() InputStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// flusher writes what a service input sends, a short while after it came.
type flusher struct {
	acc  *accumulator
	wake chan struct{}
	end  chan struct{}
	done sync.WaitGroup
}

func newFlusher(acc *accumulator) *flusher {
	f := &flusher{acc: acc, wake: make(chan struct{}, 1), end: make(chan struct{})}
	acc.added = func() {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	f.done.Go(f.loop)
	return f
}

func (f *flusher) loop() {
	for {
		select {
		case <-f.end:
			f.acc.flush()
			return
		case <-f.wake:
			select {
			case <-time.After(streamDelay):
			case <-f.end:
			}
			f.acc.flush()
		}
	}
}

// close writes what is left; what comes later is dropped.
func (f *flusher) close() {
	close(f.end)
	f.done.Wait()
	f.acc.close()
}
