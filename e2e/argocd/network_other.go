//go:build e2e && !linux

package argocd

// Privately calls run: only Linux can give a process a network of its own.
func Privately(run func() int) int { return run() }
