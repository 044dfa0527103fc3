package query_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// prepared is a measurement m whose chunks are all in memory, so that only the execution is measured.
type prepared struct {
	series []*store.Series
	chunks map[string][]store.Chunk
}

const (
	benchSeries = 100
	benchRows   = 10000 // of each series, one each 10 s
	benchChunk  = 4096
)

var benchStart = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func newPrepared() *prepared {
	r := rand.New(rand.NewPCG(1, 1))
	p := &prepared{chunks: map[string][]store.Chunk{}}
	for i := range benchSeries {
		h := fmt.Sprintf("h%03d", i)
		s := &store.Series{Key: "m,host=" + h, Measurement: "m", Tags: []store.Tag{{Key: "host", Value: h}}}
		p.series = append(p.series, s)
		for at := 0; at < benchRows; at += benchChunk {
			n := min(benchChunk, benchRows-at)
			c := store.Chunk{Series: s, Columns: []store.Column{{Type: line.Float}, {Type: line.Integer}}}
			for k := range n {
				c.Times = append(c.Times, benchStart.Add(time.Duration(at+k)*10*time.Second).UnixNano())
				c.Columns[0].Floats = append(c.Columns[0].Floats, r.Float64()*100)
				c.Columns[1].Integers = append(c.Columns[1].Integers, int64(r.IntN(1000)))
			}
			p.chunks[s.Key] = append(p.chunks[s.Key], c)
		}
	}
	return p
}

func (p *prepared) Measurements(context.Context, store.TimeRange) ([]string, error) {
	return []string{"m"}, nil
}

func (p *prepared) Fields(context.Context, string, store.TimeRange) ([]store.FieldKey, error) {
	return []store.FieldKey{{Name: "f", Type: line.Float}, {Name: "i", Type: line.Integer}}, nil
}

func (p *prepared) Series(context.Context, string, store.TimeRange, []store.TagMatcher) ([]*store.Series, error) {
	return p.series, nil
}

func (p *prepared) Scan(_ context.Context, o store.ScanOptions) (store.Cursor, error) {
	c := &preparedCursor{o: o}
	for _, s := range o.Series {
		c.chunks = append(c.chunks, p.chunks[s.Key]...)
	}
	return c, nil
}

type preparedCursor struct {
	o      store.ScanOptions
	chunks []store.Chunk
	out    store.Chunk
}

func (c *preparedCursor) Close() error { return nil }

func (c *preparedCursor) Next() (*store.Chunk, error) {
	if len(c.chunks) == 0 {
		return nil, io.EOF
	}
	in := &c.chunks[0]
	c.chunks = c.chunks[1:]
	c.out = store.Chunk{Series: in.Series, Times: in.Times, Columns: c.out.Columns[:0]}
	for _, f := range c.o.Fields {
		switch f {
		case "f":
			c.out.Columns = append(c.out.Columns, in.Columns[0])
		case "i":
			c.out.Columns = append(c.out.Columns, in.Columns[1])
		default:
			c.out.Columns = append(c.out.Columns, store.Column{})
		}
	}
	return &c.out, nil
}

// BenchmarkSelect counts the rows that are read: 1 M in each query.
func BenchmarkSelect(b *testing.B) {
	e := query.NewExecutor(query.Options{Databases: one{newPrepared()}, Limits: query.Limits{}})
	within := fmt.Sprintf("time >= %ds AND time < %ds", benchStart.Unix(), benchStart.Unix()+benchRows*10)
	for _, c := range []struct{ name, q string }{
		{"mean", `SELECT mean(f) FROM m WHERE ` + within},
		{"mean by hour", `SELECT mean(f) FROM m WHERE ` + within + ` GROUP BY time(1h)`},
		{"mean by hour and host", `SELECT mean(f) FROM m WHERE ` + within + ` GROUP BY time(1h), host`},
		{"mean by minute and host", `SELECT mean(f) FROM m WHERE ` + within + ` GROUP BY time(1m), host`},
		{"max by hour and host", `SELECT max(f) FROM m WHERE ` + within + ` GROUP BY time(1h), host`},
		{"count by hour and host", `SELECT count(f) FROM m WHERE ` + within + ` GROUP BY time(1h), host`},
		{"last by host", `SELECT last(f) FROM m GROUP BY host`},
		{"five functions by hour", `SELECT count(f), sum(f), min(f), max(f), mean(i) FROM m WHERE ` + within + ` GROUP BY time(1h)`},
		{"stddev by hour", `SELECT stddev(f) FROM m WHERE ` + within + ` GROUP BY time(1h), host`},
		{"median by hour", `SELECT median(f) FROM m WHERE ` + within + ` GROUP BY time(1h), host`},
		{"percentile by hour", `SELECT percentile(f, 90) FROM m WHERE ` + within + ` GROUP BY time(1h), host`},
		{"derivative by host", `SELECT derivative(f) FROM m GROUP BY host`},
		{"mean where", `SELECT mean(f) FROM m WHERE i > 500 GROUP BY host`},
		{"mean of a subquery", `SELECT max(x) FROM (SELECT mean(f) AS x FROM m WHERE ` + within + ` GROUP BY time(1m), host) GROUP BY host`},
		{"rows of one series after the other", `SELECT f FROM m GROUP BY host`},
		{"rows of all series by time", `SELECT f FROM m`},
		{"arithmetic on rows", `SELECT f * 2 + 1 FROM m GROUP BY host`},
		{"rows where", `SELECT f, i FROM m WHERE f > 99 GROUP BY host`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := query.Request{Query: c.q, Database: "d", Now: now}
				if err := e.Execute(b.Context(), r, query.NewJSONEncoder(io.Discard, query.EncodeOptions{Epoch: "ms"})); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(benchSeries*benchRows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpoints/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
