package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/bench/guard/corpus"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// corpusFiles are the files of a small repository.
func corpusFiles(tb testing.TB) (files []corpus.File, bytes int) {
	shape := corpus.Shape{Clusters: 2, Apps: 5, Seed: 1}
	err := shape.Files(func(f corpus.File) error {
		files = append(files, f)
		bytes += len(f.Data)
		return nil
	})
	if err != nil || len(files) != shape.Objects() {
		tb.Fatalf("%d files, want %d; %v", len(files), shape.Objects(), err)
	}
	return files, bytes
}

// cpu is what this process has used, which a loaded machine does not change as much as the time on the wall.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkReadCorpus(b *testing.B) {
	files, bytes := corpusFiles(b)
	keep := object.Control().And(object.Stateful())
	for _, c := range []struct {
		name string
		keep object.Kinds
	}{{"identities", nil}, {"with bodies of the kinds the guard keeps", keep}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			before := cpu()
			for b.Loop() {
				for _, f := range files {
					if o := object.Read(f.Path, f.Data, c.keep); o.Bad != nil {
						b.Fatal(o.Bad)
					}
				}
			}
			used := (cpu() - before).Seconds()
			b.ReportMetric(used*1e6/float64(b.N*len(files)), "CPU-µs/object")
			b.ReportMetric(float64(bytes)*float64(b.N)/used/1e6, "MB/CPU-s")
		})
	}
}
