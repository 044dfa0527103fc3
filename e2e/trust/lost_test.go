//go:build e2e

package trust_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

func vaultComesBack(t *testing.T, book *runbook) {
	s := startSite(t, true)
	r := s.reader(book)
	s.vault.Kill()
	r.follow("1.")
	s.everythingRuns()
	if err := s.vault.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.variables["IMAGE"] = s.ours[0].String()
	r.follow("2.")
	s.everythingRuns()
}

func vaultIsLost(t *testing.T, book *runbook) {
	s := startSite(t, true)
	r := s.reader(book)
	s.revokeNow() // a store that is lost after a while does not have the first version
	s.everythingRuns()
	left := s.push("app/web") // is not signed again
	s.signAs("token", left)
	if err := s.vault.Destroy(); err != nil {
		t.Fatal(err)
	}
	r.follow("1.")
	s.whileAdmitted(s.ours[0], func() {
		s.beginAnew(yamlIn(t, r.file)) // 3.1
		r.follow("3.2")
		s.startAgentWith(s.url+"/v1/keys", "NotSigned", "data/pin-next.pem")
		r.follow("3.3")
		within(t, soon, s.status("OK"))
		r.follow("3.4")
		r.follow("3.5")
		s.everythingRuns()
	})
	built := s.push("app/web")
	s.signAs("token", built)
	within(t, soon, admitted(t, s.namespace, built.String()))
	within(t, soon, admitted(t, s.namespace, left.String()))
	s.must("keys", "revoke", "images/2") // which what runs does not need any more
	s.refuses(left)
	s.everythingRuns()
}

// revokeNow replaces the key that signs, and all signatures.
func (s *site) revokeNow() {
	s.Helper()
	s.must("recover", "--revoke-now", "--url", s.url, "--ca", s.path("ca.crt"), "--token-file", s.path("token-recovery"), "--images", s.path("images.yaml"), "--deployed", s.path("deployed"))
}

// beginAnew starts the service with other keys, as a document has them, and returns when it has made their store.
func (s *site) beginAnew(keys string) {
	s.Helper()
	text, err := os.ReadFile(s.path("trust.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "keys:")
	s.write("trust.yaml", before+strings.ReplaceAll(keys, "/var/lib/holdfast-trust", s.path("data")))
	s.program.Stop()
	s.run(s.program, "the service had another key store", func(context.Context) error {
		_, err := os.Stat(s.path("data/keys"))
		return err
	})
}

func stolenListKey(t *testing.T, book *runbook) {
	s := startSite(t, true)
	r := s.reader(book)
	between := s.standBetween()
	s.startAgent(between.url, "pin.pem")
	foreign := s.push("app/web")
	s.signWith(foreign, &between.key.PublicKey, func(h key.Hash) ([]byte, error) { return ecdsa.SignASN1(rand.Reader, between.key, h[:]) })
	s.refuses(foreign)
	between.forge()
	within(t, soon, admitted(t, s.namespace, foreign.String())) // so much is a list key worth
	within(t, settle, between.remembered)
	r.follow("1.")
	between.pass()
	s.startAgentWith(between.url, "RolledBack", "pin.pem", "data/pin-next.pem") // 2.
	r.follow("3.")
	s.everythingRuns()
	s.refuses(foreign)
	s.startAgent(between.url, "data/pin-next.pem") // 4.
	between.forge()
	within(t, 30*time.Second, s.status("NotSigned"))
	s.refuses(foreign)
	s.everythingRuns()
}

func lostListKey(t *testing.T, book *runbook) {
	s := startSite(t, false)
	r := s.reader(book)
	if err := os.Remove(s.path("data/keys/keylist.key")); err != nil {
		t.Fatal(err)
	}
	if out, err := s.attempt("keys", "rotate"); err == nil || !strings.Contains(out, "signing the key list by keylist/1") {
		t.Errorf("without the list key a list is issued, or this says something else: %v %s", err, out)
	}
	r.follow("1.")
	s.startAgent(s.url+"/v1/keys", "pin.pem", "data/pin-next.pem") // 2.
	s.program.Stop()
	if err := s.program.Start(); err != nil {
		t.Fatal(err)
	}
	r.follow("3.")
	s.startAgent(s.url+"/v1/keys", "data/pin-next.pem") // 4.
	s.everythingRuns()
	built := s.push("app/web")
	s.signAs("token", built)
	within(t, soon, admitted(t, s.namespace, built.String()))
	s.must("keys", "rotate") // which issues a list
	within(t, soon, s.status("OK"))
}

func lostState(t *testing.T, book *runbook) {
	s := startSite(t, false)
	r := s.reader(book)
	left := s.push("app/web")
	s.signAs("token", left)
	s.revokeNow()
	s.refuses(left)
	s.everythingRuns()
	s.program.Stop()
	if err := os.Remove(s.path("data/state.json")); err != nil {
		t.Fatal(err)
	}
	if err := s.program.Start(); err != nil {
		t.Fatal(err)
	}
	s.says(s.program, "the state that says which of them count is gone")
	if out := r.follow("If the state is lost"); strings.Contains(out, "images/1 ") || !strings.Contains(out, "images/2 ") {
		t.Errorf("the key that was revoked is back, or the other is not:\n%s", out)
	}
	built := s.push("app/web")
	within(t, 30*time.Second, func() error {
		_, err := s.attempt("sign", "--url", s.url, "--ca", s.path("ca.crt"), "--token-file", s.path("token"), built.String())
		return err
	})
	within(t, soon, admitted(t, s.namespace, built.String()))
	s.everythingRuns()
	s.refuses(left)
}
