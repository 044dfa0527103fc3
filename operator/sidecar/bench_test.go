package sidecar_test

import (
	"testing"

	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// BenchmarkInject is what a pod waits for, but for the network and TLS.
func BenchmarkInject(b *testing.B) {
	for name, annotations := range map[string]map[string]string{
		"port": {"telegraf.influxdata.com/port": "8080", "telegraf.influxdata.com/class": "default"},
		"all": {"telegraf.influxdata.com/ports": "8080,9090", "telegraf.influxdata.com/class": "default,team", "telegraf.influxdata.com/inputs": "[[inputs.cpu]]\n",
			"telegraf.influxdata.com/global-tag-literal-app": "web", "telegraf.influxdata.com/env-secretkeyref-TOKEN": "influx.token", "team.holdfast.dev/port": "1"},
		"none": {"example.com/other": "x"},
	} {
		raw := encode(b, pod(annotations))
		b.Run(name, func(b *testing.B) {
			build := builder()
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				in, err := build.Inject(raw, "ns")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := sidecar.Marshal(in.Patch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
