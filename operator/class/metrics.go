package class

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a registry counts.
type metrics struct {
	classes      *prometheus.GaugeVec     // valid
	checkSeconds *prometheus.HistogramVec // result
	retained     prometheus.Gauge
	ages         *ages
}

func newMetrics(r prometheus.Registerer, now func() time.Time) *metrics {
	m := &metrics{
		ages: &ages{now: now},
		classes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_operator_classes", Help: "Classes, by whether their newest text is valid.",
		}, []string{"valid"}),
		checkSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_operator_class_check_seconds", Help: "Time that the agent's check of one text took, by its result: accepted, unjudged, refused or failed.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 10),
		}, []string{"result"}),
		retained: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_operator_classes_retained", Help: "Classes that are gone and whose text is kept for pods that run with it.",
		}),
	}
	if r != nil {
		r.MustRegister(m.classes, m.checkSeconds, m.retained, m.ages)
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
	m.ages.view.Store(v)
}

func (m *metrics) checked(result string, took time.Duration) {
	m.checkSeconds.WithLabelValues(result).Observe(took.Seconds())
}

// ages tells how old the texts in use are, at the time that it is asked.
type ages struct {
	now  func() time.Time
	view atomic.Pointer[view]
}

var ageOf = prometheus.NewDesc("holdfast_operator_config_age_seconds",
	"Time since this replica first saw the text of a class that is in use, by kind, namespace (of a TelegrafClass) and name.",
	[]string{"kind", "namespace", "name"}, nil)

// Describe is the collector's.
func (a *ages) Describe(out chan<- *prometheus.Desc) { out <- ageOf }

// Collect is the collector's. A text that is kept from an earlier process has no age until its source reports it.
func (a *ages) Collect(out chan<- prometheus.Metric) {
	v := a.view.Load()
	if v == nil {
		return
	}
	for key, h := range v.classes {
		if h.present && h.class != nil && !h.class.Since.IsZero() {
			out <- prometheus.MustNewConstMetric(ageOf, prometheus.GaugeValue, a.now().Sub(h.class.Since).Seconds(), string(key.Kind), key.Namespace, key.Name)
		}
	}
}
