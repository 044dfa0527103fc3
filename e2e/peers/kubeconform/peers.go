//go:build peers

// Package peers names the command of kubeconform 0.8.0 that the benchmark of holdfast-guard builds, so that this module's go.sum covers it.
// It is never compiled.
package peers

import (
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
)
