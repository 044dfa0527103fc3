package collect

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what collecting tells about itself. `input` is the name that logs use: inputs.cpu, inputs.cpu::alias.
type metrics struct {
	gathers  *prometheus.CounterVec
	errors   *prometheus.CounterVec
	panics   *prometheus.CounterVec
	skipped  *prometheus.CounterVec
	seconds  *prometheus.CounterVec
	points   *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	overdue  prometheus.Gauge
	starting prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "collect", Name: name, Help: help}, []string{label}))
	}
	gauge := func(name, help string) prometheus.Gauge {
		return register(r, prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "holdfast", Subsystem: "collect", Name: name, Help: help}))
	}
	return &metrics{
		gathers:  vec("gathers_total", "Gathers that ended, with or without an error.", "input"),
		errors:   vec("gather_errors_total", "Errors that inputs reported.", "input"),
		panics:   vec("gather_panics_total", "Gathers that panicked and were recovered.", "input"),
		skipped:  vec("gathers_skipped_total", "Gathers left out because the one before was still running.", "input"),
		seconds:  vec("gather_seconds_total", "Time spent in gathers, in seconds.", "input"),
		points:   vec("points_total", "Points handed to the journal.", "input"),
		dropped:  vec("points_dropped_total", "Points lost, by reason.", "reason"),
		overdue:  gauge("inputs_overdue", "Inputs whose gather runs longer than its interval at this moment."),
		starting: gauge("inputs_starting", "Inputs that could not be started yet and are tried again."),
	}
}

// register registers c, or returns the collector that an earlier Collector of the process registered in its place.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	if err := r.Register(c); err != nil {
		if known := new(prometheus.AlreadyRegisteredError); errors.As(err, known) {
			if same, ok := known.ExistingCollector.(C); ok {
				return same
			}
		}
	}
	return c
}
