module github.com/holdfast-telemetry/holdfast/bench

go 1.26.8

require (
	github.com/holdfast-telemetry/holdfast v0.0.0
	github.com/influxdata/influxdb v1.8.10
	github.com/influxdata/line-protocol/v2 v2.2.1
)

replace github.com/holdfast-telemetry/holdfast => ../
