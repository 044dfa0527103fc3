package trust_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/trust"
	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/client"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/settings"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	keysync "github.com/holdfast-telemetry/holdfast/trust/sync"
)

// service is a running one, with a registry.
type service struct {
	testing.TB
	settings *settings.Settings
	registry string
	url      string
	token    string
	stop     func()
}

// start runs a service with more settings than those that all tests have.
func start(t testing.TB, more ...string) *service {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(discard)))
	t.Cleanup(server.Close)
	s := &service{TB: t, registry: strings.TrimPrefix(server.URL, "http://")}
	dir := t.TempDir()
	text := fmt.Sprintf("data: %s\nlisten: %s\nadmin-listen: %s\ntiming: {poll: 1s, slack: 1s}\nsources: [%s/signatures/of-others]\n", filepath.Join(dir, "data"), free(t), free(t), s.registry)
	text += strings.ReplaceAll(strings.Join(more, ""), "REGISTRY", s.registry)
	file := filepath.Join(dir, "trust.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.settings, err = settings.Read(file, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.settings.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	rules := fmt.Sprintf("rules:\n- name: ci\n  token: ci\n  repositories: [\"%s/app/**\", \"docker.io/library/*\"]\n", s.registry)
	s.write(s.settings.Access.Rules, rules)
	tokens, err := access.OpenTokens(s.settings.Access.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := tokens.Add("ci", 0)
	if err != nil {
		t.Fatal(err)
	}
	s.token, s.url = secret.Reveal(), "http://"+s.settings.Listen
	s.run()
	return s
}

func (s *service) quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

var discard = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)

func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (s *service) write(path, text string) {
	s.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// run starts the service, until the test ends or stop is called.
func (s *service) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- (&trust.Service{Settings: s.settings, Keys: true, Sign: true, Logger: slog.New(slog.NewTextHandler(writer{s}, nil))}).Run(ctx)
	}()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			s.Errorf("the service ended: %v", err)
		}
	}
	s.Cleanup(s.stop)
}

// writer puts a log into a test's.
type writer struct{ testing.TB }

func (w writer) Write(p []byte) (int, error) {
	w.Logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// push makes an image in the registry.
func (s *service) push(repository string) name.Digest {
	s.Helper()
	image, err := random.Image(256, 1)
	if err != nil {
		s.Fatal(err)
	}
	repo, err := name.NewRepository(s.registry + "/" + repository)
	if err != nil {
		s.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		s.Fatal(err)
	}
	digest := repo.Digest(hash.String())
	if err := remote.Write(digest, image); err != nil {
		s.Fatal(err)
	}
	return digest
}

// sign has images signed, and returns what became of each.
func (s *service) sign(token string, r endpoint.Request) ([]endpoint.Result, error) {
	c, err := client.New(s.url, func() (string, error) { return token, nil }, nil, nil)
	if err != nil {
		s.Fatal(err)
	}
	c.Attempts = 1
	var all []endpoint.Result
	err = c.Sign(s.Context(), r, func(result endpoint.Result) { all = append(all, result) })
	return all, err
}

// list fetches the key list and opens it with the key that the service's owner pins.
func (s *service) list() (*keylist.Opened, error) {
	f, err := keysync.NewFetcher(s.url+"/v1/keys", nil, true)
	if err != nil {
		return nil, err
	}
	raw, err := f.Fetch(s.Context())
	if err != nil {
		return nil, err
	}
	r, end, err := trust.OpenRotation(s.Context(), s.settings, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	all, err := r.Lists.Keys(s.Context())
	if err := errors.Join(err, end()); err != nil {
		return nil, err
	}
	return keylist.Open(raw, all[0].Key)
}

// signing waits until a key signs.
func (s *service) signing() *keylist.Opened {
	s.Helper()
	return s.await(func(l *keylist.Opened) bool { return l.Keys[len(l.Keys)-1].State == keylist.Active })
}

func (s *service) await(ok func(*keylist.Opened) bool) *keylist.Opened {
	s.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		l, err := s.list()
		if err == nil && ok(l) {
			return l
		}
		if time.Now().After(end) {
			s.Fatalf("the list is %+v, %v", l, err)
		}
	}
}

// by says which listed keys signed an image.
func (s *service) by(l *keylist.Opened, target signature.Target) string {
	s.Helper()
	c, err := signature.NewClient(signature.Options{})
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	var keys []key.Public
	for _, k := range l.Keys {
		keys = append(keys, key.Public{ID: k.ID, Key: k.Public})
	}
	report, err := (&signature.Reader{Client: c}).Read(s.Context(), target, keys)
	if err == nil {
		err = report.Err()
	}
	if errors.Is(err, signature.ErrNotSigned) {
		return "none"
	}
	if err != nil {
		s.Fatal(err)
	}
	var ids []string
	for _, k := range keys {
		if _, ok := report.By(k.ID); ok {
			ids = append(ids, k.ID.String())
		}
	}
	return strings.Join(ids, ",")
}

func TestAnImageIsSignedForWhoMay(t *testing.T) {
	s := start(t)
	image := s.push("app/web")
	s.await(func(*keylist.Opened) bool { return true })
	if _, err := s.sign(s.token, endpoint.Request{Images: []string{image.String()}}); err == nil || !strings.Contains(err.Error(), "no key signs now") {
		t.Errorf("before clusters know the key: %v", err)
	}
	l := s.signing()
	results, err := s.sign(s.token, endpoint.Request{Images: []string{image.String()}})
	if err != nil || !results[0].Written || results[0].Key != "images/1" {
		t.Fatalf("%+v, %v", results, err)
	}
	if got := s.by(l, signature.Target{Image: image}); got != "images/1" {
		t.Errorf("it is signed by %s", got)
	}
	if again, err := s.sign(s.token, endpoint.Request{Images: []string{image.String()}}); err != nil || again[0].Written {
		t.Errorf("asked twice: %+v, %v", again, err)
	}
	if forced, err := s.sign(s.token, endpoint.Request{Images: []string{image.String()}, Force: true}); err != nil || !forced[0].Written {
		t.Errorf("forced: %+v, %v", forced, err)
	}
	other := s.push("secret/db")
	for name, c := range map[string]struct {
		token string
		image string
		want  string
	}{
		"another repository": {s.token, other.String(), "may not have images of this repository signed"},
		"a tag":              {s.token, s.registry + "/app/web:latest", "names no image by its digest"},
		"a wrong token":      {"hft_wrong", image.String(), "401"},
		"no token":           {"", image.String(), "401"},
	} {
		if _, err := s.sign(c.token, endpoint.Request{Images: []string{c.image}}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := s.by(l, signature.Target{Image: other}); got != "none" {
		t.Errorf("the other image is signed by %s", got)
	}
	s.stop()
	result, err := audit.Verify(s.settings.Audit.Folder)
	if err != nil || result.Head.Sequence < 6 {
		t.Errorf("the log is %+v, %v", result, err)
	}
}

// The registry of an image that others publish is never contacted: here it cannot even be reached.
func TestAnImageOfOthersIsSignedIntoOurRepository(t *testing.T) {
	s := start(t)
	l := s.signing()
	digest, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := digest.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.sign(s.token, endpoint.Request{Images: []string{"docker.io/library/redis:7@" + hash.String()}, ThirdParty: true}); err != nil {
		t.Fatal(err)
	}
	image := parse(t, "docker.io/library/redis", hash)
	into, err := name.NewRepository(s.settings.Sources[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := s.by(l, signature.Target{Image: image, Into: into}); got != "images/1" {
		t.Errorf("it is signed by %s", got)
	}
}

func parse(t *testing.T, repository string, hash v1.Hash) name.Digest {
	t.Helper()
	d, err := name.NewDigest(repository + "@" + hash.String())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestARevokedKeysSignaturesAreReplaced(t *testing.T) {
	s := start(t)
	s.signing()
	image := s.push("app/web")
	if _, err := s.sign(s.token, endpoint.Request{Images: []string{image.String()}}); err != nil {
		t.Fatal(err)
	}
	r, end, err := trust.OpenRotation(s.Context(), s.settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Revoke(t.Context(), key.ID{Name: "images", Version: 1}); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	l := s.await(func(l *keylist.Opened) bool { return l.Keys[0].ID.Version == 2 })
	if got := s.by(l, signature.Target{Image: image}); got != "none" {
		t.Errorf("the old signature is by %s of the list", got)
	}
	time.Sleep(time.Second) // until the service's record is not fresh any more
	if results, err := s.sign(s.token, endpoint.Request{Images: []string{image.String()}}); err != nil || results[0].Key != "images/2" {
		t.Fatalf("%+v, %v", results, err)
	}
	if got := s.by(l, signature.Target{Image: image}); got != "images/2" {
		t.Errorf("it is signed by %s", got)
	}
}

func TestAServiceGoesOnAfterARestart(t *testing.T) {
	s := start(t)
	before := s.signing()
	s.stop()
	s.run()
	after := s.signing()
	if len(after.Keys) != 1 || !after.Keys[0].Public.Equal(before.Keys[0].Public) || after.Version < before.Version {
		t.Errorf("the list was %+v and is %+v", before.List, after.List)
	}
	image := s.push("app/web")
	if _, err := s.sign(s.token, endpoint.Request{Images: []string{image.String()}}); err != nil {
		t.Error(err)
	}
}

func TestAServiceWithoutRulesSignsForNobodyUntilThereAreSome(t *testing.T) {
	s := start(t)
	s.signing()
	s.stop()
	rules, err := os.ReadFile(s.settings.Access.Rules)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.settings.Access.Rules); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.signing()
	request := endpoint.Request{Images: []string{s.push("app/web").String()}}
	if _, err := s.sign(s.token, request); err == nil || !strings.Contains(err.Error(), "may not have images of this repository signed") {
		t.Errorf("without rules: %v", err)
	}
	s.write(s.settings.Access.Rules, string(rules))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err = s.sign(s.token, request); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the rules are there, and: %v", err)
		}
	}
}

// Rules that somebody named are not to be missed.
func TestRulesThatAreNamedMustBeThere(t *testing.T) {
	s := start(t)
	s.signing()
	s.stop()
	s.settings.Access.Rules = filepath.Join(t.TempDir(), "named.yaml")
	err := (&trust.Service{Settings: s.settings, Keys: true, Sign: true, Logger: s.quiet()}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "named.yaml: no such file or directory") || !strings.Contains(err.Error(), "rules: []") {
		t.Errorf("it says %v", err)
	}
}

func TestTokensAreNotSentInTheClear(t *testing.T) {
	s := start(t)
	s.signing()
	s.stop()
	s.settings.Listen = "0.0.0.0:0"
	err := (&trust.Service{Settings: s.settings, Keys: true, Sign: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Errorf("listening everywhere without a certificate: %v", err)
	}
}
