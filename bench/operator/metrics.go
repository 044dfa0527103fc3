package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// hook is the operator's webhook as the API server's metrics name it.
const hook = "sidecar.holdfast.dev"

// metrics are those of one process at one moment.
type metrics map[string]*dto.MetricFamily

func parse(text string) (metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	return families, nil
}

func scrape(ctx context.Context, r *operator.Replica) (metrics, error) {
	text, err := r.Scrape(ctx)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// apiserver returns the API server's metrics.
func (b *bench) apiserver(ctx context.Context) (metrics, error) {
	text, err := b.cluster.Client().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	return parse(string(text))
}

// sum adds up the counters or gauges of a name that have these labels.
func (m metrics) sum(name string, labels ...string) (sum float64) {
	for _, one := range m[name].GetMetric() {
		if has(one, labels) {
			sum += one.GetCounter().GetValue() + one.GetGauge().GetValue()
		}
	}
	return sum
}

// has says whether a metric has labels, given as names and values in turn.
func has(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

// histogram is one: how many observations there were in all, their sum, and how many were at most each bound.
type histogram struct {
	count  uint64
	sum    float64
	atMost map[float64]uint64
}

func (m metrics) histogram(name string, labels ...string) histogram {
	h := histogram{atMost: map[float64]uint64{}}
	for _, one := range m[name].GetMetric() {
		if !has(one, labels) {
			continue
		}
		h.count += one.GetHistogram().GetSampleCount()
		h.sum += one.GetHistogram().GetSampleSum()
		for _, bucket := range one.GetHistogram().GetBucket() {
			h.atMost[bucket.GetUpperBound()] += bucket.GetCumulativeCount()
		}
	}
	return h
}

// since is what was observed after another moment.
func (h histogram) since(before histogram) histogram {
	d := histogram{count: h.count - before.count, sum: h.sum - before.sum, atMost: map[float64]uint64{}}
	for bound, n := range h.atMost {
		d.atMost[bound] = n - before.atMost[bound]
	}
	return d
}

// percent is how many observations of a hundred were at most a bound that the histogram has.
func (h histogram) percent(bound float64) float64 {
	return 100 * float64(h.atMost[bound]) / float64(h.count)
}

// bound is the smallest bound that a share of the observations was within.
func (h histogram) bound(share float64) float64 {
	least := math.Inf(1)
	for bound, n := range h.atMost {
		if float64(n) >= share*float64(h.count) {
			least = min(least, bound)
		}
	}
	return least
}

// throttleLines counts lines of a log in which the client says that it holds its own requests back, or is held back.
func throttleLines(log string) (n int) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "throttl") {
			n++
		}
	}
	return n
}
