// Command parquetgate measures what decides whether young blocks may be Parquet: bytes for each value, and how long it takes to
// read an hour of one field of one series, on data of the shapes that an edge sees. It writes the data through node/store
// and reads it back through its Reader. With -lines it writes the same data as line protocol, for other stores.
//
// Usage: go run ./bench/parquetgate [-lines FILE -only SET]
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

func main() {
	lines := flag.String("lines", "", "write the points of -only to this file as line protocol, and stop")
	only := flag.String("only", "", "measure this set only")
	flag.Parse()
	if err := run(*only, *lines); err != nil {
		fmt.Fprintln(os.Stderr, "parquetgate:", err)
		os.Exit(1)
	}
}

func run(only, lines string) error {
	if lines == "" {
		fmt.Println("| set | series | values | bytes/value, flushed | bytes/value, merged | flush, M values/s | 1 series, 1 h: p50 flushed | p99 | p50 merged | p99 |")
		fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	}
	for _, s := range sets {
		if only != "" && s.name != only {
			continue
		}
		if lines != "" {
			return writeLines(s, lines)
		}
		if err := measure(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func writeLines(s set, path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	defer func() { err = errors.Join(err, w.Flush(), f.Close()) }()
	var text []byte
	return s.generate(func(b *line.Batch) error {
		text = line.AppendBatch(text[:0], b)
		_, err := w.Write(text)
		return err
	})
}

// measure prints the row of a set.
func measure(s set) (err error) {
	dir, err := os.MkdirTemp("", "parquetgate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	now := func() time.Time { return start.Add(s.length) }
	st, err := store.Open(store.Options{Dir: dir, Manual: true, Now: now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	b, err := st.Bucket(id.ID(1), store.BucketOptions{ShardDuration: 24 * time.Hour})
	if err != nil {
		return err
	}
	ctx := context.Background()
	values, flushing, err := fill(ctx, b, s)
	if err != nil {
		return err
	}
	flushed, err := size(dir)
	if err != nil {
		return err
	}
	young, err := latencies(ctx, b, s)
	if err != nil {
		return err
	}
	if err := b.Compact(ctx); err != nil {
		return err
	}
	merged, err := size(dir)
	if err != nil {
		return err
	}
	old, err := latencies(ctx, b, s)
	if err != nil {
		return err
	}
	n := float64(values)
	fmt.Printf("| %s | %d | %.2f M | %.2f | %.2f | %.1f | %s | %s | %s | %s |\n", s.name, b.SeriesCount(), n/1e6, float64(flushed)/n,
		float64(merged)/n, n/1e6/flushing.Seconds(), young[len(young)/2], young[len(young)*99/100], old[len(old)/2], old[len(old)*99/100])
	return nil
}

// fill writes the set with a flush after every s.flush of its time, and returns the number of values and the time in flushes.
func fill(ctx context.Context, b *store.Bucket, s set) (values int, flushing time.Duration, err error) {
	next := start.Add(s.flush).UnixNano()
	flush := func() error {
		began := time.Now()
		err := b.Flush(ctx)
		flushing += time.Since(began)
		return err
	}
	err = s.generate(func(batch *line.Batch) error {
		if batch.Points[0].Time >= next {
			next += int64(s.flush)
			if err := flush(); err != nil {
				return err
			}
		}
		for i := range batch.Points {
			values += len(batch.Points[i].Fields)
		}
		if partial := b.Admit(batch, start); partial != nil {
			return partial
		}
		b.Apply(b.Applied()+1, batch)
		return nil
	})
	return values, flushing, errors.Join(err, flush())
}

// size returns the bytes of all files below dir.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// latencies reads an hour of one field of random series, and returns the times taken, sorted.
func latencies(ctx context.Context, b *store.Bucket, s set) ([]time.Duration, error) {
	r := rand.New(rand.NewPCG(3, 4))
	whole := store.TimeRange{Min: start.UnixNano(), Max: start.Add(s.length).UnixNano()}
	names, err := b.Measurements(ctx, whole)
	if err != nil {
		return nil, err
	}
	var out []time.Duration
	for range 300 {
		name := names[r.IntN(len(names))]
		series, err := b.Series(ctx, name, whole, nil)
		if err != nil {
			return nil, err
		}
		fields, err := b.Fields(ctx, name, whole)
		if err != nil {
			return nil, err
		}
		from := start.Add(time.Duration(r.Int64N(int64(max(s.length-time.Hour, 1))))).UnixNano()
		o := store.ScanOptions{Series: series[r.IntN(len(series)):][:1], Fields: []string{fields[r.IntN(len(fields))].Name},
			Range: store.TimeRange{Min: from, Max: from + int64(time.Hour)}}
		began := time.Now()
		if err := scan(ctx, b, o); err != nil {
			return nil, err
		}
		out = append(out, time.Since(began).Round(time.Microsecond))
	}
	slices.Sort(out)
	return out, nil
}

func scan(ctx context.Context, b *store.Bucket, o store.ScanOptions) error {
	c, err := b.Scan(ctx, o)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = c.Next()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, c.Close())
}

// start is when all data begins.
var start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// set is one shape of data.
type set struct {
	name   string
	length time.Duration // of its time
	flush  time.Duration // of its time, between flushes
	// generate gives the points in batches, in time order.
	generate func(emit func(*line.Batch) error) error
}

// gauge is a series with its fields' last values.
type gauge struct {
	key  []byte
	vals []float64
}

func gauges(n, fields int, measurement string, tags ...string) []gauge {
	out := make([]gauge, n)
	for i := range out {
		t := []line.Tag{{Key: "host", Value: fmt.Sprintf("host_%d", i)}}
		for j, tag := range tags {
			t = append(t, line.Tag{Key: tag, Value: fmt.Sprintf("%s-%d", tag, (i*7+j)%13)})
		}
		out[i] = gauge{line.AppendSeriesKey(nil, measurement, t), make([]float64, fields)}
	}
	return out
}

func keys(prefix string, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = []byte(fmt.Sprintf("%s_%d", prefix, i))
	}
	return out
}

// each calls point for every series at every step, and emits a batch for each step.
func each(length, step time.Duration, groups [][]gauge, emit func(*line.Batch) error, point func(group int, g *gauge, fields []line.Field) []line.Field) error {
	var b line.Batch
	var fields []line.Field
	for at := start; at.Before(start.Add(length)); at = at.Add(step) {
		b.Reset()
		for i := range groups {
			for j := range groups[i] {
				g := &groups[i][j]
				if fields = point(i, g, fields[:0]); len(fields) > 0 {
					b.Add(g.key, fields, at.UnixNano())
				}
			}
		}
		if len(b.Points) == 0 {
			continue
		}
		if err := emit(&b); err != nil {
			return err
		}
	}
	return nil
}

func number(t line.Type, bits uint64) line.Value { return line.Value{Type: t, Bits: bits} }

var sets = []set{
	{name: "devops", length: 4 * time.Hour, flush: 30 * time.Minute, generate: devops},
	{name: "floats", length: 12 * time.Hour, flush: 2 * time.Hour, generate: floats},
	{name: "decimals", length: 12 * time.Hour, flush: 2 * time.Hour, generate: decimals},
	{name: "strings", length: 12 * time.Hour, flush: 2 * time.Hour, generate: texts},
	{name: "sparse", length: 12 * time.Hour, flush: 2 * time.Hour, generate: sparse},
	{name: "small", length: 24 * time.Hour, flush: 15 * time.Minute, generate: small},
}
