package api

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// sink takes points and forgets them.
type sink struct{}

func (sink) Write(context.Context, id.ID, *line.Batch) error { return nil }

// allocations returns how many allocations one write of so many points costs.
func allocations(t *testing.T, h http.Handler, points int) float64 {
	text := body(points)
	write := func() {
		r := httptest.NewRequest("POST", v2, bytes.NewReader(text))
		r.Header.Set("Authorization", "Token "+operator)
		h.ServeHTTP(&discard{header: http.Header{}}, r)
	}
	write() // learns the series
	return testing.AllocsPerRun(20, write)
}

func TestWriteAllocatesNothingPerPoint(t *testing.T) {
	n := startWith(t, func(o *Options) { o.Writer = sink{} })
	few, many := allocations(t, n, 100), allocations(t, n, 5000)
	// The pools may be emptied by a collection in between; a growth with the number of points would be thousands.
	if many > few+20 {
		t.Errorf("100 points cost %v allocations, 5000 cost %v", few, many)
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, points := range []int{1, 100, 5000} {
		b.Run(map[int]string{1: "1point", 100: "100points", 5000: "5000points"}[points], func(b *testing.B) {
			h := startWith(b, func(o *Options) { o.Writer = sink{} })
			text := body(points)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", v2, bytes.NewReader(text))
				r.Header.Set("Authorization", "Token "+operator)
				h.ServeHTTP(&discard{header: http.Header{}}, r)
			}
			b.ReportMetric(float64(points)*float64(b.N)/b.Elapsed().Seconds(), "points/s")
		})
	}
}
