package audit

import (
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend is with eight writers, who share the syncs of a real disk.
func BenchmarkAppend(b *testing.B) {
	for name, writers := range map[string]int{"1 writer": 1, "8 writers": 8} {
		b.Run(name, func(b *testing.B) {
			l := opened(b, b.TempDir())
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			var group sync.WaitGroup
			b.ResetTimer()
			for range writers {
				group.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := l.Append(entry(1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	const entries = 20_000
	dir := b.TempDir()
	l := opened(b, dir)
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			for i := range entries / 100 {
				if _, err := l.Append(entry(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	b.SetBytes(l.size)
	b.ResetTimer()
	for b.Loop() {
		if _, err := Verify(dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
