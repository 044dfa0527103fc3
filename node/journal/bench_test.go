package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAppend appends records of 20 points on a real disk.
func BenchmarkAppend(b *testing.B) {
	r := points(1, 20)
	for _, sync := range []SyncPolicy{SyncAlways, SyncPeriodic} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("sync=%s/writers=%d", map[SyncPolicy]string{SyncAlways: "always", SyncPeriodic: "1s"}[sync], writers), func(b *testing.B) {
				j := open(b, Options{Dir: b.TempDir(), Sync: sync, SyncInterval: time.Second, MaxBytes: 256 << 20})
				b.SetBytes(int64(len(r.Body)))
				b.ReportAllocs()
				b.ResetTimer()
				appendFrom(b, j, writers, r)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// appendFrom appends r b.N times from the given number of goroutines.
func appendFrom(b *testing.B, j *Journal, writers int, r Record) {
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, writers)
	for range writers {
		go func() {
			for left.Add(-1) >= 0 {
				if _, err := j.Append(context.Background(), r); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendLarge appends records of 5000 points, as a full request brings.
func BenchmarkAppendLarge(b *testing.B) {
	r := points(1, 5000)
	j := open(b, Options{Dir: b.TempDir(), MaxBytes: 256 << 20})
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	b.ResetTimer()
	appendFrom(b, j, 1, r)
}

func BenchmarkRead(b *testing.B) {
	r := points(1, 20)
	j := open(b, Options{Dir: b.TempDir(), Sync: SyncPeriodic, SyncInterval: time.Hour})
	const n = 50000
	for range n {
		mustAppend(b, j, r)
	}
	j = reopen(b, j, j.o)
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	var rd Reader
	for b.Loop() {
		if rd == nil {
			var err error
			if rd, err = j.ReadFrom(1); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := rd.Next(); errors.Is(err, io.EOF) {
			rd = nil
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResync looks for the next record in a segment of bytes that are none.
func BenchmarkResync(b *testing.B) {
	noise := make([]byte, 16<<20)
	for i := range noise {
		noise[i] = byte(i * i >> 7)
	}
	b.SetBytes(int64(len(noise)))
	for b.Loop() {
		sc := &scanner{next: 1, pos: headerSize}
		sc.src, sc.limit = byteSource(noise), int64(len(noise))
		if sp, err := sc.step(); err != nil || !sp.torn {
			b.Fatalf("%+v, %v", sp, err)
		}
	}
}

type byteSource []byte

func (s byteSource) ReadAt(p []byte, off int64) (int, error) { return copy(p, s[off:]), nil }
