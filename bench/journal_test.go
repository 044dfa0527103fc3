package bench

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// BenchmarkJournalAppend appends records of 20 lines, each synced before it is acknowledged. "apart" makes the writers wait for
// each other, so that every record has a sync of its own; "group" lets them share; "interval" syncs once a second.
func BenchmarkJournalAppend(b *testing.B) {
	body := corpus()
	for n, i := 0, 0; ; i++ {
		if body[i] == '\n' {
			if n++; n == 20 {
				body = body[:i+1]
				break
			}
		}
	}
	record := journal.Record{Kind: journal.Points, Count: 20, MinTime: 1, MaxTime: 2, Body: body}
	for _, mode := range []string{"apart", "group", "interval"} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/writers-%d", mode, writers), func(b *testing.B) {
				o := journal.Options{Dir: b.TempDir()}
				if mode == "interval" {
					o.Sync, o.SyncInterval = journal.SyncPeriodic, time.Second
				}
				j, err := journal.Open(o)
				if err != nil {
					b.Fatal(err)
				}
				defer func() {
					if err := j.Close(); err != nil {
						b.Error(err)
					}
				}()
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				b.SetParallelism(writers) // times GOMAXPROCS
				var alone sync.Mutex
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if mode == "apart" {
							alone.Lock()
						}
						_, err := j.Append(b.Context(), record)
						if mode == "apart" {
							alone.Unlock()
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}
