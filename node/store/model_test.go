package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

const testBucket = id.ID(0x1234)

// clock is a settable clock.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time         { return time.Unix(0, c.ns.Load()) }
func (c *clock) set(t time.Time)        { c.ns.Store(t.UnixNano()) }
func newClock(t time.Time) *clock       { c := &clock{}; c.set(t); return c }
func day(n int) time.Time               { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
func span(from, to time.Time) TimeRange { return TimeRange{from.UnixNano(), to.UnixNano()} }

var allTime = TimeRange{line.MinTime - 2, line.MaxTime + 1}

// openTest opens a store without background work, and one bucket of it.
func openTest(t testing.TB, dir string, c *clock, bo BucketOptions) (*Store, *Bucket) {
	t.Helper()
	s, err := Open(Options{Dir: dir, Now: c.now, Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	s.wideValues = 2000 // so that small tests have wide blocks too
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := s.Bucket(testBucket, bo)
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

// parse makes a batch of lines.
func parse(t testing.TB, text string) *line.Batch {
	t.Helper()
	var p line.Parser
	var b line.Batch
	if err := p.Parse(&b, []byte(text), line.Options{Precision: line.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	return &b
}

// write admits and applies lines as the record behind the last one. Everything must be admitted.
func write(t testing.TB, b *Bucket, text string) {
	t.Helper()
	batch := parse(t, text)
	if partial := b.Admit(batch, b.store.o.Now()); partial != nil {
		t.Fatalf("not admitted: %v", partial)
	}
	b.Apply(b.Applied()+1, batch)
}

// dump reads everything through the Reader, one line a value, and checks the promises of its methods on the way.
func dump(t testing.TB, r Reader, tr TimeRange, descending bool) []string {
	t.Helper()
	ctx := context.Background()
	names, err := r.Measurements(ctx, tr)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(names) {
		t.Fatalf("measurements are not sorted: %q", names)
	}
	var out []string
	for _, name := range names {
		keys, err := r.Fields(ctx, name, tr)
		if err != nil {
			t.Fatal(err)
		}
		var fields []string
		for _, k := range keys {
			if !slices.Contains(fields, k.Name) {
				fields = append(fields, k.Name)
			}
		}
		series, err := r.Series(ctx, name, tr, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(fields) == 0 || len(series) == 0 {
			t.Fatalf("measurement %q has %d fields and %d series", name, len(fields), len(series))
		}
		out = append(out, dumpScan(t, r, ScanOptions{Series: series, Fields: fields, Range: tr, Descending: descending})...)
	}
	sort.Strings(out)
	return out
}

func dumpScan(t testing.TB, r Reader, o ScanOptions) []string {
	t.Helper()
	c, err := r.Scan(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	var out []string
	var last *Series
	var lastTime int64
	for {
		chunk, err := c.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk.Times) == 0 || len(chunk.Times) > chunkRows || len(chunk.Columns) != len(o.Fields) {
			t.Fatalf("chunk of %d rows and %d columns", len(chunk.Times), len(chunk.Columns))
		}
		for i, at := range chunk.Times {
			if chunk.Series == last && (at == lastTime || at < lastTime != o.Descending) {
				t.Fatalf("%s: time %d comes after %d", chunk.Series.Key, at, lastTime)
			}
			last, lastTime = chunk.Series, at
			any := false
			for c := range chunk.Columns {
				if col := &chunk.Columns[c]; col.Has(i) {
					any = true
					v := col.value(i)
					out = append(out, fmt.Sprintf("%s %s=%s %d", chunk.Series.Key, o.Fields[c], line.AppendValue(nil, v), at))
				}
			}
			if !any {
				t.Fatalf("%s: row at %d has no value", chunk.Series.Key, at)
			}
		}
	}
}

// model is the plainest store there can be.
type model map[string]map[int64]map[string]string // series, time, field: value

func (m model) write(series string, at int64, field, value string) {
	if m[series] == nil {
		m[series] = make(map[int64]map[string]string)
	}
	if m[series][at] == nil {
		m[series][at] = make(map[string]string)
	}
	m[series][at][field] = value
}

func (m model) delete(d *Delete) {
	for key, rows := range m {
		if !d.Matches(newSeries(key)) {
			continue
		}
		for at := range rows {
			if d.Range.contains(at) {
				delete(rows, at)
			}
		}
	}
}

func (m model) dump(tr TimeRange) []string {
	var out []string
	for key, rows := range m {
		for at, fields := range rows {
			if !tr.contains(at) {
				continue
			}
			for f, v := range fields {
				out = append(out, fmt.Sprintf("%s %s=%s %d", key, f, v, at))
			}
		}
	}
	sort.Strings(out)
	return out
}

func compareDumps(t testing.TB, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	missing, extra := 0, 0
	var shown []string
	i, j := 0, 0
	for i < len(got) || j < len(want) {
		switch {
		case j == len(want) || i < len(got) && got[i] < want[j]:
			extra++
			shown = append(shown, "extra   "+got[i])
			i++
		case i == len(got) || want[j] < got[i]:
			missing++
			shown = append(shown, "missing "+want[j])
			j++
		default:
			i, j = i+1, j+1
		}
	}
	t.Fatalf("%s: %d values, want %d; %d missing, %d extra:\n%s", what, len(got), len(want), missing, extra,
		strings.Join(shown[:min(len(shown), 20)], "\n"))
}

// fieldKinds are the fields of the model test and how a value of each is written.
var fieldKinds = []struct {
	name  string
	value func(r *rand.Rand) string
}{
	{"f", func(r *rand.Rand) string { return fmt.Sprint(float64(r.IntN(1000)) / 8) }},
	{"i", func(r *rand.Rand) string { return fmt.Sprintf("%di", r.Int64()-r.Int64()) }},
	{"u", func(r *rand.Rand) string { return fmt.Sprintf("%du", r.Uint64()) }},
	{"b", func(r *rand.Rand) string { return fmt.Sprint(r.IntN(2) == 0) }},
	{"s", func(r *rand.Rand) string { return fmt.Sprintf("\"text %d\xff\"", r.IntN(50)) }},
	{"g", func(r *rand.Rand) string { return fmt.Sprint(r.IntN(5)) }},
}

// world drives a bucket and a model with the same random operations.
type world struct {
	t     *testing.T
	r     *rand.Rand
	dir   string
	clock *clock
	bo    BucketOptions
	s     *Store
	b     *Bucket
	m     model
	log   []func(*Bucket) // what was applied, by position from 1
}

func (w *world) record(apply func(*Bucket)) {
	w.log = append(w.log, apply)
	apply(w.b)
}

func (w *world) write() {
	n := 1 + w.r.IntN(60)
	var text strings.Builder
	base := w.r.IntN(3 * 24 * 3600)
	for i := range n {
		series := fmt.Sprintf("m%d,host=h%d", w.r.IntN(3), w.r.IntN(6))
		if w.r.IntN(4) == 0 {
			series += fmt.Sprintf(",zone=z%d", w.r.IntN(2))
		}
		at := day(1).UnixNano() + int64(base+i)*1e9
		if w.r.IntN(10) == 0 {
			at = day(1).UnixNano() + int64(w.r.IntN(3*24*3600))*1e9
		}
		var fields []string
		seen := map[string]bool{}
		for range 1 + w.r.IntN(4) {
			k := fieldKinds[w.r.IntN(len(fieldKinds))]
			if seen[k.name] {
				continue
			}
			seen[k.name] = true
			v := k.value(w.r)
			fields = append(fields, k.name+"="+v)
			w.m.write(series, at, k.name, v)
		}
		fmt.Fprintf(&text, "%s %s %d\n", series, strings.Join(fields, ","), at)
	}
	w.apply(text.String())
}

// wave writes a run of many rows, so that wide blocks and several pages come about.
func (w *world) wave() {
	var text strings.Builder
	series := fmt.Sprintf("m%d,host=h%d", w.r.IntN(3), w.r.IntN(6))
	start := day(1+w.r.IntN(3)).UnixNano() + int64(w.r.IntN(3600))*1e9
	for i := range 6000 {
		at := start + int64(i)*1e9
		v, g := fieldKinds[0].value(w.r), fieldKinds[5].value(w.r)
		w.m.write(series, at, "f", v)
		w.m.write(series, at, "g", g)
		fmt.Fprintf(&text, "%s f=%s,g=%s %d\n", series, v, g, at)
	}
	w.apply(text.String())
}

func (w *world) apply(text string) {
	batch := parse(w.t, text)
	if partial := w.b.Admit(batch, w.clock.now()); partial != nil {
		w.t.Fatalf("not admitted: %v", partial)
	}
	pos := uint64(len(w.log) + 1)
	w.record(func(b *Bucket) { b.Apply(pos, batch) })
}

func (w *world) delete() {
	from := day(1).Add(time.Duration(w.r.IntN(3*24)) * time.Hour)
	d := Delete{Range: span(from, from.Add(time.Duration(w.r.IntN(20))*time.Hour))}
	if w.r.IntN(2) == 0 {
		d.Measurement = OfMeasurement(fmt.Sprintf("m%d", w.r.IntN(3)))
	}
	if w.r.IntN(2) == 0 {
		d.Tags = []TagMatcher{{Key: "host", Op: MatchOp(w.r.IntN(2)), Value: fmt.Sprintf("h%d", w.r.IntN(6))}}
	}
	w.m.delete(&d)
	pos := uint64(len(w.log) + 1)
	w.record(func(b *Bucket) { b.ApplyDelete(pos, d) })
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// reopen closes the store without a flush, opens it, and replays the log as recovery does: sometimes from too early.
func (w *world) reopen() {
	w.must(w.s.Close())
	w.s, w.b = openTest(w.t, w.dir, w.clock, w.bo)
	from := w.b.Flushed()
	if from > 0 && w.r.IntN(2) == 0 {
		from = w.r.Uint64N(from + 1)
	}
	for _, apply := range w.log[from:] {
		apply(w.b)
	}
}

func (w *world) check(what string) {
	w.t.Helper()
	tr := allTime
	if w.r.IntN(2) == 0 {
		from := day(1).Add(time.Duration(w.r.IntN(3*24*3600)) * time.Second)
		tr = span(from, from.Add(time.Duration(w.r.IntN(2*24*3600))*time.Second))
	}
	compareDumps(w.t, what, dump(w.t, w.b, tr, w.r.IntN(2) == 0), w.m.dump(tr))
	if d := w.b.Damages(); len(d) > 0 {
		w.t.Fatalf("%s: damage: %v", what, d[0].Error())
	}
}

func TestStoreAnswersAsAPlainModelDoes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), dir: t.TempDir(), clock: newClock(day(3)), m: model{},
				bo: BucketOptions{ShardDuration: 24 * time.Hour}}
			w.s, w.b = openTest(t, w.dir, w.clock, w.bo)
			steps := 60
			if testing.Short() {
				steps = 25
			}
			for i := range steps {
				what := ""
				switch n := w.r.IntN(100); {
				case n < 50:
					what = "write"
					w.write()
				case n < 54:
					what = "wave"
					w.wave()
				case n < 64:
					what = "delete"
					w.delete()
				case n < 82:
					what = "flush"
					w.must(w.b.Flush(context.Background()))
				case n < 90:
					what = "compact"
					w.must(w.b.Compact(context.Background()))
				case n < 93:
					what = "compact cold partitions"
					w.clock.set(day(9))
					w.must(w.b.Compact(context.Background()))
					w.clock.set(day(3))
				default:
					what = "reopen"
					w.reopen()
				}
				w.check(fmt.Sprintf("step %d, %s", i, what))
			}
		})
	}
}
