package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/influxdata/telegraf"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// secondGather is the pause before the second gather of an input that reports differences.
const secondGather = 500 * time.Millisecond

// gatherTwice are inputs whose first gather has nothing to compare with.
var gatherTwice = map[string]bool{"cpu": true, "mongodb": true, "procstat": true}

// Test gathers once with every input and prints what came through processors and aggregators as `> ` and line protocol with
// sorted fields, inputs in the order of the configuration. Service inputs run for wait. Options.Sink is not used. The error joins what went
// wrong in any input; what the others gathered is printed nevertheless.
func Test(ctx context.Context, cfg *Config, o Options, wait time.Duration, w io.Writer) error {
	o.Sink = printer{w}
	return Once(ctx, cfg, o, wait)
}

// printer is the sink of Test.
type printer struct{ w io.Writer }

// Write prints the batch.
func (p printer) Write(_ context.Context, b *line.Batch) error {
	var text []byte
	for i := range b.Points {
		text = append(text, "> "...)
		text = line.AppendPoint(text, &b.Points[i])
	}
	_, err := p.w.Write(text)
	return err
}

// recorder keeps the errors of the sink behind it.
type recorder struct {
	Sink
	mu  sync.Mutex
	all []error
}

// Write passes b on.
func (r *recorder) Write(ctx context.Context, b *line.Batch) error {
	err := r.Sink.Write(ctx, b)
	if err != nil {
		r.mu.Lock()
		r.all = append(r.all, fmt.Errorf("storing what was gathered: %w", err))
		r.mu.Unlock()
	}
	return err
}

// Once gathers once with every input, all at the same time, and writes what came through processors and aggregators to the sink.
// Service inputs run for wait. The error joins what went wrong in any input and in the sink. The Config cannot be started afterwards.
func Once(ctx context.Context, cfg *Config, o Options, wait time.Duration) error {
	sink := &recorder{Sink: o.Sink}
	o.Sink = sink
	c, err := newCollector(cfg, o)
	if err != nil {
		return err
	}
	defer c.cancel()
	began := c.o.Now()
	for _, agg := range c.pipe.aggregators {
		agg.UpdateWindow(window(began, cfg.tg.Agent.RoundInterval, agg.Period()))
	}
	probes := make([]*probe, len(cfg.inputs))
	var wg sync.WaitGroup
	for i, in := range cfg.inputs {
		probes[i] = &probe{runner: newRunner(c, in)}
		wg.Go(func() { probes[i].run(ctx, wait) })
	}
	wg.Wait()
	var all []error
	for _, p := range probes {
		c.deliver(p.status.Name, p.plugin.Load(), p.metrics)
		all = append(all, p.errs...)
	}
	for _, agg := range c.pipe.aggregators {
		c.write(agg.LogName(), c.pipe.push(agg))
	}
	c.pipe.stop()
	return errors.Join(append(all, sink.all...)...)
}

// probe is an input that gathers once.
type probe struct {
	*runner

	mu      sync.Mutex
	metrics []telegraf.Metric
	errs    []error
}

// run starts the input, gathers once or twice, and stops it after wait.
func (p *probe) run(ctx context.Context, wait time.Duration) {
	p.divert(p.acc)
	p.divert(p.stream)
	if err := guard(p.startOnce); err != nil {
		p.failed(fmt.Errorf("start: %w", err))
		return
	}
	plugin := p.plugin.Load()
	if gatherTwice[plugin.Config.Name] {
		p.gatherOnce()
		p.acc.take(0)
		sleep(ctx, secondGather)
	}
	p.gatherOnce()
	if _, service := plugin.Input.(telegraf.ServiceInput); service {
		sleep(ctx, wait)
		if err := guard(func() error { plugin.Stop(); return nil }); err != nil {
			p.failed(err)
		}
		p.stream.flush()
	}
	p.acc.flush()
}

func (p *probe) gatherOnce() {
	if err := guard(func() error { return p.plugin.Load().Gather(p.acc) }); err != nil {
		p.failed(err)
	}
}

// divert makes an accumulator deliver to the probe.
func (p *probe) divert(a *accumulator) {
	a.deliver = func(m []telegraf.Metric) {
		p.mu.Lock()
		p.metrics = append(p.metrics, m...)
		p.mu.Unlock()
	}
	a.failed = p.failed
}

func (p *probe) failed(err error) {
	p.runner.failed(err)
	p.mu.Lock()
	p.errs = append(p.errs, p.in.table.Wrap(fmt.Errorf("%s: %s", p.status.Name, oneLine(err.Error()))))
	p.mu.Unlock()
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
