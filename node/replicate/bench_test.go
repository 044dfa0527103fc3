package replicate

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// BenchmarkDrain measures how fast a backlog leaves over loopback HTTP, the remote's reading included.
func BenchmarkDrain(b *testing.B) {
	for _, level := range []int{-1, 1, 0} {
		b.Run(fmt.Sprintf("gzip=%d", level), func(b *testing.B) { benchmarkDrain(b, level) })
	}
}

func benchmarkDrain(b *testing.B, level int) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	log := newMemoryLog()
	set, err := NewSet(Options{Dir: b.TempDir(), Journal: func(id.ID) (journal.Log, error) { return log, nil }})
	if err != nil {
		b.Fatal(err)
	}
	spec := Spec{ID: 1, Bucket: 2, RemoteBucketName: "b", Remote: Remote{URL: server.URL}, GzipLevel: level, Paused: true, MaxDelay: -1}
	if err := set.Add(spec); err != nil {
		b.Fatal(err)
	}
	const points = 1000
	var body strings.Builder
	for i := range points {
		fmt.Fprintf(&body, "cpu,cpu=cpu%d,host=edge-17 usage_idle=%d.25,usage_system=1.5,usage_user=%d.75 %d\n", i%16, i%100, i%7, 1_700_000_000_000_000_000+int64(i)*1e9)
	}
	rec := journal.Record{Kind: journal.Points, Count: points, Body: []byte(body.String())}
	for range b.N {
		if _, err := log.Append(b.Context(), rec); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(body.Len()))
	b.ResetTimer()
	spec.Paused = false
	if err := set.Update(spec); err != nil {
		b.Fatal(err)
	}
	for log.Size(log.cursors[cursorName(1)].Position()) > 0 {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*points/b.Elapsed().Seconds(), "points/s")
	if err := set.Close(); err != nil {
		b.Error(err)
	}
}
