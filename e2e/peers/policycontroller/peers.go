//go:build peers

// Package peers names the commands of policy-controller 0.15.1, the admission controller that holdfast-trust writes policies for, so that
// this module's go.sum covers them. It is never compiled.
package peers

import (
	policytester "github.com/sigstore/policy-controller/cmd/tester"
	policycontroller "github.com/sigstore/policy-controller/cmd/webhook"
)
