package collect

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/models"
)

// pipeline takes metrics from the inputs through processors and aggregators. A processor sees one metric at a time, from
// whichever input, as it does in Telegraf; it runs in the goroutine that delivers.
type pipeline struct {
	aggregators []*models.RunningAggregator
	failed      func(plugin string, err error)
	precision   time.Duration
	now         func() time.Time

	mu     sync.Mutex // processors are not for concurrent use
	before chain      // between inputs and aggregators
	after  chain      // behind the aggregators
}

// chain is a list of processors in order.
type chain []*models.RunningProcessor

func newPipeline(c *Config, now func() time.Time, failed func(string, error)) (*pipeline, error) {
	p := &pipeline{
		aggregators: c.tg.Aggregators, failed: failed, now: now,
		precision: precisionOf(time.Duration(c.tg.Agent.Precision), time.Duration(c.tg.Agent.Interval)),
		before:    chain(c.tg.Processors),
	}
	if skip := c.tg.Agent.SkipProcessorsAfterAggregators; len(p.aggregators) > 0 && (skip == nil || !*skip) {
		p.after = chain(c.tg.AggProcessors)
	}
	for _, list := range []chain{p.before, p.after} {
		for _, proc := range list {
			start := func() error {
				if err := proc.Init(); err != nil {
					return err
				}
				return proc.Start(p.scratch(proc.LogName())) // ours answer in Add, never later
			}
			if err := guard(start); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", proc.Config.Source, proc.LogName(), err)
			}
		}
	}
	for _, agg := range p.aggregators {
		if err := guard(agg.Init); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", agg.Config.Source, agg.LogName(), err)
		}
	}
	return p, nil
}

// process returns what becomes of metrics that come from inputs.
func (p *pipeline) process(metrics []telegraf.Metric) []telegraf.Metric {
	metrics = p.run(p.before, metrics)
	if len(p.aggregators) == 0 {
		return metrics
	}
	kept := metrics[:0]
	for _, m := range metrics {
		if p.aggregate(m) {
			m.Drop()
			continue
		}
		kept = append(kept, m)
	}
	return kept
}

// aggregate offers m to all aggregators and tells whether one of them wants the original dropped.
func (p *pipeline) aggregate(m telegraf.Metric) (drop bool) {
	for _, agg := range p.aggregators {
		err := guard(func() error {
			drop = agg.Add(m) || drop
			return nil
		})
		if err != nil {
			p.failed(agg.LogName(), err)
		}
	}
	return drop
}

// push ends the aggregator's window and returns what it emits, processed.
func (p *pipeline) push(agg *models.RunningAggregator) []telegraf.Metric {
	out := p.scratch(agg.LogName())
	out.precision = p.precision
	err := guard(func() error {
		agg.Push(out)
		return nil
	})
	if err != nil {
		p.failed(agg.LogName(), err)
	}
	metrics := out.take(0)
	for i, m := range metrics {
		metrics[i] = agg.MakeMetric(m)
	}
	return p.run(p.after, metrics)
}

// run takes metrics through a chain. A processor that panics or fails costs the metric that it was given.
func (p *pipeline) run(list chain, metrics []telegraf.Metric) []telegraf.Metric {
	if len(list) == 0 {
		return metrics
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, proc := range list {
		out := p.scratch(proc.LogName())
		for _, m := range metrics {
			if err := guard(func() error { return proc.Add(m, out) }); err != nil {
				out.failed(err)
				m.Drop()
			}
		}
		metrics = out.take(0)
	}
	return metrics
}

// scratch returns an accumulator that only collects, for the plugin of that name.
func (p *pipeline) scratch(plugin string) *accumulator {
	return &accumulator{limit: math.MaxInt, now: p.now, precision: time.Nanosecond, failed: func(err error) { p.failed(plugin, err) }}
}

// stop stops the processors. None may be used afterwards.
func (p *pipeline) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range []chain{p.before, p.after} {
		for _, proc := range list {
			if err := guard(func() error { proc.Stop(); return nil }); err != nil {
				p.failed(proc.LogName(), err)
			}
		}
	}
}

// window returns the first window of an aggregator that starts working at the given time.
func window(start time.Time, round bool, period time.Duration) (since, until time.Time) {
	until = start.Add(period)
	if round {
		until = until.Truncate(period)
	}
	return until.Add(-period), until
}
