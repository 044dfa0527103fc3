package replicate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics reports the status of all replications when it is asked for. The first group has the names of InfluxDB 2, so that
// dashboards for it go on working; what it counts as failed to queue cannot happen here and stays 0.
type metrics struct {
	set *Set

	pointsQueued, bytesQueued, currentBytes         *prometheus.Desc
	bytesSent, errors, bytesDropped                 *prometheus.Desc
	pointsFailed, bytesFailed                       *prometheus.Desc
	state, lag, oldest, success, next               *prometheus.Desc
	pointsSent, pointsFilled, pointsDropped         *prometheus.Desc
	requests, retries, connectionErrors, bytesTried *prometheus.Desc
	gaps, gapPoints, dead, queueLimit, queue        *prometheus.Desc
}

func newMetrics(set *Set) *metrics {
	old := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("replications_queue_"+name, help, append([]string{"replicationID"}, labels...), nil)
	}
	ours := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("holdfast_replication_"+name, help, append([]string{"replicationID"}, labels...), nil)
	}
	return &metrics{
		set:          set,
		pointsQueued: old("total_points_queued", "Points that the replication has read from the journal."),
		bytesQueued:  old("total_bytes_queued", "Bytes of line protocol that the replication has read from the journal."),
		currentBytes: old("current_bytes_queued", "Bytes of the journal that are still to be sent."),
		bytesSent:    old("remote_write_bytes_sent", "Bytes of request bodies that the remote accepted, as sent."),
		errors:       old("remote_write_errors", "Failed requests by response code, 0 for a timeout.", "code"),
		bytesDropped: old("remote_write_bytes_dropped", "Bytes of line protocol of dropped points."),
		pointsFailed: old("points_failed_to_queue", "Always 0: a point that was accepted is queued."),
		bytesFailed:  old("bytes_failed_to_queue", "Always 0: a point that was accepted is queued."),

		state:            ours("state", "1 for the state that the replication is in.", "state"),
		lag:              ours("lag_seconds", "How long the oldest unsent record has been waiting, 0 when none is."),
		oldest:           ours("oldest_unsent_timestamp_seconds", "When the oldest unsent record was accepted, 0 when none waits."),
		success:          ours("last_success_timestamp_seconds", "When the remote last accepted a request, 0 for never."),
		next:             ours("next_try_timestamp_seconds", "When the next try is planned, 0 when none is."),
		pointsSent:       ours("points_sent_total", "Points that the remote accepted."),
		pointsFilled:     ours("points_filled_total", "Points that were sent from the store to fill gaps."),
		pointsDropped:    ours("points_dropped_total", "Points that will not be sent, by reason.", "reason"),
		requests:         ours("requests_total", "Requests with a body."),
		retries:          ours("retries_total", "Requests that followed a failed one."),
		connectionErrors: ours("connection_errors_total", "Requests without an answer."),
		bytesTried:       ours("request_bytes_total", "Bytes of the bodies of all requests, as sent."),
		gaps:             ours("gaps_open", "Gaps and backfills that are not filled yet."),
		gapPoints:        ours("gap_points", "Points known to be missing in open gaps."),
		dead:             ours("dead_letters", "Lines in the dead letter file."),
		queueLimit:       ours("queue_limit_bytes", "Bound of the journal bytes that may wait for the replication."),
		queue:            ours("queue_bytes", "Journal bytes behind the replication's position."),
	}
}

// Describe sends nothing: which labels there are changes with the replications.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads the status of all replications.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.set.Statuses() {
		r := report{ch, s.ID.String()}
		m.collectOld(r, s)
		m.collectOurs(r, s)
	}
}

func (m *metrics) collectOld(r report, s Status) {
	r.count(m.pointsQueued, s.PointsRead)
	r.count(m.bytesQueued, s.BytesRead)
	r.gauge(m.currentBytes, float64(s.RemainingBytes))
	r.count(m.bytesSent, s.BytesSent)
	for code, n := range s.Errors {
		r.count(m.errors, n, code)
	}
	r.count(m.bytesDropped, s.BytesDropped)
	r.count(m.pointsFailed, 0)
	r.count(m.bytesFailed, 0)
}

func (m *metrics) collectOurs(r report, s Status) {
	r.gauge(m.state, 1, string(s.State))
	r.gauge(m.lag, s.Lag.Seconds())
	r.gauge(m.oldest, seconds(s.OldestUnsent))
	r.gauge(m.success, seconds(s.LastSuccess))
	r.gauge(m.next, seconds(s.NextTry))
	r.count(m.pointsSent, s.PointsSent)
	r.count(m.pointsFilled, s.PointsFilled)
	for reason, n := range s.Dropped {
		r.count(m.pointsDropped, n, reason)
	}
	r.count(m.requests, s.Requests)
	r.count(m.retries, s.Retries)
	r.count(m.connectionErrors, s.ConnectionErrors)
	r.count(m.bytesTried, s.BytesTried)
	r.gauge(m.gaps, float64(s.OpenGaps))
	r.gauge(m.gapPoints, float64(s.GapPoints))
	r.gauge(m.dead, float64(s.DeadLetters))
	r.gauge(m.queueLimit, float64(s.QueueLimit))
	r.gauge(m.queue, float64(s.QueueBytes))
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

// report sends the metrics of one replication.
type report struct {
	ch chan<- prometheus.Metric
	id string
}

func (r report) count(d *prometheus.Desc, n int64, labels ...string) {
	r.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{r.id}, labels...)...)
}

func (r report) gauge(d *prometheus.Desc, v float64, labels ...string) {
	r.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{r.id}, labels...)...)
}
