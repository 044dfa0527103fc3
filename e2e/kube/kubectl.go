package kube

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// KubectlCommand returns kubectl with those arguments, ready to run, for a test that gives it an input or keeps its outputs
// apart. It is the administrator's unless the arguments name another --kubeconfig.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, peer.Executable(c.bin, "kubectl"), args...)
	cmd.Dir = c.dir
	cmd.Env = append(environ(c.dir), "KUBECONFIG="+c.kubeconfig)
	return cmd
}

// Kubectl runs kubectl and returns all that it prints. When it fails the error has that too.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := c.KubectlCommand(ctx, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Apply has kubectl apply YAML or JSON documents and returns what it prints.
func (c *Cluster) Apply(ctx context.Context, documents string) (string, error) {
	cmd := c.KubectlCommand(ctx, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(documents)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl apply: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
