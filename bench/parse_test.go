// Package bench compares rooms of the node with what their peers offer as libraries, in one process and one run.
package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/influxdata/influxdb/models"
	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// corpus is 5000 lines of ten tags and ten integer fields.
func corpus() []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&b, "cpu,arch=x86,datacenter=eu-central-1a,hostname=host_%d,os=Ubuntu16.10,rack=%d,region=eu-central-1,service=9,service_environment=test,service_version=1,team=NYC ", i%200, i%200%7)
		for f := range 10 {
			if f > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "usage_field_%d=%di", f, rng.IntN(101))
		}
		fmt.Fprintf(&b, " %d\n", 1_750_000_000_000_000_000+int64(i/200)*10_000_000_000)
	}
	return b.Bytes()
}

func report(b *testing.B, body []byte) {
	b.SetBytes(int64(len(body)))
	b.ReportMetric(float64(b.N)*5000/b.Elapsed().Seconds(), "lines/s")
}

func BenchmarkParse(b *testing.B) {
	body := corpus()
	b.Run("holdfast", func(b *testing.B) {
		b.ReportAllocs()
		var (
			p     line.Parser
			batch line.Batch
		)
		for b.Loop() {
			batch.Reset()
			if err := p.Parse(&batch, body, line.Options{Precision: line.Nanosecond}); err != nil {
				b.Fatal(err)
			}
		}
		report(b, body)
	})
	b.Run("line-protocol-v2", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := decode(body); err != nil {
				b.Fatal(err)
			}
		}
		report(b, body)
	})
	b.Run("influxdb-1.8.10", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			points, err := models.ParsePoints(body)
			if err != nil {
				b.Fatal(err)
			}
			for _, p := range points { // its fields are parsed when they are asked for
				for it := p.FieldIterator(); it.Next(); {
					if _, err := it.IntegerValue(); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		report(b, body)
	})
}

// decode reads every tag and field of every line.
func decode(body []byte) error {
	dec := lineprotocol.NewDecoderWithBytes(body)
	for dec.Next() {
		if _, err := dec.Measurement(); err != nil {
			return err
		}
		for {
			key, _, err := dec.NextTag()
			if err != nil {
				return err
			}
			if key == nil {
				break
			}
		}
		for {
			key, _, err := dec.NextField()
			if err != nil {
				return err
			}
			if key == nil {
				break
			}
		}
	}
	return nil
}
