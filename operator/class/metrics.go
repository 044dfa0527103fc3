package class

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a registry counts.
type metrics struct {
	classes      *prometheus.GaugeVec     // valid
	checkSeconds *prometheus.HistogramVec // result
	retained     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	const ns = "holdfast_operator_"
	m := &metrics{
		classes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: ns + "classes", Help: "Classes, by whether their newest text is valid.",
		}, []string{"valid"}),
		checkSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: ns + "class_check_seconds", Help: "Time that the agent's check of one text took, by its result: accepted, refused or failed.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 10),
		}, []string{"result"}),
		retained: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: ns + "classes_retained", Help: "Classes that are gone and whose text is kept for pods that run with it.",
		}),
	}
	if r != nil {
		r.MustRegister(m.classes, m.checkSeconds, m.retained)
	}
	return m
}

func (m *metrics) show(v *view) {
	valid := 0
	for _, verdict := range v.verdicts {
		if verdict.Valid {
			valid++
		}
	}
	m.classes.WithLabelValues("true").Set(float64(valid))
	m.classes.WithLabelValues("false").Set(float64(len(v.verdicts) - valid))
	m.retained.Set(float64(len(v.classes) - len(v.verdicts)))
}

func (m *metrics) checked(result string, took time.Duration) {
	m.checkSeconds.WithLabelValues(result).Observe(took.Seconds())
}
