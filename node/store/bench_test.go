package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// benchBatch makes a batch of one point for each of n series: ten integer fields and ten tags, as TSBS's cpu-only has.
func benchBatch(n int, at int64) *line.Batch {
	r := rand.New(rand.NewPCG(uint64(at), 1))
	var b line.Batch
	fields := make([]line.Field, 10)
	for i := range fields {
		fields[i] = line.Field{Key: fmt.Appendf(nil, "usage_%d", i)}
	}
	for i := range n {
		for k := range fields {
			fields[k].Value = line.Value{Type: line.Integer, Bits: r.Uint64N(100)}
		}
		b.Add(benchKey(i), fields, at)
	}
	return &b
}

func benchKey(i int) []byte {
	var tags []line.Tag
	for k := range 9 {
		tags = append(tags, line.Tag{Key: fmt.Sprintf("tag%d", k), Value: fmt.Sprintf("value-%d-%d", k, (i*7+k)%31)})
	}
	return line.AppendSeriesKey(nil, "cpu", append(tags, line.Tag{Key: "hostname", Value: fmt.Sprintf("host_%d", i)}))
}

func benchBucket(b *testing.B, o Options) *Bucket {
	o.Dir, o.Manual = b.TempDir(), true
	s, err := Open(o)
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	bucket, err := s.Bucket(id.ID(1), BucketOptions{ShardDuration: 24 * time.Hour})
	must(b, err)
	return bucket
}

func benchmarkWrite(b *testing.B, do func(*Bucket, uint64, *line.Batch)) {
	bucket := benchBucket(b, Options{})
	const series, batches = 500, 50
	list := make([]*line.Batch, batches)
	pos := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		if n%batches == 0 {
			b.StopTimer()
			bucket.mu.Lock()
			if n%(20*batches) == 0 { // as a flush would
				bucket.active = newMemtable()
			}
			bucket.mu.Unlock()
			for i := range list {
				list[i] = benchBatch(series, day(1).UnixNano()+int64(n+i)*1e10)
			}
			b.StartTimer()
		}
		pos++
		do(bucket, pos, list[n%batches])
	}
	b.ReportMetric(float64(b.N)*series/b.Elapsed().Seconds(), "points/s")
}

func BenchmarkAdmit(b *testing.B) {
	now := day(2)
	benchmarkWrite(b, func(bucket *Bucket, _ uint64, batch *line.Batch) {
		if partial := bucket.Admit(batch, now); partial != nil {
			b.Error(partial)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	benchmarkWrite(b, func(bucket *Bucket, pos uint64, batch *line.Batch) { bucket.Apply(pos, batch) })
}

// BenchmarkFlush flushes 500 series of 100 rows of ten values.
func BenchmarkFlush(b *testing.B) {
	bucket := benchBucket(b, Options{})
	pos := uint64(0)
	var bytes, values int64
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		b.StopTimer()
		for i := range 100 {
			pos++
			bucket.Apply(pos, benchBatch(500, day(1).UnixNano()+int64(n*100+i)*1e10))
		}
		b.StartTimer()
		must(b, bucket.Flush(context.Background()))
	}
	for _, p := range bucket.partitions {
		for _, blk := range p.blocks {
			bytes += blk.fileSize + int64(len(encodeSidecarOf(blk)))
			values += blk.head.values
		}
	}
	b.ReportMetric(float64(values)/b.Elapsed().Seconds(), "values/s")
	b.ReportMetric(float64(bytes)/float64(values), "bytes/value")
}

// encodeSidecarOf encodes the sidecar of a block that is in the index.
func encodeSidecarOf(blk *block) []byte {
	again := &block{head: blk.head, fileSize: blk.fileSize, fileSum: blk.fileSum, cols: blk.cols, fields: blk.fields,
		starts: blk.starts, runAt: blk.runAt, runField: blk.runField, runStart: blk.runStart}
	for _, e := range blk.entries {
		again.keys = append(again.keys, e.key)
	}
	return encodeSidecar(again)
}

func benchScan(b *testing.B, bucket *Bucket, o ScanOptions) (rows int) {
	c, err := bucket.Scan(context.Background(), o)
	must(b, err)
	for {
		chunk, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(b, err)
		rows += len(chunk.Times)
	}
	must(b, c.Close())
	return rows
}

// benchData is 200 series over a day in 12 flushes, merged.
func benchData(b *testing.B) *Bucket {
	bucket := benchBucket(b, Options{})
	for n := range uint64(8640) {
		bucket.Apply(n+1, benchBatch(200, day(1).UnixNano()+int64(n)*1e10))
		if n%720 == 719 {
			must(b, bucket.Flush(context.Background()))
		}
	}
	must(b, bucket.Compact(context.Background()))
	return bucket
}

func BenchmarkScan(b *testing.B) {
	bucket := benchData(b)
	all, err := bucket.Series(context.Background(), "cpu", allTime, nil)
	must(b, err)
	hour := span(day(1).Add(11*time.Hour), day(1).Add(12*time.Hour))
	for _, tc := range []struct {
		name string
		o    ScanOptions
	}{
		{"1series1field1h", ScanOptions{Series: all[70:71], Fields: []string{"usage_3"}, Range: hour}},
		{"1series1field1hDescending", ScanOptions{Series: all[70:71], Fields: []string{"usage_3"}, Range: hour, Descending: true}},
		{"1series10fields1h", ScanOptions{Series: all[70:71], Fields: []string{"usage_0", "usage_1", "usage_2", "usage_3", "usage_4", "usage_5",
			"usage_6", "usage_7", "usage_8", "usage_9"}, Range: hour}},
		{"200series1field24h", ScanOptions{Series: all, Fields: []string{"usage_3"}, Range: allTime}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			rows := 0
			for range b.N {
				rows = benchScan(b, bucket, tc.o)
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkSelectSeries(b *testing.B) {
	bucket := benchBucket(b, Options{})
	for i := range 20 {
		batch := benchBatch(5000, day(1).UnixNano())
		for j := range batch.Points {
			batch.Points[j].Series = benchKey(i*5000 + j)
		}
		bucket.Apply(uint64(i+1), batch)
	}
	match := []TagMatcher{{Key: "tag1", Value: "value-1-3"}, {Key: "tag2", Op: MatchNotEqual, Value: "value-2-9"}, {Key: "hostname", Value: "host_7"}}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		_, err := bucket.Series(context.Background(), "cpu", allTime, match)
		must(b, err)
	}
}

// BenchmarkOpen opens a bucket of 100,000 series in one partition and four flushes.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	open := func() (*Store, *Bucket) {
		s, err := Open(Options{Dir: dir, Manual: true})
		must(b, err)
		bucket, err := s.Bucket(id.ID(1), BucketOptions{ShardDuration: 24 * time.Hour})
		must(b, err)
		return s, bucket
	}
	s, bucket := open()
	for n := range 4 {
		for i := range 20 {
			batch := benchBatch(5000, day(1).UnixNano()+int64(n))
			for j := range batch.Points {
				batch.Points[j].Series = benchKey(i*5000 + j)
			}
			bucket.Apply(uint64(n*20+i+1), batch)
		}
		must(b, bucket.Flush(context.Background()))
	}
	must(b, s.Close())
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		s, bucket := open()
		b.ReportMetric(float64(bucket.SeriesCount()), "series")
		must(b, s.Close())
	}
}
