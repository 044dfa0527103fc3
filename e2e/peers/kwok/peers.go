//go:build peers

// Package peers names the command of KWOK 0.8.0, which plays the kubelets of a test cluster, so that this module's go.sum
// covers it. It is never compiled. It stays apart from the module of the control plane, whose dependencies it would raise.
package peers

import (
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
