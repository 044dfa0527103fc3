//go:build e2e

package trust_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

// status runs a command of the program and returns its exit code and all that it prints.
func (s *service) status(args ...string) (int, string) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), s.bin, args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestTheSelftestTellsAClusterThatRefusesFromOneThatDoesNot asks a cluster that is as it should be, and then in every way in which it can be other.
func TestTheSelftestTellsAClusterThatRefusesFromOneThatDoesNot(t *testing.T) {
	s := startService(t, "")
	cosign := trust.NewCosign(t.Context(), t)
	good, bad, unsigned := s.push("selftest/good"), s.push("selftest/bad"), s.push("selftest/unsigned")
	if err := cosign.Sign(t.Context(), cosign.KeyPair(t.Context(), t), bad, ""); err != nil {
		t.Fatal(err)
	}
	s.sign(good.String())
	within(t, soon, admitted(t, s.namespace, good.String()))
	excluded := cluster.Namespace(t, map[string]string{trust.ExcludeLabel: "true"})
	ask := func(what, namespace, good, bad string, want int, words ...string) {
		t.Helper()
		code, out := s.status("selftest", "--kubeconfig", cluster.Kubeconfig(), "--namespace", namespace, "--good", good, "--bad", bad, "--settle", "2s")
		if code != want {
			t.Errorf("%s: it ends with %d, want %d: %s", what, code, want, out)
		}
		for _, word := range words {
			if !strings.Contains(out, word) {
				t.Errorf("%s: it does not say %q: %s", what, word, out)
			}
		}
		t.Logf("%s: %d %s", what, code, out)
	}
	const open, closed, unknown = "an image that no listed key signed would run", "an image that a listed key signed would not run", "the self-test says nothing"
	ask("all is well", s.namespace, good.String(), bad.String(), 0, "ok: "+good.String()+" is admitted and "+bad.String()+" is refused by policy.sigstore.dev")
	ask("the good image is not signed", s.namespace, unsigned.String(), bad.String(), 1, closed, unsigned.String(), s.policy)
	ask("the bad image is good", s.namespace, good.String(), good.String(), 1, open, good.String(), s.namespace)
	ask("the namespace is excluded", excluded, good.String(), bad.String(), 1, open, bad.String(), excluded, trust.ExcludeLabel)
	ask("the namespace is not there", "no-such-namespace", good.String(), bad.String(), 3, unknown, `namespaces "no-such-namespace" not found`)
	ask("an image by its tag", s.namespace, good.Context().Tag("latest").String(), bad.String(), 3, unknown, "has no digest")
	s.agent.Stop() // it would mend the policy
	change := func(patch string) {
		t.Helper()
		if out, err := cluster.Kubectl(t.Context(), "patch", "clusterimagepolicy", s.policy, "--type=merge", "-p", patch); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := controller.AwaitPolicy(t.Context(), s.policy); err != nil {
			t.Fatal(err)
		}
		within(t, settle, admitted(t, s.namespace, bad.String()))
	}
	change(`{"spec":{"mode":"warn"}}`)
	ask("the policy only warns", s.namespace, good.String(), bad.String(), 1, open, bad.String(), "mode")
	change(`{"spec":{"mode":"enforce","policy":null,"authorities":[{"name":"all","static":{"action":"pass"}}]}}`)
	ask("the policy admits all", s.namespace, good.String(), bad.String(), 1, open, bad.String(), "ClusterImagePolic")
	controller.Kill()
	ask("the webhook is away", s.namespace, good.String(), bad.String(), 3, unknown, "failed calling webhook", "policy.sigstore.dev")
	if err := controller.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
