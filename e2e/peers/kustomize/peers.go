//go:build peers

// Package peers names the command of Kustomize 5.7.1, which Argo CD 3.2.6 renders with, so that this module's go.sum covers it. It is
// never compiled.
package peers

import (
	kustomize "sigs.k8s.io/kustomize/kustomize/v5"
)
