//go:build peers

// Package peers names the command of Telegraf 1.39.1 that the end-to-end tests build, so that this module's go.sum covers
// it. It is never compiled. The file flags leaves out the plugins that no test uses: all of them take ten times as long to build.
package peers

import (
	_ "github.com/influxdata/telegraf/cmd/telegraf"
)
