package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of the HTTP surface. Their names are those that dashboards of InfluxDB 2 use.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	panics   prometheus.Counter
}

func newMetrics(h *Handler) *metrics {
	var registerer prometheus.Registerer
	if h.Registry != nil {
		registerer = h.Registry
	}
	f := promauto.With(registerer)
	labels := []string{"handler", "method", "path", "status", "response_code", "user_agent"}
	m := &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{Name: "http_api_requests_total", Help: "Requests by path and answer."}, labels),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{Name: "http_api_request_duration_seconds", Help: "Time to answer a request."},
			[]string{"handler", "method", "path", "status"}),
		panics: f.NewCounter(prometheus.CounterOpts{Name: "http_api_panics_total", Help: "Requests that a defect of the node ended."}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "influxdb_uptime_seconds", Help: "Time since the start of the node."},
		func() float64 { return h.Now().Sub(h.started).Seconds() })
	f.NewGauge(prometheus.GaugeOpts{Name: "influxdb_info", Help: "What runs here.",
		ConstLabels: prometheus.Labels{"version": versionName(h.Version), "commit": h.Commit}}).Set(1)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "http_api_write_held_bytes", Help: "Bytes of the bodies of writes in progress."},
		func() float64 { return float64(h.writes.held.Load()) })
	return m
}

// observe counts one request. All labels have few values: paths are patterns, agents are families.
func (m *metrics) observe(r *http.Request, a *answer, took time.Duration) {
	path := strings.NewReplacer("{", ":", "}", "").Replace(r.Pattern)
	if path == "" || path == "/" {
		path = "/..."
	}
	method := r.Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "OTHER"
	}
	status := strconv.Itoa(a.status/100) + "XX"
	m.requests.WithLabelValues("platform", method, path, status, strconv.Itoa(a.status), agentFamily(r.UserAgent())).Inc()
	m.duration.WithLabelValues("platform", method, path, status).Observe(took.Seconds())
}

// agents are the programs that are told apart in metrics.
var agents = []string{"Telegraf", "influxdb-client-go", "influxdb-client-python", "influxdb-client-java", "influxdb-oss-replication",
	"influx", "InfluxDBShell", "InfluxDBClient", "Grafana", "holdfast", "Go-http-client", "curl", "Mozilla"}

func agentFamily(userAgent string) string {
	if userAgent == "" {
		return "unknown"
	}
	for _, a := range agents {
		if strings.HasPrefix(userAgent, a) {
			return a
		}
	}
	return "other"
}
