//go:build !linux

package kube

import "os/exec"

// startTied starts cmd. Where the system cannot tie a child to its parent's life, Stop alone ends it.
func startTied(cmd *exec.Cmd) error { return cmd.Start() }
