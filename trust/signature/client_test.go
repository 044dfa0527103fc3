package signature_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

func TestWhatFailsForATimeIsTriedAgain(t *testing.T) {
	k := newSigner(t, "images/1")
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"429 on reading":           answers(2, http.MethodGet, "/manifests/", 429, nil, ""),
		"500 on reading":           answers(2, http.MethodGet, "/manifests/", 500, nil, ""),
		"502 on uploading":         answers(2, http.MethodPost, "/blobs/uploads/", 502, nil, "<html>"),
		"503 on writing":           answers(2, http.MethodPut, "/manifests/", 503, nil, ""),
		"500 on asking how":        answers(2, http.MethodGet, "/v2/", 500, nil, ""),
		"a closed connection":      closes(2, "/manifests/"),
		"a closed upload":          closes(2, "/blobs/uploads/"),
		"a hang, for one request":  hangs(1, "/manifests/"),
		"a hang, for one uploader": hangs(1, "/blobs/uploads/"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			f.breaks(fault)
			c := newClient(t, func(o *signature.Options) { o.Timeout = 200 * time.Millisecond })
			target := signature.Target{Image: image(f.repo(t, "app"), 1)}
			mustWrite(t, &signature.Legacy{Client: c}, target, k.order(newSigner(t, "images/9")))
			if r := mustRead(t, c, target, k.public); !r.Signed() {
				t.Error(r.Err())
			}
		})
	}
}

func closes(times int, contains string) func(http.ResponseWriter, *http.Request) bool {
	return sometimes(times, contains, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
}

func hangs(times int, contains string) func(http.ResponseWriter, *http.Request) bool {
	return sometimes(times, contains, func(w http.ResponseWriter, r *http.Request) { hang(w, r) })
}

func sometimes(times int, contains string, do func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		now := times > 0 && strings.Contains(r.URL.Path, contains)
		if now {
			times--
		}
		mu.Unlock()
		if now {
			do(w, r)
		}
		return now
	}
}

func TestWhatFailsForGoodIsNotTriedAgain(t *testing.T) {
	k := newSigner(t, "images/1")
	for status, times := range map[int]int{400: 1, 403: 1, 405: 1, 501: 1, 401: 2} { // a refused token is renewed, once
		f := newFront(t)
		f.breaks(answers(-1, http.MethodPut, "/manifests/", status, nil, `{"errors":[{"code":"DENIED","message":"no\nway"}]}`))
		_, err := (&signature.Legacy{Client: newClient(t)}).Write(t.Context(), signature.Target{Image: image(f.repo(t, "app"), 1)}, k.order())
		var e *signature.Error
		if !errors.As(err, &e) || e.Status != status || e.Code != "DENIED" || e.Temporary() {
			t.Errorf("%d: %v", status, err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("the registry's text is repeated as it is: %v", err)
		}
		if n := count(f.asked(), "PUT /v2/app/manifests/"); n != times {
			t.Errorf("%d was tried %d times", status, n)
		}
	}
}

func TestTriesEnd(t *testing.T) {
	f := newFront(t)
	f.breaks(answers(-1, http.MethodPut, "/manifests/", 500, nil, ""))
	_, err := (&signature.Legacy{Client: newClient(t)}).Write(t.Context(), signature.Target{Image: image(f.repo(t, "app"), 1)}, newSigner(t, "images/1").order())
	var e *signature.Error
	if n := count(f.asked(), "PUT /v2/app/manifests/"); !errors.As(err, &e) || !e.Temporary() || n != 4 {
		t.Errorf("%v after %d tries", err, n)
	}
}

func TestARegistryThatAsksToWaitIsLeftAloneByAll(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	repo := f.repo(t, "app")
	mustWrite(t, &signature.Legacy{Client: c}, signature.Target{Image: image(repo, 0)}, k.order())
	var mu sync.Mutex
	var refused, next time.Time
	f.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if refused.IsZero() {
			refused = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
			return true
		}
		if next.IsZero() && time.Since(refused) > 50*time.Millisecond { // those under way
			next = time.Now()
		}
		return false
	})
	var targets []signature.Target
	for i := range 40 {
		targets = append(targets, signature.Target{Image: image(repo, i+1)})
	}
	if _, err := (&signature.Many{Writer: &signature.Legacy{Client: c}, Workers: 4}).Sign(t.Context(), targets, k.order()); err != nil {
		t.Fatal(err)
	}
	if wait := next.Sub(refused); wait < time.Second || wait > 5*time.Second {
		t.Errorf("the next request came after %s", wait)
	}
}

func TestARegistryThatAsksForTooLongIsNotAskedAgain(t *testing.T) {
	f := newFront(t)
	f.breaks(answers(-1, http.MethodGet, "/manifests/", 429, map[string]string{"Retry-After": "21600"}, `{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}`))
	_, err := (&signature.Reader{Client: newClient(t)}).Read(t.Context(), signature.Target{Image: image(f.repo(t, "app"), 1)}, nil)
	var e *signature.Error
	if !errors.As(err, &e) || e.RetryAfter != 6*time.Hour || count(f.asked(), "GET /v2/app/") != 1 || !strings.Contains(err.Error(), "it asks to wait 6h0m0s") {
		t.Errorf("%v", err)
	}
}

func TestWhoWaitsForARegistryCanGiveUp(t *testing.T) {
	f := newFront(t)
	f.breaks(answers(-1, http.MethodGet, "/manifests/", 429, map[string]string{"Retry-After": "60"}, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := (&signature.Reader{Client: newClient(t)}).Read(ctx, signature.Target{Image: image(f.repo(t, "app"), 1)}, nil)
	if !errors.Is(err, signature.ErrUnchecked) || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

// tokens is a registry that wants tokens, and gives them for a password.
type tokens struct {
	*front
	mu     sync.Mutex
	valid  map[string]string // token to scope
	given  []string          // scopes
	scoped bool              // the challenge names the scope
}

const password = "pass-word-of-the-test"

func newTokens(t *testing.T) *tokens {
	s := &tokens{front: newFront(t), valid: map[string]string{}, scoped: true}
	s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.URL.Path == "/token" {
			if user, pass, _ := r.BasicAuth(); user != "ci" || pass != password {
				w.WriteHeader(401)
				return true
			}
			scope := r.URL.Query().Get("scope")
			s.given = append(s.given, scope)
			token := fmt.Sprintf("token-%d-secret", len(s.given))
			s.valid[token] = scope
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":300}`, token)
			return true
		}
		scope := s.valid[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		repo := "repository:" + strings.Join(strings.Split(r.URL.Path, "/")[2:min(4, len(strings.Split(r.URL.Path, "/")))], "/")
		action := map[string]string{http.MethodGet: "pull", http.MethodHead: "pull", http.MethodDelete: "delete"}[r.Method]
		if action == "" {
			action = "push"
		}
		if r.URL.Path == "/v2/" || !strings.HasPrefix(scope, repo+":") || !strings.Contains(scope, action) {
			challenge := fmt.Sprintf("Bearer realm=%q,service=\"test\"", s.URL+"/token")
			if s.scoped && r.URL.Path != "/v2/" {
				challenge += fmt.Sprintf(",scope=%q", repo+":"+action)
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(401)
			return true
		}
		return false
	})
	return s
}

func (s *tokens) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.valid)
}

type login struct{ user, pass string }

func (l login) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: l.user, Password: l.pass}, nil
}

func TestATokenIsAskedForOncePerRepositoryAndAgainWhenItExpires(t *testing.T) {
	for name, scoped := range map[string]bool{"the challenge names the scope": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			s := newTokens(t)
			s.scoped = scoped
			c := newClient(t, func(o *signature.Options) { o.Keychain = login{"ci", password} })
			k := newSigner(t, "images/1")
			var targets []signature.Target
			for i := range 30 {
				targets = append(targets, signature.Target{Image: image(s.repo(t, fmt.Sprintf("team/app%d", i%3)), i)})
			}
			many := &signature.Many{Writer: &signature.Legacy{Client: c}}
			if _, err := many.Sign(t.Context(), targets, k.order()); err != nil {
				t.Fatal(err)
			}
			if asked := s.asked(); count(asked, "GET /token") != 3 || count(asked, "GET /v2/") != 1+0 {
				t.Errorf("it took %d tokens, %q", count(asked, "GET /token"), asked)
			}
			s.expire()
			if _, err := many.Sign(t.Context(), targets, k.order()); err != nil {
				t.Fatal(err)
			}
			for _, target := range targets {
				if r := mustRead(t, c, target, k.public); !r.Signed() {
					t.Error(r.Err())
				}
			}
		})
	}
}

func TestRefusedCredentialsAreNoMissingSignatureAndNotRepeated(t *testing.T) {
	s := newTokens(t)
	c := newClient(t, func(o *signature.Options) { o.Keychain = login{"ci", "wrong-" + password} })
	_, err := (&signature.Reader{Client: c}).Read(t.Context(), signature.Target{Image: image(s.repo(t, "team/app"), 1)}, nil)
	var e *signature.Error
	if !errors.Is(err, signature.ErrUnchecked) || !errors.As(err, &e) || e.Status != 401 || !strings.Contains(err.Error(), "check the credentials") || strings.Contains(err.Error(), password) {
		t.Errorf("%v", err)
	}
	if _, err := (&signature.Legacy{Client: c}).Write(t.Context(), signature.Target{Image: image(s.repo(t, "team/app"), 1)}, newSigner(t, "images/1").order()); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("%v", err)
	}
}

func TestABrokenCredentialStoreIsSaidWithoutWhatItSaid(t *testing.T) {
	f := newFront(t)
	c := newClient(t, func(o *signature.Options) { o.Keychain = broken{} })
	_, err := (&signature.Reader{Client: c}).Read(t.Context(), signature.Target{Image: image(f.repo(t, "app"), 1)}, nil)
	if !errors.Is(err, signature.ErrUnchecked) || strings.Contains(err.Error(), password) {
		t.Errorf("%v", err)
	}
}

type broken struct{}

func (broken) Resolve(authn.Resource) (authn.Authenticator, error) {
	return nil, errors.New("helper printed " + password)
}

func TestARegistryIsVerifiedByTheAuthorityThatIsNamed(t *testing.T) {
	f := newFrontHandler()
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.StartTLS()
	t.Cleanup(f.close)
	k := newSigner(t, "images/1")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	c := newClient(t, func(o *signature.Options) { o.CA, o.UserAgent = ca, "the-test/1" })
	mustWrite(t, &signature.Legacy{Client: c}, target, k.order())
	if len(f.agents) != 1 || !f.agents["the-test/1"] {
		t.Errorf("it calls itself %v", f.agents)
	}
	_, err := (&signature.Reader{Client: newClient(t)}).Read(t.Context(), target, nil)
	if !errors.Is(err, signature.ErrUnchecked) || !strings.Contains(err.Error(), "name the certificate of the registry's authority") {
		t.Errorf("%v", err)
	}
	if _, err := signature.NewClient(signature.Options{CA: []byte("none")}); err == nil {
		t.Error("what is no certificate is taken")
	}
}

func TestOnlyLoopbackAndWhatIsNamedIsSpokenToWithoutTLS(t *testing.T) {
	k := newSigner(t, "images/1")
	for host, plain := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.9.9.9:1": true, "[::1]:5000": true, "localhost:5000": true, "named.example:5000": true, "NAMED.example:5000": true, "all.example:1": true,
		"registry.local": false, "registry.localhost:5000": false, "10.0.0.1:5000": false, "192.168.1.1": false, "172.16.0.1:5000": false, "named.example:5001": false, "registry.example": false, "localhost.example": false,
		"[fd00::1]:5000": false,
	} {
		f := newFront(t)
		f.Config.ErrorLog = log.New(io.Discard, "", 0)
		c := newClient(t, func(o *signature.Options) {
			o.Plain, o.Attempts = []string{"named.example:5000", "all.example"}, 1
		})
		c.DialTo(f.Listener.Addr().String())
		repo, err := name.NewRepository(host + "/app")
		if err != nil {
			t.Fatal(err)
		}
		_, err = (&signature.Legacy{Client: c}).Write(t.Context(), signature.Target{Image: image(repo, 1)}, k.order())
		if !plain && !strings.Contains(err.Error(), "name it as a plain registry where that is wanted") {
			t.Errorf("%s: %v", host, err)
		}
		if asked := f.asked(); (err == nil) != plain || (len(asked) > 0) != plain {
			t.Errorf("%s: %v, after %q", host, err, asked)
		}
	}
}

func TestWhatAClientRemembersIsBounded(t *testing.T) {
	f := newFront(t)
	c := newClient(t)
	k := newSigner(t, "images/1")
	w := &signature.Legacy{Client: c}
	for i := range signature.MaxSessions + 50 {
		mustWrite(t, w, signature.Target{Image: image(f.repo(t, fmt.Sprint("app", i)), 1)}, k.order())
	}
	c.DialTo(f.Listener.Addr().String())
	for i := range signature.MaxRegistries + 50 {
		repo, err := name.NewRepository(fmt.Sprintf("127.1.%d.%d:5000/app", i/200, i%200))
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, w, signature.Target{Image: image(repo, 1)}, k.order())
	}
	registries, sessions, uploaded := c.Remembered()
	if registries > signature.MaxRegistries || sessions > 2*signature.MaxSessions || uploaded > 2*signature.MaxUploaded {
		t.Errorf("%d registries, %d sessions, %d uploads", registries, sessions, uploaded)
	}
}

func TestThePasswordOfTheDockerConfigurationGoesToItsRegistryAlone(t *testing.T) {
	var uploads []string
	storage := newFront(t)
	f := newFront(t)
	storage.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		uploads = append(uploads, r.Header.Get("Authorization"))
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
		return true
	})
	f.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if user, pass, _ := r.BasicAuth(); user != "ci" || pass != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if r.Method != http.MethodPost {
			return false
		}
		w.Header().Set("Location", storage.URL+"/upload?signed=secret")
		w.WriteHeader(http.StatusAccepted)
		return true
	})
	home := os.Getenv("HOME")
	if err := os.MkdirAll(filepath.Join(home, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, f.host(), base64.StdEncoding.EncodeToString([]byte("ci:"+password)))
	if err := os.WriteFile(filepath.Join(home, ".docker", "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, func(o *signature.Options) { o.Keychain = nil })
	mustWrite(t, &signature.Legacy{Client: c}, signature.Target{Image: image(f.repo(t, "app"), 1)}, newSigner(t, "images/1").order())
	if len(uploads) != 2 || uploads[0] != "" || uploads[1] != "" {
		t.Errorf("the storage saw %d uploads, with %q", len(uploads), uploads)
	}
}
