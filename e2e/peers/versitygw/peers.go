//go:build peers

// Package peers names the command of the Versity S3 Gateway 1.8.0, the object store that snapshots of the tests are written to. It is
// never compiled.
package peers

import (
	_ "github.com/versity/versitygw/cmd/versitygw"
)
