//go:build peers

// Package peers names the command of Helm 4.3.1 that the tests of the charts build, so that this module's go.sum covers it.
// It is never compiled.
package peers

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
