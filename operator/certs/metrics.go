package certs

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are shared by all parts of a process that were given the same registerer.
type metrics struct {
	expiry    *prometheus.GaugeVec
	rotations *prometheus.CounterVec
	errors    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Name: name, Help: help}
	}
	return &metrics{
		expiry: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("holdfast_operator_certificate_expiry_timestamp_seconds",
			"When the certificate ends, in seconds since the epoch: ca (the current authority) or serving (what this replica serves).")),
			[]string{"certificate"})),
		rotations: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts(opts("holdfast_operator_certificate_rotations_total",
			"Changes made by this replica: ca (new authority), serving (new serving certificate), bundle (caBundle of the webhook configuration).")),
			[]string{"kind"})),
		errors: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts(opts("holdfast_operator_certificate_errors_total",
			"Errors: rotate (the leader's work), load (a certificate that was not taken), watch (the connection to the API server).")),
			[]string{"operation"})),
	}
}

func (m *metrics) expires(certificate string, at time.Time) {
	m.expiry.WithLabelValues(certificate).Set(float64(at.Unix()))
}

// register registers c, or returns the collector that an earlier part of the process registered in its place.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	if err := reg.Register(c); err != nil {
		if known := new(prometheus.AlreadyRegisteredError); errors.As(err, known) {
			if same, ok := known.ExistingCollector.(C); ok {
				return same
			}
		}
	}
	return c
}
