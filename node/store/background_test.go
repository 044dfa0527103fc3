package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestPointsAreFlushedAtTheirAgeAndMergedWhenThePartitionIsOver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{Dir: dir, FlushAge: time.Minute, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		b, err := s.Bucket(testBucket, BucketOptions{Retention: 24 * time.Hour})
		must(t, err)
		began := time.Now()
		var want []string
		for i := range 3 {
			at := began.UnixNano() + int64(i)
			write(t, b, fmt.Sprintf("m f=%d %d", i, at))
			want = append(want, fmt.Sprintf("m f=%d %d", i, at))
			time.Sleep(50 * time.Second)
			synctest.Wait()
			if n := b.Flushed(); n != uint64(i) {
				t.Errorf("flushed position %d before the age of point %d", n, i)
			}
			time.Sleep(15 * time.Second)
			synctest.Wait()
			if n := b.Flushed(); n != uint64(i+1) {
				t.Errorf("flushed position %d behind the age of point %d", n, i)
			}
		}
		if _, n := shape(b); n != 3 {
			t.Errorf("%d blocks, want one of each flush", n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if _, n := shape(b); n != 1 {
			t.Errorf("%d blocks in a partition that is over, want 1", n)
		}
		compareDumps(t, "after the merge", dump(t, b, allTime, false), want)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n, _ := shape(b); n != 0 {
			t.Errorf("%d partitions are left behind the retention", n)
		}
		must(t, s.Close())
	})
}

// shape returns how many partitions and blocks the bucket has.
func shape(b *Bucket) (partitions, blocks int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.partitions {
		blocks += len(p.blocks)
	}
	return len(b.partitions), blocks
}

func TestFullMemtablesAreFlushedAndWritersTold(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir(), Manual: true, MemoryLimit: 64 << 10})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	b, err := s.Bucket(testBucket, BucketOptions{})
	must(t, err)
	must(t, s.Pressure())
	for i := 0; s.Pressure() == nil; i++ {
		if i > 1000 {
			t.Fatal("no pressure after 1000 writes")
		}
		write(t, b, fmt.Sprintf("m s=\"%s\" %d", strings.Repeat("x", 500), i))
	}
	var busy *BusyError
	if err := s.Pressure(); !errors.Is(err, ErrBusy) || !errors.As(err, &busy) || busy.RetryAfter <= 0 {
		t.Errorf("pressure %v", err)
	}
	must(t, b.Flush(context.Background()))
	if err := s.Pressure(); err != nil {
		t.Errorf("pressure after the flush: %v", err)
	}
}

func TestFlushThatFailsLosesNothingAndIsTriedAgain(t *testing.T) {
	reg := prometheus.NewRegistry()
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir, Manual: true, Registerer: reg, Logger: slog.New(slog.DiscardHandler), Now: newClock(day(1)).now})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	b, err := s.Bucket(testBucket, BucketOptions{ShardDuration: 24 * time.Hour})
	must(t, err)
	at := day(1).UnixNano()
	write(t, b, fmt.Sprintf("m f=1,g=1 %d", at))
	blocker := filepath.Join(b.dir, partitionDir(at)) // a file where the partition's folder must be
	must(t, os.WriteFile(blocker, nil, 0o600))
	if err := b.Flush(context.Background()); err == nil {
		t.Fatal("the flush did not fail")
	}
	write(t, b, fmt.Sprintf("m f=2 %d\nm f=3 %d", at, at+1))
	b.ApplyDelete(b.Applied()+1, Delete{Range: TimeRange{at + 1, at + 1}})
	want := []string{fmt.Sprintf("m f=2 %d", at), fmt.Sprintf("m g=1 %d", at)}
	compareDumps(t, "while flushes fail", dump(t, b, allTime, false), want)
	if b.Flushed() != 0 {
		t.Errorf("flushed position %d", b.Flushed())
	}
	must(t, os.Remove(blocker))
	must(t, b.Flush(context.Background()))
	if b.Flushed() != b.Applied() {
		t.Errorf("flushed position %d of %d", b.Flushed(), b.Applied())
	}
	compareDumps(t, "after the flush", dump(t, b, allTime, false), want)
	families, err := reg.Gather()
	must(t, err)
	values := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{"holdfast_store_flush_errors_total": 1, "holdfast_store_points_total": 3,
		"holdfast_store_blocks": 2, "holdfast_store_series": 1, "holdfast_store_memtable_bytes": 0} {
		if values[name] != want {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
}

func TestDroppedBucketIsGone(t *testing.T) {
	dir := t.TempDir()
	s, b := openTest(t, dir, newClock(day(1)), BucketOptions{})
	write(t, b, "m f=1 1")
	must(t, b.Flush(context.Background()))
	cursor, err := b.Scan(context.Background(), ScanOptions{Series: []*Series{newSeries("m")}, Fields: []string{"f"}, Range: allTime})
	must(t, err)
	must(t, s.Drop(testBucket))
	must(t, s.Drop(testBucket))
	must(t, cursor.Close())
	if files := readFolder(t, dir); len(files) > 0 {
		t.Errorf("files are left: %q", files.names())
	}
	if _, err := b.Measurements(context.Background(), allTime); !errors.Is(err, ErrClosed) {
		t.Errorf("the dropped bucket still answers: %v", err)
	}
	again, err := s.Bucket(testBucket, BucketOptions{})
	must(t, err)
	if got := dump(t, again, allTime, false); len(got) > 0 || again.Applied() != 0 {
		t.Errorf("the new bucket has %q and position %d", got, again.Applied())
	}
}

func TestPartitionsFollowTheShardDuration(t *testing.T) {
	c := newClock(day(10))
	_, b := openTest(t, t.TempDir(), c, BucketOptions{})
	write(t, b, fmt.Sprintf("m f=1 %d\nm f=1 -1\nm f=1 %d\nm f=1 %d", day(10).UnixNano(), int64(allTime.Min+2), int64(allTime.Max-1)))
	if n := len(b.partitions); n != 4 {
		t.Fatalf("%d partitions, want 4", n)
	}
	p := b.partitions[2].span
	if d := time.Duration(p.Max - p.Min + 1); d != 7*24*time.Hour || p.Min%int64(d) != 0 {
		t.Errorf("a partition of infinite retention is %s long and begins at %d", d, p.Min)
	}
	b.SetRetention(0, time.Hour)
	next := p.Max + 1 + int64(30*time.Minute)
	write(t, b, fmt.Sprintf("m f=2 %d\nm f=3 %d", next, p.Max))
	q := b.partitionAt(next).span
	if d := time.Duration(q.Max - q.Min + 1); d != time.Hour || q.Min != p.Max+1 {
		t.Errorf("the partition behind is %s long and begins %d ns behind the other's end", d, q.Min-p.Max)
	}
	for retention, want := range map[time.Duration]time.Duration{0: 7 * 24 * time.Hour, 180 * 24 * time.Hour: 7 * 24 * time.Hour,
		48 * time.Hour: 24 * time.Hour, 47 * time.Hour: time.Hour} {
		if got := DefaultShardDuration(retention); got != want {
			t.Errorf("retention %s: shard duration %s, want %s", retention, got, want)
		}
	}
	must(t, b.Flush(context.Background()))
	if n := len(dump(t, b, allTime, true)); n != 6 {
		t.Errorf("%d values, want 6", n)
	}
}
