//go:build e2e

package argocd

import "slices"

// Cases returns all cases. Each call returns another copy.
func Cases() []Case {
	return slices.Concat(Reference(), duplicates(), readings(), owners(), order(), steps(), asked())
}
