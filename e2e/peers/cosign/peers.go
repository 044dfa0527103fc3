//go:build peers

// Package peers names the command of cosign 3.1.3, which signs and verifies beside holdfast-trust in the tests, so that this module's
// go.sum covers it. It is never compiled.
package peers

import (
	_ "github.com/sigstore/cosign/v3/cmd/cosign"
)
