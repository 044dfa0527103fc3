package replicate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
)

func TestMetricsKeepInfluxDBsNames(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(times(reply{code: 500}, reply{code: 400}, reply{code: 400}))
		b.write(4)
		b.drained(time.Minute)
		registry := prometheus.NewPedanticRegistry()
		if err := registry.Register(newMetrics(b.set)); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				labels := []string{f.GetName()}
				for _, l := range m.GetLabel() {
					if l.GetName() == "replicationID" && l.GetValue() != testReplication.String() {
						t.Errorf("%s is of replication %s", f.GetName(), l.GetValue())
					} else if l.GetName() != "replicationID" {
						labels = append(labels, l.GetValue())
					}
				}
				values[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		s := b.status()
		for name, want := range map[string]float64{
			"replications_queue_total_points_queued":        4,
			"replications_queue_total_bytes_queued":         float64(s.BytesRead),
			"replications_queue_current_bytes_queued":       0,
			"replications_queue_remote_write_bytes_sent":    float64(s.BytesSent),
			"replications_queue_remote_write_errors 500":    1,
			"replications_queue_remote_write_errors 400":    2,
			"replications_queue_remote_write_bytes_dropped": 0,
			"replications_queue_points_failed_to_queue":     0,
			"replications_queue_bytes_failed_to_queue":      0,
			"holdfast_replication_points_sent_total":        4,
			"holdfast_replication_state idle":               1,
			"holdfast_replication_lag_seconds":              0,
			"holdfast_replication_requests_total":           float64(s.Requests),
			"holdfast_replication_queue_limit_bytes":        DefaultQueueBytes,
		} {
			if got, there := values[name]; !there || got != want {
				t.Errorf("%s is %v (there: %v), want %v", name, got, there, want)
			}
		}
	})
}

func TestSetRegistersItsMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	set, err := NewSet(Options{Dir: t.TempDir(), Registerer: registry, Journal: func(id.ID) (journal.Log, error) { return newMemoryLog(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{ID: 1, Bucket: 2, RemoteBucketName: "b", Remote: Remote{URL: "http://127.0.0.1:1"}}
	if err := set.Add(spec); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	if err != nil || !slices.Contains(names, "replications_queue_current_bytes_queued") {
		t.Errorf("families %v, %v", names, err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
}
