package query_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/query/querytest"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// endless is a measurement m with many series that never end: a row each ms from 2020 on, made up as it is read.
type endless struct {
	series int
	read   int // rows handed out
	onRead func()
}

var endlessStart = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

func (e *endless) Measurements(context.Context, store.TimeRange) ([]string, error) {
	return []string{"m"}, nil
}

func (e *endless) Fields(context.Context, string, store.TimeRange) ([]store.FieldKey, error) {
	return []store.FieldKey{{Name: "s", Type: line.String}, {Name: "v", Type: line.Float}}, nil
}

func (e *endless) Series(context.Context, string, store.TimeRange, []store.TagMatcher) ([]*store.Series, error) {
	out := make([]*store.Series, e.series)
	for i := range out {
		h := fmt.Sprintf("h%06d", i)
		out[i] = &store.Series{Key: "m,host=" + h, Measurement: "m", Tags: []store.Tag{{Key: "host", Value: h}}}
	}
	return out, nil
}

func (e *endless) Scan(_ context.Context, o store.ScanOptions) (store.Cursor, error) {
	return &endlessCursor{e: e, o: o, time: max(endlessStart, o.Range.Min)}, nil
}

type endlessCursor struct {
	e    *endless
	o    store.ScanOptions
	time int64
}

func (c *endlessCursor) Close() error { return nil }

func (c *endlessCursor) Next() (*store.Chunk, error) {
	if c.time > c.o.Range.Max {
		return nil, io.EOF
	}
	if c.e.onRead != nil {
		c.e.onRead()
	}
	const rows = 1000
	out := &store.Chunk{Series: c.o.Series[0]}
	v := store.Column{Type: line.Float}
	for range rows {
		out.Times = append(out.Times, c.time)
		v.Floats = append(v.Floats, float64(c.time%997))
		c.time += int64(time.Millisecond)
	}
	for _, f := range c.o.Fields {
		if f == "v" {
			out.Columns = append(out.Columns, v)
		} else {
			out.Columns = append(out.Columns, store.Column{})
		}
	}
	c.e.read += rows
	return out, nil
}

// one is a database d that has just a reader.
type one struct{ reader store.Reader }

func (o one) Databases(context.Context) ([]query.Database, error) {
	return []query.Database{{Name: "d", Policies: []query.RetentionPolicy{{Name: "autogen", Default: true}}}}, nil
}

func (o one) Reader(context.Context, string, string) (store.Reader, error) { return o.reader, nil }

// statementError executes q and returns the error of its last statement.
func statementError(t *testing.T, e *query.Executor, q string) string {
	t.Helper()
	a := ask(t, e, q)
	if a.Error != "" {
		return a.Error
	}
	return a.Results[len(a.Results)-1].Error
}

func TestHostileQueriesEndWithAnError(t *testing.T) {
	limits := query.Limits{Timeout: 20 * time.Second, MaxSeries: 5000, MaxBuckets: 10000, MaxPoints: 300_000, MaxBytes: 8 << 20}
	nested := "SELECT v FROM m"
	for range 60 {
		nested = "SELECT v FROM (" + nested + ")"
	}
	or := "host = 'a'"
	for i := range 5000 {
		or += fmt.Sprintf(" OR host = 'h%d'", i)
	}
	for _, c := range []struct{ name, q, want string }{
		{"intervals of a nanosecond over years", `SELECT mean(v) FROM m WHERE time > '2020-01-01' AND time < '2026-01-01' GROUP BY time(1ns)`, "max-select-buckets"},
		{"intervals of a nanosecond without a beginning", `SELECT mean(v) FROM m GROUP BY time(1ns)`, "limit exceeded"},
		{"intervals of a nanosecond backwards", `SELECT mean(v) FROM m GROUP BY time(1ns) ORDER BY time DESC`, "limit exceeded"},
		{"intervals of a millisecond without fill", `SELECT mean(v) FROM m WHERE host = 'h000001' GROUP BY time(1ms) fill(none)`, "limit exceeded"},
		{"intervals in a subquery", `SELECT max(x) FROM (SELECT mean(v) AS x FROM m GROUP BY time(1u))`, "limit exceeded"},
		{"intervals for many series", `SELECT mean(v) FROM m WHERE time > '2020-01-01' AND time < '2020-01-02' GROUP BY time(1m), host`, "limit exceeded"},
		{"all rows", `SELECT v FROM m`, "limit exceeded"},
		{"all rows backwards", `SELECT v FROM m ORDER BY time DESC`, "limit exceeded"},
		{"values of a median", `SELECT median(v) FROM m`, "limit exceeded"},
		{"values of a percentile", `SELECT percentile(v, 50) FROM m`, "limit exceeded"},
		{"different values", `SELECT count(distinct(v)) FROM m`, "limit exceeded"},
		{"a running sum", `SELECT cumulative_sum(v) FROM m`, "limit exceeded"},
		{"subqueries in subqueries", nested, "limit exceeded"},
		{"subqueries too deep", strings.Repeat("SELECT v FROM (", 1000) + "SELECT v FROM m" + strings.Repeat(")", 1000), "nest deeper"},
		{"parentheses too deep", "SELECT v FROM m WHERE " + strings.Repeat("(", 100000) + "v > 1" + strings.Repeat(")", 100000), "nest deeper"},
		{"a long sum", "SELECT v" + strings.Repeat("+v", 30000) + " FROM m", "operators"},
		{"a long condition", "SELECT mean(v) FROM m WHERE " + or, "operators"},
		{"a long text", "SELECT v FROM m WHERE host = '" + strings.Repeat("x", 2<<20) + "'", "more than the limit"},
		{"a huge average", `SELECT moving_average(v, 9000000000000000000) FROM m`, "must not be greater"},
		{"a huge top", `SELECT top(v, 9000000000000000000) FROM m`, "limit exceeded"},
		{"a huge limit", `SELECT v FROM m LIMIT 9000000000000000000`, "limit exceeded"},
		{"a regular expression that repeats", `SELECT mean(v) FROM m WHERE host =~ /(((a{100}){100}){100})/`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := query.NewExecutor(query.Options{Databases: one{&endless{series: 20}}, Limits: limits})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := statementError(t, e, c.q)
			runtime.GC()
			runtime.ReadMemStats(&after)
			if !strings.Contains(got, c.want) || got == "" {
				t.Errorf("error %q, want one with %q", got, c.want)
			}
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
				t.Errorf("%d MB stay in use", grown>>20)
			}
		})
	}
}

func TestTooManySeriesAreRefused(t *testing.T) {
	e := query.NewExecutor(query.Options{Databases: one{&endless{series: 5001}}, Limits: query.Limits{MaxSeries: 5000}})
	for _, q := range []string{`SELECT v FROM m`, `SHOW SERIES`, `SHOW TAG VALUES WITH KEY = host`} {
		if got := statementError(t, e, q); !strings.Contains(got, "max-select-series limit exceeded: (5001/5000)") {
			t.Errorf("%s: error %q", q, got)
		}
	}
}

func TestQueriesEndWhenTheirTimeIsOver(t *testing.T) {
	e := query.NewExecutor(query.Options{Databases: one{&endless{series: 1}}, Limits: query.Limits{Timeout: 50 * time.Millisecond}})
	if got := statementError(t, e, `SELECT mean(v) FROM m`); !strings.Contains(got, "query timeout exceeded: 50ms") {
		t.Errorf("error %q", got)
	}
}

func TestQueriesEndWhenTheClientGoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := &endless{series: 3}
	m.onRead = func() {
		if m.read == 10000 {
			cancel()
		}
	}
	e := query.NewExecutor(query.Options{Databases: one{m}, Limits: query.Limits{}, Clock: time.Now})
	err := e.Execute(ctx, query.Request{Query: `SELECT v FROM m; SELECT v FROM m`, Database: "d"}, query.NewJSONEncoder(io.Discard, query.EncodeOptions{}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if m.read > 20000 {
		t.Errorf("%d rows were read after the client had gone", m.read)
	}
}

func TestLimitReadsNoMoreThanItAnswers(t *testing.T) {
	m := &endless{series: 4}
	e := query.NewExecutor(query.Options{Databases: one{m}})
	a := ask(t, e, `SELECT v FROM m LIMIT 10`)
	if n := len(a.Results[0].Series[0].Values); n != 10 {
		t.Fatalf("%d rows", n)
	}
	if m.read > 4*2000 {
		t.Errorf("%d rows were read for 10", m.read)
	}
}

// More series than are read side by side must answer as fewer do.
func TestManySeriesAreAnsweredInTheOrderOfTime(t *testing.T) {
	const series, rows = 1100, 62
	b := &querytest.Bucket{}
	for i := range series {
		for k := range rows {
			b.Add(querytest.Point{Measurement: "m", Tags: map[string]string{"host": fmt.Sprintf("h%04d", i), "half": fmt.Sprint(i % 2)},
				Fields: map[string]any{"v": int64(i*rows + k)}, Time: int64(k*series + (i*7)%series)})
		}
	}
	e := query.NewExecutor(query.Options{Databases: one{b}})
	for _, c := range []struct {
		q           string
		first, last int64
		rows        int
	}{
		{`SELECT v FROM m`, 0, series*rows - 1, series * rows},
		{`SELECT v, host FROM m ORDER BY time DESC`, series*rows - 1, 0, series * rows},
		{`SELECT v FROM m LIMIT 10`, 0, 9, 10},
		{`SELECT v FROM m LIMIT 10 OFFSET 60000`, 60000, 60009, 10},
		{`SELECT v FROM m ORDER BY time DESC LIMIT 5`, series*rows - 1, series*rows - 5, 5},
		{`SELECT v FROM (SELECT v FROM m GROUP BY half)`, 0, series*rows - 1, series * rows},
		{`SELECT cumulative_sum(v) FROM m`, 0, series*rows - 1, series * rows},
	} {
		var out bytes.Buffer
		r := query.Request{Query: c.q, Database: "d", Now: now}
		if err := e.Execute(t.Context(), r, query.NewJSONEncoder(&out, query.EncodeOptions{Epoch: "ns"})); err != nil {
			t.Fatal(err)
		}
		a, err := querytest.Decode(out.Bytes())
		if err != nil || len(a.Results[0].Series) != 1 {
			t.Fatalf("%s: %v %.200s", c.q, err, out.String())
		}
		got := a.Results[0].Series[0].Values
		step := int64(1)
		if c.last < c.first {
			step = -1
		}
		if len(got) != c.rows {
			t.Fatalf("%s: %d rows", c.q, len(got))
		}
		for i, row := range got {
			if want := fmt.Sprint(c.first + int64(i)*step); fmt.Sprint(row[0]) != want {
				t.Fatalf("%s: row %d is of time %v, want %s", c.q, i, row[0], want)
			}
		}
	}
}

// broken is an encoder whose client has gone.
type broken struct{ query.Encoder }

var errGone = errors.New("gone")

func (broken) Series(*query.Series) error { return errGone }

func TestQueriesEndWhenTheirResultCannotBeWritten(t *testing.T) {
	m := &endless{series: 1}
	e := query.NewExecutor(query.Options{Databases: one{m}})
	var out bytes.Buffer
	err := e.Execute(t.Context(), query.Request{Query: `SELECT v FROM m; SELECT v FROM m`, Database: "d"}, broken{query.NewJSONEncoder(&out, query.EncodeOptions{})})
	if !errors.Is(err, errGone) {
		t.Errorf("error %v", err)
	}
	if m.read > 2000 {
		t.Errorf("%d rows were read", m.read)
	}
}
