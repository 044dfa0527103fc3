//go:build e2e

package trust_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	signatures "github.com/holdfast-telemetry/holdfast/trust/signature"
)

// signWith is of whoever has a key in his hands: he signs without asking anybody.
func (s *site) signWith(image name.Digest, public *ecdsa.PublicKey, sign func(key.Hash) ([]byte, error)) {
	s.Helper()
	client, err := signatures.NewClient(signatures.Options{})
	if err != nil {
		s.Fatal(err)
	}
	defer client.Close()
	_, err = (&signatures.Legacy{Client: client}).Write(s.Context(), signatures.Target{Image: image}, signatures.Order{Key: key.Public{ID: key.ID{Name: "stolen", Version: 1}, Key: public},
		Sign: func(_ context.Context, hashes []key.Hash) ([][]byte, error) {
			sig, err := sign(hashes[0])
			return [][]byte{sig}, err
		}})
	if err != nil {
		s.Fatal(err)
	}
}

// transit signs by a version of a key in Vault, behind the service's back.
func (s *site) transit(name string, version int, hash key.Hash) ([]byte, error) {
	reply, err := s.vault.Call(s.Context(), s.vault.Root, http.MethodPost, "transit/sign/"+name+"/sha2-256", signRequest(hash, version))
	if err != nil {
		return nil, err
	}
	var signed struct{ Signature string }
	if err := json.Unmarshal(reply.Data, &signed); err != nil {
		return nil, err
	}
	_, coded, _ := strings.Cut(strings.TrimPrefix(signed.Signature, "vault:"), ":")
	return base64.StdEncoding.DecodeString(coded)
}

// publicKey is that of a version of the key that signs images, from the service.
func (s *site) publicKey(version int) *ecdsa.PublicKey {
	s.Helper()
	text := s.must("keys", "list", "--json")
	var list struct {
		Keys []struct{ ID, PEM string }
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		s.Fatalf("%v in %s", err, text)
	}
	for _, k := range list.Keys {
		if k.ID == fmt.Sprintf("images/%d", version) {
			public, err := key.ParsePEM([]byte(k.PEM))
			if err != nil {
				s.Fatal(err)
			}
			return public
		}
	}
	s.Fatalf("version %d is not in %s", version, text)
	return nil
}

// says waits until a program has said something.
func (s *site) says(p *kube.Program, words string) {
	s.Helper()
	within(s.t, time.Minute, func() error {
		if log := p.Log(); !strings.Contains(log, words) {
			return fmt.Errorf("it does not say %q, but %s", words, hidden(log))
		}
		return nil
	})
}

// whileAdmitted does something, and fails when an image was refused meanwhile.
func (s *site) whileAdmitted(image name.Digest, do func()) {
	s.Helper()
	done, refusal := make(chan struct{}), make(chan error)
	go func() {
		for {
			err := controller.Admit(s.Context(), s.namespace, image.String())
			select {
			case <-done:
				refusal <- err
				return
			case <-time.After(100 * time.Millisecond):
			}
			if err != nil {
				<-done
				refusal <- err
				return
			}
		}
	}()
	do()
	close(done)
	if err := <-refusal; err != nil {
		s.Errorf("meanwhile: %v", err)
	}
}

func leakedCredentials(t *testing.T, book *runbook) {
	s := startSite(t, false)
	r := s.reader(book)
	built, foreign := s.push("app/web"), s.push("app/web")
	s.signAs("token", built)
	s.signAs("token", foreign) // by whoever has the token
	within(t, soon, admitted(t, s.namespace, foreign.String()))
	s.write("token-new", r.follow("1."))
	within(t, 30*time.Second, func() error {
		out, err := s.attempt("sign", "--url", s.url, "--ca", s.path("ca.crt"), "--token-file", s.path("token"), built.String())
		if err == nil || !strings.Contains(out, "401") {
			return fmt.Errorf("the leaked token is answered %v %s", err, hidden(out))
		}
		return nil
	})
	s.signAs("token-new", built)
	if out := r.follow("2."); !strings.Contains(out, foreign.DigestStr()) {
		t.Errorf("the log does not show %s:\n%s", foreign, out)
	}
	s.listDeployed(append(s.ours, built)...)
	r.follow("3.")
	s.refuses(foreign)
	s.everythingRuns()
	within(t, soon, admitted(t, s.namespace, built.String()))
}

func suspectedKey(t *testing.T, book *runbook) {
	s := startSite(t, true)
	r := s.reader(book)
	s.followWhatRuns()
	s.whileAdmitted(s.ours[0], func() {
		stopped := r.begin("Orderly", 0)
		s.says(stopped, "is published")
		stopped.Kill()
		r.follow("Orderly")
	})
	s.everythingRuns()
	forged := s.push("app/web")
	s.signWith(forged, s.publicKey(2), func(h key.Hash) ([]byte, error) { return s.transit("images", 2, h) })
	within(t, soon, admitted(t, s.namespace, forged.String()))
	stopped := r.begin("Revoke now", 0)
	s.says(stopped, "keys are revoked")
	stopped.Kill()
	s.refuses(forged)
	s.refuses(s.ours[0])
	r.follow("If it was stopped in between")
	s.everythingRuns()
	r.follow("Revoke now")
	s.everythingRuns()
	if out := r.follow("Is it over?"); strings.Count(out, "\nimages/") != 1 || !strings.Contains(out, "\nimages/4") || strings.Count(out, "\nok ") != len(s.ours)+1 {
		t.Errorf("one new key, and each image, are to be expected:\n%s", out)
	}
	s.refuses(forged)
}

// followWhatRuns has the file of what runs made from the cluster, as the README says.
func (s *site) followWhatRuns() {
	s.Helper()
	for i, image := range append(s.ours, s.theirs) {
		if err := s.create(fmt.Sprintf("runs-%d", i), image); err != nil {
			s.Fatal(err)
		}
	}
	first := s.reader(readRunbook(s, readme))
	prepared[first.in("What runs?")[0].where] = true
	first.follow("What runs?")
	text, err := os.ReadFile(s.path("deployed"))
	if err != nil {
		s.Fatal(err)
	}
	for _, image := range s.ours {
		if !strings.Contains(string(text), image.String()+"\n") {
			s.Errorf("%s runs, and is not in\n%s", image, text)
		}
	}
	if strings.Contains(string(text), s.theirs.String()) {
		s.Errorf("%s is of others, and is in\n%s", s.theirs, text)
	}
	s.listDeployed(s.ours...) // other tests have pods, too
}

func compromisedRegistry(t *testing.T, book *runbook) {
	s := startSite(t, false)
	r := s.reader(book)
	old := s.push("app/web")
	s.signAs("token", old)
	within(t, soon, admitted(t, s.namespace, old.String()))
	hidden := s.ours[1]
	options := s.registry.Options(t.Context())
	image, err := remote.Image(hidden, options...)
	if err != nil {
		t.Fatal(err)
	}
	s.push("app/web") // as its latest
	s.refusesTag("app/web:latest")
	if err := remote.Delete(hidden, options...); err != nil {
		t.Fatal(err)
	}
	for _, i := range s.ours {
		if err := remote.Write(i.Context().Tag(strings.Replace(i.DigestStr(), ":", "-", 1)+".sig"), empty.Image, options...); err != nil {
			t.Fatal(err)
		}
	}
	s.refuses(s.ours[0])
	r.follow("1.")
	s.refuses(old)
	within(t, soon, admitted(t, s.namespace, s.ours[0].String()))
	if out := r.fails("2."); !strings.Contains(out, "REFUSED "+hidden.String()) || !strings.Contains(out, "ok      "+s.ours[0].String()) {
		t.Errorf("%s is not there, and %s is:\n%s", hidden, s.ours[0], out)
	}
	if err := remote.Write(hidden.Context().Tag("again"), image, options...); err != nil {
		t.Fatal(err)
	}
	r.follow("2.")
	s.everythingRuns()
	moved := s.move(trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}))
	r.follow("3.")
	for _, image := range moved {
		within(t, soon, admitted(t, s.namespace, image.String()))
	}
}

// refusesTag fails unless what a tag of the registry names is refused.
func (s *site) refusesTag(reference string) {
	s.Helper()
	within(s.t, soon, refused(s.t, s.namespace, s.registry.Host+"/"+reference, ""))
}

// move pushes what runs to another registry, and allows that one.
func (s *site) move(to *trust.Registry) (moved []name.Digest) {
	s.Helper()
	var lines strings.Builder
	for _, i := range s.ours {
		image, err := remote.Image(i, s.registry.Options(s.Context())...)
		if err != nil {
			s.Fatal(err)
		}
		repository, err := name.NewRepository(to.Host + "/" + i.RepositoryStr())
		if err != nil {
			s.Fatal(err)
		}
		if err := remote.Write(repository.Tag("moved"), image, to.Options(s.Context())...); err != nil {
			s.Fatal(err)
		}
		moved = append(moved, repository.Digest(i.DigestStr()))
		fmt.Fprintln(&lines, repository.Digest(i.DigestStr()))
	}
	s.write("moved", lines.String())
	s.variables["MOVED"] = s.path("moved")
	s.writeRules(to.Host)
	s.globs += "," + to.Host + "/**"
	s.startAgent(s.url+"/v1/keys", "pin.pem")
	return moved
}

func unsignedImage(t *testing.T, book *runbook) {
	s := startSite(t, false)
	r := s.reader(book)
	image := s.push("app/web")
	s.refuses(image)
	if out := r.follow("1."); !strings.HasPrefix(out, "OK: ") {
		t.Errorf("the status is %s", out)
	}
	s.variables["IMAGE"] = image.String()
	r.follow("2.")
	within(t, soon, admitted(t, s.namespace, image.String()))
}

func brokenGlass(t *testing.T, book *runbook) {
	s := startSite(t, false)
	r := s.reader(book)
	s.must("keys", "revoke", "images/1")
	s.refuses(s.ours[0])
	s.program.Stop() // so that nothing can be signed again
	within(t, 30*time.Second, s.status("Unreachable"))
	if out := r.follow("1."); !strings.HasPrefix(out, "Unreachable: ") {
		t.Errorf("the status is %s", out)
	}
	other := cluster.Namespace(t, nil)
	if err := s.create("urgent", s.ours[0]); !trust.Denied(err, trust.ImageWebhook) {
		t.Fatalf("before the glass is broken: %v", err)
	}
	s.variables["NAMESPACE"] = s.namespace
	r.follow("3.")
	within(t, settle, func() error { return s.create("urgent", s.ours[0]) })
	if err := refused(t, other, s.ours[0].String(), "")(); err != nil {
		t.Errorf("in another namespace: %v", err)
	}
	r.follow("4.", 0)
	s.refuses(s.ours[0])
	if err := s.program.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, 30*time.Second, s.status("OK"))
	if out := r.follow("4.", 1); !strings.Contains(out, s.namespace+"/urgent") {
		t.Errorf("the pod that nobody looked at is not named:\n%s", out)
	}
}
