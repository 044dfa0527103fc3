package trust_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/trust"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/selftest"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

// signedBy waits until an image is signed by keys.
func (s *service) signedBy(image name.Digest, want string) {
	s.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		l, err := s.list()
		if err != nil {
			s.Fatal(err)
		}
		got := s.by(l, signature.Target{Image: image})
		if strings.Contains(got, want) {
			return
		}
		if time.Now().After(end) {
			s.Fatalf("%s is signed by %s, and not by %s", image, got, want)
		}
	}
}

// rotate has the next key sign.
func (s *service) rotate() {
	s.Helper()
	r, end, err := trust.OpenRotation(s.Context(), s.settings, s.quiet())
	if err != nil {
		s.Fatal(err)
	}
	if _, err := r.Hasten(s.Context()); err != nil {
		s.Fatal(err)
	}
	if err := end(); err != nil {
		s.Fatal(err)
	}
}

func TestTheServiceSignsAgainWhenAnotherKeySigns(t *testing.T) {
	git := t.TempDir()
	s := start(t, fmt.Sprintf("resign: {repositories: [REGISTRY/app/**], deployed: [{path: %s}]}\nselftest: {repository: REGISTRY/selftest}\n", git))
	image := s.push("app/web")
	if err := os.WriteFile(filepath.Join(git, "web.yaml"), []byte("image: "+image.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.signing()
	s.signedBy(image, "images/1")
	repository, err := name.NewRepository(s.registry + "/selftest")
	if err != nil {
		t.Fatal(err)
	}
	good, bad, err := selftest.References(repository)
	if err != nil {
		t.Fatal(err)
	}
	s.signedBy(parsed(t, good), "images/1")
	s.rotate()
	s.await(func(l *keylist.Opened) bool { return len(l.Keys) == 2 && l.Keys[1].State == keylist.Active })
	s.signedBy(image, "images/2")
	s.signedBy(parsed(t, good), "images/2")
	resp, err := http.Get("http://" + s.settings.AdminListen + "/v1/resign")
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Instance string
		Record   struct{ Holder, Key string }
	}
	err = json.NewDecoder(resp.Body).Decode(&page)
	_ = resp.Body.Close() // it was only read
	if err != nil || page.Record.Key == "" || page.Record.Holder != page.Instance {
		t.Errorf("the page is %+v, %v", page, err)
	}
	// The other image is there, and is signed by a key that nobody has.
	if _, err := remote.Image(parsed(t, bad)); err != nil {
		t.Error(err)
	}
	l, err := s.list()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.by(l, signature.Target{Image: parsed(t, bad)}); got != "none" {
		t.Errorf("the image that is to be refused is signed by %s", got)
	}
	if _, err := remote.Image(repository.Tag(strings.Replace(parsed(t, bad).DigestStr(), ":", "-", 1) + ".sig")); err != nil {
		t.Errorf("it has no signature at all: %v", err)
	}
	s.stop()
	if _, err := audit.Verify(s.settings.Audit.Folder); err != nil {
		t.Error(err)
	}
	files, err := filepath.Glob(filepath.Join(s.settings.Audit.Folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, file := range files {
		more, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(more)
	}
	for _, want := range []string{`"name":"resign"`, `"name":"selftest"`, `"action":"resign"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the audit log does not have %s", want)
		}
	}
}

func parsed(t *testing.T, reference string) name.Digest {
	t.Helper()
	d, err := name.NewDigest(reference)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
