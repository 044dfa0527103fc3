//go:build peers

// Package peers names the commands of InfluxDB 1.8.10 that the end-to-end tests build, so that this module's go.sum covers
// them. It is never compiled.
package peers

import (
	_ "github.com/influxdata/influxdb/cmd/influx"
	_ "github.com/influxdata/influxdb/cmd/influxd"
)
