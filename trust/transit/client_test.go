package transit

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestATokenIsRenewedAtTwoThirdsOfItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		k := openKey(t, pipe(t, fake), "images")
		rotate(t, k)
		time.Sleep(39 * time.Minute)
		synctest.Wait()
		if n := fake.count("POST auth/token/renew-self"); n != 0 {
			t.Errorf("after 39 minutes of an hour there were %d renewals", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := fake.count("POST auth/token/renew-self"); n != 1 {
			t.Errorf("after 41 minutes of an hour there were %d renewals", n)
		}
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		if fake.logins != 1 || len(versions(t, k)) != 1 {
			t.Errorf("there were %d logins", fake.logins)
		}
		time.Sleep(100 * time.Hour) // past the time to which tokens can be extended
		synctest.Wait()
		denied := 0
		fake.inside(func() { denied = fake.logins })
		if denied < 4 || denied > 6 || len(versions(t, k)) != 1 {
			t.Errorf("in five days with tokens of a day there were %d logins", denied)
		}
	})
}

func TestATokenThatCannotBeRenewedIsReplacedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		fake.renewable = false
		k := openKey(t, pipe(t, fake), "images")
		rotate(t, k)
		for range 30 {
			time.Sleep(10 * time.Minute)
			if len(versions(t, k)) != 1 {
				t.Error("the key is not listed")
			}
		}
		if n := fake.count("GET transit/keys/images"); n != 32 || fake.logins < 7 || fake.logins > 9 {
			t.Errorf("in five hours with tokens of an hour there were %d logins, and 32 readings took %d requests", fake.logins, n)
		}
	})
}

func TestATokenThatWasRevokedIsReplacedByOneLoginForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		k := openKey(t, pipe(t, fake), "images")
		rotate(t, k)
		fake.inside(func() { clear(fake.tokens) })
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := k.Sign(t.Context(), 1, hashes(2)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if fake.logins != 2 {
			t.Errorf("50 requests with a revoked token made %d logins", fake.logins-1)
		}
	})
}

func TestWhatAPolicyDeniesDoesNotMakeALoginForEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		k := openKey(t, pipe(t, fake), "images")
		rotate(t, k)
		fake.before = func(w http.ResponseWriter, r *http.Request) bool {
			denied := strings.Contains(r.URL.Path, "/sign/")
			if denied {
				fail(w, 403, "permission denied")
			}
			return denied
		}
		for range 60 {
			var denied *DeniedError
			if _, err := k.Sign(t.Context(), 1, hashes(1)); !errors.As(err, &denied) {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		if fake.logins > 8 {
			t.Errorf("a denied request each second for a minute made %d logins", fake.logins-1)
		}
	})
}

func TestALoginThatIsRefusedIsNotTriedForEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		fake.jwt = "another"
		k := openKey(t, pipe(t, fake), "images")
		for range 100 {
			var answered *Error
			if _, err := k.Keys(t.Context()); !errors.As(err, &answered) || answered.Status != 403 || !strings.Contains(err.Error(), `role "signer"`) {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := fake.count("POST auth/kubernetes/login"); n > 8 {
			t.Errorf("100 requests in 10 seconds made %d logins", n)
		}
		fake.inside(func() { fake.jwt = "eyJ.first.jwt" })
		time.Sleep(refusedPause)
		if _, err := k.Keys(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAVaultThatIsAwayIsWaitedForAndThenSaidToBeAwayForHowLong(t *testing.T) {
	for name, away := range map[string]func(w http.ResponseWriter){
		"sealed":       func(w http.ResponseWriter) { fail(w, 503, "Vault is sealed") },
		"a standby":    func(w http.ResponseWriter) { w.WriteHeader(473) },
		"a DR standby": func(w http.ResponseWriter) { w.WriteHeader(472) },
		"no leader":    func(w http.ResponseWriter) { fail(w, 500, "local node not active but active cluster node not found") },
		"disconnected": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"a bad proxy":  func(w http.ResponseWriter) { w.WriteHeader(502); _, _ = io.WriteString(w, "<html>Bad Gateway</html>") },
		"slow":         func(http.ResponseWriter) { time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newVault()
				o := pipe(t, fake)
				o.Patience = 20 * time.Second
				k := openKey(t, o, "images")
				rotate(t, k)
				synctest.Wait()
				fake.before = func(w http.ResponseWriter, _ *http.Request) bool { away(w); return true }
				start := time.Now()
				for i := range 3 {
					_, err := k.Sign(t.Context(), 1, hashes(1))
					var unavailable *UnavailableError
					if !errors.As(err, &unavailable) || unavailable.Since != start || unavailable.For < time.Duration(i)*15*time.Second || unavailable.For != time.Since(start) {
						t.Fatalf("%d: after %v %v", i, time.Since(start), err)
					}
					if !strings.Contains(err.Error(), "has not answered for "+unavailable.For.Round(100*time.Millisecond).String()) {
						t.Error(err)
					}
				}
				if d := time.Since(start); d < 30*time.Second || d > 100*time.Second {
					t.Errorf("three requests with a patience of 20 s took %v", d)
				}
				_, made := k.Rotate(t.Context())
				var unavailable *UnavailableError
				if !errors.As(made, &unavailable) {
					t.Errorf("Rotate says %v", made)
				}
				go func() {
					time.Sleep(5 * time.Second)
					fake.inside(func() { fake.before = nil })
				}()
				if _, err := k.Sign(t.Context(), 1, hashes(1)); err != nil {
					t.Errorf("when it comes back in time: %v", err)
				}
				time.Sleep(2 * time.Minute) // until what is slow has ended
			})
		})
	}
}

func TestAClientIsOpenedWhileVaultIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		fake.before = func(w http.ResponseWriter, _ *http.Request) bool { fail(w, 503, "Vault is sealed"); return true }
		k := openKey(t, pipe(t, fake), "images")
		time.Sleep(10 * time.Minute)
		_, err := k.Keys(t.Context())
		var away *UnavailableError
		if !errors.As(err, &away) || away.For < 10*time.Minute || !strings.Contains(err.Error(), "Vault is sealed") {
			t.Errorf("after ten minutes: %v", err)
		}
		if n := fake.count("POST auth/kubernetes/login"); n > 400 {
			t.Errorf("in ten minutes it tried to log in %d times", n)
		}
		fake.inside(func() { fake.before = nil })
		rotate(t, k)
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		k := openKey(t, pipe(t, fake), "images")
		rotate(t, k)
		for _, c := range []struct {
			status int
			header func() string
			least  time.Duration
		}{
			{429, func() string { return "7" }, 7 * time.Second},
			{503, func() string { return "7" }, 7 * time.Second},
			{503, func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) }, 6 * time.Second},
			{412, func() string { return "" }, 0},
			{429, func() string { return "soon" }, 0},
		} {
			var once sync.Once
			fake.inside(func() {
				fake.before = func(w http.ResponseWriter, _ *http.Request) (done bool) {
					once.Do(func() {
						w.Header().Set("Retry-After", c.header())
						fail(w, c.status, "later")
						done = true
					})
					return done
				}
			})
			start := time.Now()
			if _, err := k.Keys(t.Context()); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d < c.least || d > c.least+2*time.Second {
				t.Errorf("%d with %q was repeated after %v", c.status, c.header(), d)
			}
		}
		fake.inside(func() {
			fake.before = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Retry-After", "3600")
				fail(w, 429, "quota exceeded")
				return true
			}
		})
		start := time.Now()
		_, err := k.Keys(t.Context())
		var answered *Error
		if !errors.As(err, &answered) || answered.RetryAfter != time.Hour || time.Since(start) > time.Second {
			t.Errorf("asked to wait longer than its patience, it took %v: %v", time.Since(start), err)
		}
	})
}

func TestAContextEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		k := openKey(t, pipe(t, fake), "images")
		rotate(t, k)
		fake.before = func(w http.ResponseWriter, _ *http.Request) bool { fail(w, 503, "Vault is sealed"); return true }
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := k.Keys(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestCloseRevokesTheTokenAndEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails when a goroutine is left
		fake := newVault()
		c := open(t, pipe(t, fake))
		k, err := c.Key("transit", "images")
		if err != nil {
			t.Fatal(err)
		}
		rotate(t, k)
		fake.inside(func() {
			fake.before = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/sign/") {
					fail(w, 503, "Vault is sealed")
					return true
				}
				return false
			}
		})
		waiting := make(chan error)
		go func() {
			_, err := k.Sign(t.Context(), 1, hashes(1))
			waiting <- err
		}()
		time.Sleep(time.Second)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, ErrClosed) {
			t.Errorf("a request that waited: %v", err)
		}
		if _, err := k.Keys(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("a request after it: %v", err)
		}
		if err := c.Close(); err != nil || fake.revoked != 1 || len(fake.tokens) != 1 {
			t.Errorf("%d tokens were revoked, %d are left, %v", fake.revoked, len(fake.tokens)-1, err)
		}
	})
}

func TestAServiceAccountTokenIsReadAtEachLogin(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	jwt := write(t, filepath.Join(t.TempDir(), "jwt"), fake.jwt)
	o.Login = &Kubernetes{Role: "signer", JWTFile: jwt}
	k := openKey(t, o, "images")
	rotate(t, k)
	write(t, jwt, "eyJ.second.jwt")
	fake.inside(func() { fake.jwt = "eyJ.second.jwt"; clear(fake.tokens) })
	if got := versions(t, k); len(got) != 1 {
		t.Errorf("it lists %v", got)
	}
}

func TestAnAppRoleLogsInWithASecretIDThatMayBeWrapped(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	dir := t.TempDir()
	role, id := write(t, filepath.Join(dir, "role"), fake.roleID+"\n"), write(t, filepath.Join(dir, "secret"), fake.secretID+"\n")
	o.Login = &AppRole{RoleIDFile: role, SecretIDFile: id}
	rotate(t, openKey(t, o, "images"))

	fake.inside(func() { fake.wrapped["hvs.wrapping"] = "auth/approle/role/signer/secret-id" })
	write(t, id, "hvs.wrapping")
	o.Login = &AppRole{RoleIDFile: role, SecretIDFile: id, Wrapped: true}
	k := openKey(t, o, "images")
	rotate(t, k)
	fake.inside(func() { clear(fake.tokens) })
	rotate(t, k) // with the secret id that it has unwrapped
	fake.inside(func() {
		fake.secretID, fake.wrapped["hvs.wrapping-2"] = "another secret id", "auth/approle/role/signer/secret-id"
		fake.secretID = "another-secret-id"
		clear(fake.tokens)
	})
	write(t, id, "hvs.wrapping-2")
	if made := rotate(t, k); made.ID.Version != 4 {
		t.Errorf("it made %v", made.ID)
	}

	for token, path := range map[string]string{"hvs.used": "", "hvs.forged": "cubbyhole/secret-id", "hvs.other": "auth/other/role/signer/secret-id"} {
		fake.inside(func() { fake.wrapped[token] = path; clear(fake.tokens) })
		write(t, id, token)
		_, err := openKey(t, o, "images").Keys(t.Context())
		if err == nil || !strings.Contains(err.Error(), "somebody on the way has the secret id") || strings.Contains(err.Error(), token) {
			t.Errorf("a wrapping token for %q: %v", path, err)
		}
		o.Login = &AppRole{RoleIDFile: role, SecretIDFile: id, Wrapped: true}
	}
}

func TestATokenFileIsReadAgainWhenItChanges(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	path := write(t, filepath.Join(t.TempDir(), "token"), rootToken)
	o.Login = &TokenFile{path}
	k := openKey(t, o, "images")
	rotate(t, k)
	fake.inside(func() { fake.tokens["hvs.second"] = &fakeToken{}; delete(fake.tokens, rootToken) })
	write(t, path, "hvs.second\n")
	if got := versions(t, k); len(got) != 1 {
		t.Errorf("it lists %v", got)
	}
	// One request, and none with the old token.
	if n := fake.count("GET transit/keys/images"); n != 3 {
		t.Errorf("there were %d readings", n)
	}
	write(t, path, "two words")
	if _, err := k.Keys(t.Context()); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "words") {
		t.Errorf("a file that holds no token: %v", err)
	}
	t.Setenv("VAULT_TOKEN", "hvs.second")
	o.Login = &TokenEnv{}
	if got := versions(t, openKey(t, o, "images")); len(got) != 1 {
		t.Errorf("with the token of the environment it lists %v", got)
	}
}

func TestATokenFileWithALeaseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newVault()
		fake.tokens["hvs.leased"] = &fakeToken{expires: time.Now().Add(time.Hour), longest: time.Now().Add(100 * time.Hour)}
		o := pipe(t, fake)
		o.Login = &TokenFile{write(t, filepath.Join(t.TempDir(), "token"), "hvs.leased")}
		k := openKey(t, o, "images")
		rotate(t, k)
		time.Sleep(50 * time.Hour)
		if len(versions(t, k)) != 1 {
			t.Error("the key is not listed")
		}
		if err := k.c.Close(); err != nil || fake.revoked != 0 {
			t.Errorf("a token that was given was revoked, %v", err)
		}
	})
}

func TestAStandbyRedirectsToTheActiveNode(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	active := o.Address
	for name, c := range map[string]struct {
		location func(path string) string
		follows  bool
	}{
		"the same path":    {func(path string) string { return active + path }, true},
		"another path":     {func(string) string { return active + "/v1/transit/keys/other" }, false},
		"out of TLS":       {func(path string) string { return strings.Replace(active, "https", "http", 1) + path }, false},
		"for ever":         {func(path string) string { return path }, false},
		"nowhere":          {func(string) string { return "" }, false},
		"an escaped path":  {func(path string) string { return active + strings.Replace(path, "transit/", "transit%2F", 1) }, false},
		"with a query":     {func(path string) string { return active + path + "?help=1" }, false},
		"with credentials": {func(path string) string { return strings.Replace(active, "://", "://a:b@", 1) + path }, false},
	} {
		t.Run(name, func(t *testing.T) {
			standby := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", c.location(r.URL.Path))
				w.WriteHeader(http.StatusTemporaryRedirect)
			}))
			standby.CAFile = o.CAFile // both have the certificate of httptest
			k := openKey(t, standby, "images")
			made, err := k.Rotate(t.Context())
			if c.follows && (err != nil || made.ID.Version != 1) || !c.follows && err == nil {
				t.Errorf("%v, %v", made.ID, err)
			}
		})
	}
}

func TestAnswersThatAreNotVaultsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		says   string
	}{
		"a page":               {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html><body>Welcome</body></html>") }, "is there a proxy"},
		"a page that is large": {func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte("<p>Welcome"), 1<<17)) }, "is there a proxy"},
		"without end":          {func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte(" "), maxAnswer+1)) }, "longer than"},
		"nothing":              {func(http.ResponseWriter) {}, "no data"},
		"no data":              {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"data":null}`) }, "no data"},
		"a list":               {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `[]`) }, "is there a proxy"},
		"nested without end":   {func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte("["), 1<<20)) }, "is there a proxy"},
		"a teapot":             {func(w http.ResponseWriter) { w.WriteHeader(418); _, _ = io.WriteString(w, "short\x00 and\nstout") }, `"short and stout"`},
		"many errors":          {func(w http.ResponseWriter) { fail(w, 400, strings.Split(strings.Repeat("wrong ", 10_000), " ")...) }, "wrong; wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newVault()
			k := openKey(t, serve(t, fake), "images")
			rotate(t, k)
			fake.inside(func() {
				fake.before = func(w http.ResponseWriter, r *http.Request) bool {
					if strings.Contains(r.URL.Path, "lookup-self") {
						return false
					}
					c.answer(w)
					return true
				}
			})
			_, keys := k.Keys(t.Context())
			_, signed := k.Sign(t.Context(), 1, hashes(1))
			_, made := k.Rotate(t.Context())
			for call, err := range map[string]error{"Keys": keys, "Sign": signed, "Rotate": made} {
				if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 1500 {
					t.Errorf("%s says %.1500v", call, err)
				}
			}
		})
	}
}

func TestOnlyTheVaultOfTheAuthorityIsSpokenWith(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	ca := o.CAFile
	for name, set := range map[string]func(o *Options){
		"the system's authorities": func(o *Options) { o.CAFile = "" },
		"another name":             func(o *Options) { o.ServerName = "vault.example.org" },
	} {
		bad := o
		set(&bad)
		start := time.Now()
		_, err := openKey(t, bad, "images").Keys(t.Context())
		if err == nil || !strings.Contains(err.Error(), "certificate") || time.Since(start) > o.Patience {
			t.Errorf("%s: after %v %v", name, time.Since(start), err)
		}
	}
	if n := fake.count(""); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	// The file of authorities is read again for each connection.
	moved := filepath.Join(t.TempDir(), "ca.pem")
	text, err := readFile(ca, maxCA)
	if err != nil {
		t.Fatal(err)
	}
	write(t, moved, string(text))
	o.CAFile = moved
	c := open(t, o)
	write(t, moved, "nothing")
	c.http.CloseIdleConnections()
	k, err := c.Key("transit", "images")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _ = k.Keys(ctx)
	write(t, moved, string(text))
	if _, err := k.Keys(t.Context()); err != nil {
		t.Errorf("with the right authority again: %v", err)
	}
}

func TestSecretsAreInNoErrorAndNoLog(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	var log bytes.Buffer
	var writing sync.Mutex
	o.Logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		writing.Lock()
		defer writing.Unlock()
		return log.Write(p)
	}), nil))
	o.Patience = time.Millisecond
	dir := t.TempDir()
	wrapping := "hvs.wrapping-token"
	fake.wrapped[wrapping] = "auth/approle/role/signer/secret-id"
	logins := []Login{
		o.Login,
		&Kubernetes{Role: "signer", JWTFile: write(t, filepath.Join(dir, "jwt"), fake.jwt)},
		&AppRole{RoleIDFile: write(t, filepath.Join(dir, "role"), fake.roleID), SecretIDFile: write(t, filepath.Join(dir, "id"), fake.secretID)},
		&AppRole{RoleIDFile: filepath.Join(dir, "role"), SecretIDFile: write(t, filepath.Join(dir, "wrapped"), wrapping), Wrapped: true},
	}
	// A server, or a proxy before it, that answers with all that it was sent.
	echo := func(status int) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			body, _ := io.ReadAll(r.Body)
			text := fmt.Sprintf("%v %s %v", r.Header, body, r.URL)
			switch {
			case status == 0: // no HTTP
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, strings.Join(strings.Fields(text), "")+"\r\n\r\n")
					_ = conn.Close()
				}
			case status == 200:
				_, _ = io.WriteString(w, text)
			default:
				fail(w, status, text)
			}
			return true
		}
	}
	var said strings.Builder
	for i, login := range logins {
		o.Login = login
		for _, good := range []bool{true, false} {
			for _, status := range []int{0, 200, 400, 403, 404, 429, 500} {
				fake.inside(func() { fake.before = nil; fake.wrapped[wrapping] = "auth/approle/role/signer/secret-id" })
				k := openKey(t, o, "images")
				if good {
					if _, err := k.Keys(t.Context()); err != nil {
						t.Fatalf("login %d: %v", i, err)
					}
				}
				fake.inside(func() { fake.before = echo(status) })
				_, keys := k.Keys(t.Context())
				_, made := k.Rotate(t.Context())
				if keys == nil || made == nil {
					t.Errorf("login %d, %d: an echo is taken as an answer", i, status)
				}
				fmt.Fprintf(&said, "%v\n%v\n%+v\n%#v\n%v %+v\n", keys, made, keys, made, login, k.c)
				for err := keys; err != nil; err = errors.Unwrap(err) {
					fmt.Fprintf(&said, "%v %#v\n", err, err)
				}
				text, err := json.Marshal(made)
				fmt.Fprintf(&said, "%s %v\n", text, err)
			}
		}
	}
	writing.Lock()
	defer writing.Unlock()
	said.Write(log.Bytes())
	for _, word := range []string{rootToken, fake.jwt, fake.secretID, fake.roleID, wrapping, "hvs.token-"} {
		if i := strings.Index(said.String(), word); i >= 0 {
			t.Errorf("%s is in %s", word, said.String()[max(0, i-200):min(said.Len(), i+100)])
		}
	}
	if !strings.Contains(said.String(), "[secret]") {
		t.Error("nothing was echoed")
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestOptionsAreChecked(t *testing.T) {
	good := serve(t, newVault())
	noCA := write(t, filepath.Join(t.TempDir(), "ca"), "no certificate")
	for name, set := range map[string]func(o *Options){
		"no login":            func(o *Options) { o.Login = nil },
		"no file":             func(o *Options) { o.Login = &TokenFile{} },
		"no role":             func(o *Options) { o.Login = &Kubernetes{} },
		"no role id":          func(o *Options) { o.Login = &AppRole{SecretIDFile: "x"} },
		"a wrong mount":       func(o *Options) { o.Login = &Kubernetes{Role: "r", Mount: "../sys"} },
		"no address":          func(o *Options) { o.Address = "" },
		"no scheme":           func(o *Options) { o.Address = "vault.example:8200" },
		"another scheme":      func(o *Options) { o.Address = "ftp://vault.example" },
		"a password":          func(o *Options) { o.Address = "https://user:hunter2@vault.example" },
		"a broken password":   func(o *Options) { o.Address = "https://user:hunter2%@vault.example" },
		"a query":             func(o *Options) { o.Address = "https://vault.example?a=b" },
		"no TLS":              func(o *Options) { o.Address = "http://vault.example:8200" },
		"no such authorities": func(o *Options) { o.CAFile = noCA + "-none" },
		"no authorities":      func(o *Options) { o.CAFile = noCA },
		"a long header":       func(o *Options) { o.Namespace = "a\r\nX-Vault-Token: b" },
		"a long name":         func(o *Options) { o.UserAgent = "a\nb" },
	} {
		o := good
		set(&o)
		if c, err := Open(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
			if c != nil {
				_ = c.Close()
			}
		}
	}
	c := open(t, good)
	for _, path := range [][2]string{{"", "images"}, {"/transit", "images"}, {"transit/", "images"}, {"a/../b", "images"}, {"a//b", "images"}, {"tran sit", "images"}, {"a?b", "images"},
		{"..", "images"}, {"transit", ""}, {"transit", "../keys"}, {"transit", "Images"}} {
		if _, err := c.Key(path[0], path[1]); err == nil {
			t.Errorf("%q is accepted", path)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32)) // the same in every process that looks for inputs
	if err != nil {
		f.Fatal(err)
	}
	k := &fakeKey{minDecryption: 1, private: []*ecdsa.PrivateKey{private}, created: []time.Time{time.Unix(1_700_000_000, 0)}}
	good, err := json.Marshal(k.show("images"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(200, []byte(`{"data":`+string(good)+`}`))
	f.Add(400, []byte(`{"errors":["wrong secret-word"]}`))
	f.Add(200, []byte(`{"auth":{"client_token":"a","lease_duration":1e9}}`))
	f.Add(200, []byte(`{"data":{"type":"ecdsa-p256","latest_version":1,"keys":{"1":{}}}}`))
	f.Add(502, []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := &answer{status: status, body: body, secrets: []string{"secret-word"}}
		for _, message := range a.messages() {
			if len(message) > 4*maxText || strings.Contains(message, "secret-word") {
				t.Fatalf("a message is %q", message)
			}
		}
		e, err := a.decode()
		if err != nil {
			return
		}
		s, err := parseState(e.Data, "images")
		if err != nil {
			return
		}
		last := 0
		for _, p := range s.versions {
			if p.ID.Version <= last || p.ID.Name != "images" || p.Key == nil {
				t.Fatalf("%v follows %d", p.ID, last)
			}
			last = p.ID.Version
		}
		if last != s.settings.Latest || len(s.usable()) > len(s.versions) {
			t.Fatalf("the latest of %d is %d", last, s.settings.Latest)
		}
	})
}

func FuzzSignature(f *testing.F) {
	f.Add("vault:v1:MEUCIQ==", 1)
	f.Add("vault:v12:MEUCIQ==", 1)
	f.Add("vault:v1:", 1)
	f.Fuzz(func(t *testing.T, text string, version int) {
		signature, err := parseSignature(text, version)
		if err == nil && (len(signature) > maxSignature || !strings.HasPrefix(text, "vault:v"+strconv.Itoa(version)+":")) {
			t.Fatalf("%q is a signature by %d: %x", text, version, signature)
		}
	})
}

func FuzzRedirect(f *testing.F) {
	f.Add("https://vault.example/v1/transit/keys/images")
	f.Add("//other.example/v1/transit/keys/images")
	f.Add("//other.example/v1/transit%2Fkeys/images")
	f.Add("#0")
	f.Add("http://127.0.0.1/v1/transit/keys/images")
	f.Fuzz(func(t *testing.T, location string) {
		next, err := follow("https://vault.example/v1/transit/keys/images", location)
		if err == nil && (!strings.HasPrefix(next, "https://") || !strings.HasSuffix(next, "/v1/transit/keys/images")) {
			t.Fatalf("%q leads to %q", location, next)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	for _, n := range []int{1, 256} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			k := openKey(b, serve(b, newVault()), "images")
			if _, err := k.Rotate(b.Context()); err != nil {
				b.Fatal(err)
			}
			all := hashes(n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(b.Context(), 1, all); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "signatures/s")
		})
	}
}
