//go:build e2e

package trust_test

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Neither the service nor its agent is needed for the answer to a pod, and without them nothing is let in that was not before.
func TestAClusterDecidesWithoutTheService(t *testing.T) {
	s := startService(t, "")
	signed, unsigned := s.push("app/web"), s.push("app/web")
	s.sign(signed.String())
	within(t, soon, admitted(t, s.namespace, signed.String()))
	s.program.Kill()
	// The agent notices, and leaves the policy.
	within(t, 30*time.Second, func() error {
		if !strings.Contains(s.agent.Log(), "reason=Unreachable") {
			return errors.New("the agent does not say so")
		}
		return nil
	})
	for _, agent := range []string{"with its agent", "without its agent"} {
		if err := admitted(t, s.namespace, signed.String())(); err != nil {
			t.Errorf("%s, what is signed: %v", agent, err)
		}
		if err := refused(t, s.namespace, unsigned.String(), "no signatures found")(); err != nil {
			t.Errorf("%s, what is not: %v", agent, err)
		}
		s.agent.Kill()
	}
}
