//go:build peers

// Package peers names the command of Argo CD 3.2.6, whose deletions the plans of holdfast-guard are held against, so that this module's
// go.sum covers it. It is one program that acts by the name that it is called with. It is never compiled.
//
// The replacements in go.mod are those of Argo CD's own, without which other versions of its libraries would be chosen.
package peers

import (
	argocd "github.com/argoproj/argo-cd/v3/cmd"
)
