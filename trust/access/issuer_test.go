package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// clock is the time of the tests with tokens.
var clock = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

type object = map[string]any

// claims are those of a good token; changes are put over them, nil takes one away.
func claims(issuer string, changes object) object {
	c := object{
		"iss": issuer, "aud": "holdfast-trust", "sub": "repo:acme/app:ref:refs/heads/main", "jti": "j1",
		"exp": clock.Add(5 * time.Minute).Unix(), "nbf": clock.Add(-time.Minute).Unix(), "iat": clock.Add(-time.Minute).Unix(),
		"repository": "acme/app", "ref": "refs/heads/main", "run_attempt": 1, "protected": true,
	}
	for name, value := range changes {
		c[name] = value
		if value == nil {
			delete(c, name)
		}
	}
	return c
}

func encoded(v any) string {
	return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v)))
}

// token is a JWT, signed by hand so that wrong ones can be made.
func token(header, claims object, key any) string {
	text := encoded(header) + "." + encoded(claims)
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	switch key := key.(type) {
	case *rsa.PrivateKey:
		signature = must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			panic(err)
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func rs256(claims object) string {
	return token(object{"alg": "RS256", "kid": "r1", "typ": "JWT"}, claims, rsaKey())
}

func keySet(keys ...jose.JSONWebKey) []byte {
	return must(json.Marshal(jose.JSONWebKeySet{Keys: keys}))
}

func usualKeys() []byte {
	return keySet(jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "r1", Algorithm: "RS256", Use: "sig"}, jose.JSONWebKey{Key: ecKey().Public(), KeyID: "e1"})
}

// peer is an issuer on loopback.
type peer struct {
	*httptest.Server
	path    string // of the issuer's URL
	asked   atomic.Int64
	mu      sync.Mutex
	keys    []byte
	names   string // the issuer that its configuration names, when not its own URL
	keysURL string
	status  int
}

func issuerPeer(t testing.TB, path string) *peer {
	p := &peer{path: path, keys: usualKeys()}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *peer) issuer() string { return p.URL + p.path }

func (p *peer) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != 0 {
		w.WriteHeader(p.status)
		return
	}
	switch r.URL.Path {
	case p.path + "/.well-known/openid-configuration":
		name, keys := p.issuer(), p.issuer()+"/keys"
		if p.names != "" {
			name = p.names
		}
		if p.keysURL != "" {
			keys = p.keysURL
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(must(json.Marshal(object{"issuer": name, "jwks_uri": keys, "id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256"}})))
	case p.path + "/keys":
		p.asked.Add(1)
		_, _ = w.Write(p.keys)
	case "/elsewhere":
		http.Redirect(w, r, "http://keys.example/keys", http.StatusFound)
	case "/here":
		http.Redirect(w, r, p.issuer()+"/keys", http.StatusFound)
	case "/round":
		http.Redirect(w, r, "/round", http.StatusFound)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func issuerOf(p *peer) *Issuer {
	i := NewIssuer(p.issuer(), "holdfast-trust")
	i.Now = func() time.Time { return clock }
	return i
}

func status(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

func TestAGoodTokenIsItsSubjectWithItsStringClaims(t *testing.T) {
	for _, path := range []string{"", "/", "/realms/ci"} {
		p := issuerPeer(t, path)
		if path == "/" {
			p.path = "" // the slash is part of the issuer, and not of the places below it
			p.names = p.URL + "/"
		}
		i := issuerOf(p)
		i.URL = p.URL + path
		for what, text := range map[string]string{
			"RS256":             rs256(claims(i.URL, nil)),
			"ES256":             token(object{"alg": "ES256", "kid": "e1"}, claims(i.URL, nil), ecKey()),
			"no kid":            token(object{"alg": "RS256"}, claims(i.URL, nil), rsaKey()),
			"several audiences": rs256(claims(i.URL, object{"aud": []string{"x", "holdfast-trust"}})),
		} {
			id, err := i.Verify(t.Context(), text)
			if err != nil {
				t.Errorf("%s of %q: %v", what, path, err)
				continue
			}
			if id.Kind != OIDC || id.Issuer != i.URL || id.Name != i.URL+"#repo:acme/app:ref:refs/heads/main" || id.Credential != "j1" || id.Claims["repository"] != "acme/app" {
				t.Errorf("%s of %q is %+v", what, path, id)
			}
			if _, ok := id.Claims["run_attempt"]; ok || id.Claims["protected"] != "" {
				t.Errorf("claims that are no strings are among %v", id.Claims)
			}
		}
		if n := p.asked.Load(); n != 1 {
			t.Errorf("the issuer was asked for its keys %d times", n)
		}
	}
}

func TestTokensThatAreNotRightAreRefused(t *testing.T) {
	p := issuerPeer(t, "")
	i := issuerOf(p)
	good := claims(p.issuer(), nil)
	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	with := func(changes object) string { return rs256(claims(p.issuer(), changes)) }
	right := rs256(good)
	parts := strings.Split(right, ".")
	for what, text := range map[string]string{
		"alg none":                          token(object{"alg": "none"}, good, nil),
		"alg none with a kid":               token(object{"alg": "none", "kid": "r1"}, good, nil),
		"alg None":                          token(object{"alg": "None", "kid": "r1"}, good, nil),
		"alg NONE and a signature":          token(object{"alg": "NONE", "kid": "r1"}, good, rsaKey()),
		"no alg":                            token(object{"kid": "r1"}, good, rsaKey()),
		"HS256 with the public key's PEM":   token(object{"alg": "HS256", "kid": "r1"}, good, public),
		"HS256 with the public key's DER":   token(object{"alg": "HS256", "kid": "r1"}, good, der),
		"HS256 with the modulus":            token(object{"alg": "HS256", "kid": "r1"}, good, rsaKey().N.Bytes()),
		"HS256 with nothing":                token(object{"alg": "HS256", "kid": "r1"}, good, []byte{}),
		"PS256":                             token(object{"alg": "PS256", "kid": "r1"}, good, rsaKey()),
		"another key":                       token(object{"alg": "RS256", "kid": "r1"}, good, otherRSA()),
		"a key of its own in the header":    token(object{"alg": "RS256", "kid": "r1", "jwk": jose.JSONWebKey{Key: otherRSA().Public()}}, good, otherRSA()),
		"keys of its own elsewhere":         token(object{"alg": "RS256", "kid": "x", "jku": p.URL + "/keys"}, good, otherRSA()),
		"the kid of a key of another type":  token(object{"alg": "ES256", "kid": "r1"}, good, ecKey()),
		"an alg that the key is not for":    token(object{"alg": "RS512", "kid": "r1"}, good, rsaKey()),
		"critical fields":                   token(object{"alg": "RS256", "kid": "r1", "crit": []string{"b64"}, "b64": false}, good, rsaKey()),
		"critical fields that are harmless": token(object{"alg": "RS256", "kid": "r1", "crit": []string{"b64"}, "b64": true}, good, rsaKey()),
		"an unknown kid":                    token(object{"alg": "RS256", "kid": "../keys"}, good, rsaKey()),
		"no signature":                      parts[0] + "." + parts[1] + ".",
		"other claims":                      parts[0] + "." + encoded(claims(p.issuer(), object{"repository": "evil"})) + "." + parts[2],
		"two parts":                         parts[0] + "." + parts[1],
		"four parts":                        right + ".x",
		"padding":                           right + "=",
		"a space":                           right + " ",
		"JSON serialisation":                `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"too long":                          with(object{"x": strings.Repeat("a", maxToken)}),
		"another audience":                  with(object{"aud": "sigstore"}),
		"no audience":                       with(object{"aud": nil}),
		"an empty audience":                 with(object{"aud": ""}),
		"audiences without ours":            with(object{"aud": []string{"holdfast", "holdfast-trust2"}}),
		"our audience under another name":   with(object{"aud": "x", "AUD": "holdfast-trust"}),
		"another issuer":                    with(object{"iss": "https://evil.example"}),
		"an issuer with a trailing slash":   with(object{"iss": p.issuer() + "/"}),
		"an issuer with a trailing path":    with(object{"iss": p.issuer() + "/evil"}),
		"an issuer with a query":            with(object{"iss": p.issuer() + "?x"}),
		"an issuer in capitals":             with(object{"iss": strings.ToUpper(p.issuer())}),
		"no issuer":                         with(object{"iss": nil}),
		"expired":                           with(object{"exp": clock.Add(-leeway).Unix()}),
		"no expiry":                         with(object{"exp": nil}),
		"an expiry that is null":            with(object{"exp": json.RawMessage("null")}),
		"an expiry that is text":            with(object{"exp": "9999999999"}),
		"an expiry beyond all numbers":      with(object{"exp": 1e300}),
		"not valid yet":                     with(object{"nbf": clock.Add(leeway + time.Second).Unix()}),
		"nbf that is text":                  with(object{"nbf": "x"}),
		"issued in the future":              with(object{"iat": clock.Add(time.Hour).Unix()}),
		"no subject":                        with(object{"sub": nil}),
		"a subject that is a number":        with(object{"sub": 7}),
		"a subject with a line end":         with(object{"sub": "a\nb"}),
		"a subject that is too long":        with(object{"sub": strings.Repeat("a", maxSubject+1)}),
		"nothing":                           "",
		"dots":                              "..",
	} {
		id, err := i.Verify(t.Context(), text)
		if status(err) != http.StatusUnauthorized {
			t.Errorf("%s: %+v, %v", what, id, err)
			continue
		}
		if len(text) > 100 && strings.Contains(err.Error(), text[len(text)-60:]) {
			t.Errorf("%s: the error holds the token: %v", what, err)
		}
	}
	if _, err := i.Verify(t.Context(), right); err != nil {
		t.Errorf("the right one: %v", err)
	}
	for what, changes := range map[string]object{
		"just expired":       {"exp": clock.Add(-leeway + time.Second).Unix()},
		"just not valid yet": {"nbf": clock.Add(leeway).Unix()},
	} {
		if _, err := i.Verify(t.Context(), with(changes)); err != nil {
			t.Errorf("%s, within what clocks may differ: %v", what, err)
		}
	}
}

func TestAClaimThatIsThereTwiceIsRefused(t *testing.T) {
	p := issuerPeer(t, "")
	payload := string(must(json.Marshal(claims(p.issuer(), nil))))
	payload = strings.TrimSuffix(payload, "}") + `,"repository":"acme/other"}`
	text := encoded(object{"alg": "RS256", "kid": "r1"}) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sum := sha256.Sum256([]byte(text))
	text += "." + base64.RawURLEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, rsaKey(), crypto.SHA256, sum[:])))
	if _, err := issuerOf(p).Verify(t.Context(), text); status(err) != http.StatusUnauthorized || !strings.Contains(err.Error(), `"repository" twice`) {
		t.Errorf("%v", err)
	}
}

func TestAFloodOfUnknownKeyIDsAsksTheIssuerOnceInTenSeconds(t *testing.T) {
	p := issuerPeer(t, "")
	i := issuerOf(p)
	now := clock
	var mu sync.Mutex
	i.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	good := rs256(claims(p.issuer(), nil))
	if _, err := i.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	flood := func() {
		var group sync.WaitGroup
		for g := range 8 {
			group.Go(func() {
				for n := range 50 {
					text := token(object{"alg": "ES256", "kid": fmt.Sprint("x", g, n)}, claims(p.issuer(), nil), ecKey())
					if _, err := i.Verify(context.Background(), text); status(err) != http.StatusUnauthorized {
						t.Errorf("an unknown key id: %v", err)
					}
					if _, err := i.Verify(context.Background(), good); err != nil {
						t.Errorf("a good token in the flood: %v", err)
					}
				}
			})
		}
		group.Wait()
	}
	flood()
	if n := p.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
	// A key that the issuer added is found in spite of the flood.
	p.set(func() {
		p.keys = keySet(jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "r1"}, jose.JSONWebKey{Key: otherRSA().Public(), KeyID: "r2"})
	})
	mu.Lock()
	now = now.Add(minRefetch)
	mu.Unlock()
	flood()
	if n := p.asked.Load(); n != 2 {
		t.Errorf("the issuer was asked %d times", n)
	}
	if _, err := i.Verify(t.Context(), token(object{"alg": "RS256", "kid": "r2"}, claims(p.issuer(), nil), otherRSA())); err != nil {
		t.Errorf("the new key: %v", err)
	}
}

func TestAKeyThatTheIssuerTookAwayIsNotTakenAfterTenMinutes(t *testing.T) {
	p := issuerPeer(t, "")
	i := issuerOf(p)
	now := clock
	i.Now = func() time.Time { return now }
	long := rs256(claims(p.issuer(), object{"exp": clock.Add(48 * time.Hour).Unix()}))
	if _, err := i.Verify(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.keys = keySet(jose.JSONWebKey{Key: ecKey().Public(), KeyID: "e1"}) })
	now = now.Add(freshFor)
	if _, err := i.Verify(t.Context(), long); status(err) != http.StatusUnauthorized {
		t.Errorf("the key is still taken: %v", err)
	}
}

func TestWhileTheIssuerIsAwayItsKeysAreUsedForHalfADayAndThenNothingIsKnown(t *testing.T) {
	p := issuerPeer(t, "")
	i := issuerOf(p)
	now := clock
	i.Now = func() time.Time { return now }
	text := rs256(claims(p.issuer(), object{"exp": clock.Add(48 * time.Hour).Unix()}))
	p.set(func() { p.status = http.StatusBadGateway })
	if _, err := i.Verify(t.Context(), text); status(err) != http.StatusServiceUnavailable {
		t.Errorf("an issuer that is away from the start: %v", err)
	}
	p.set(func() { p.status = 0 })
	if _, err := i.Verify(t.Context(), text); status(err) != http.StatusServiceUnavailable {
		t.Errorf("it is asked again at once: %v", err)
	}
	now = now.Add(minRefetch)
	if _, err := i.Verify(t.Context(), text); err != nil {
		t.Errorf("it is back: %v", err)
	}
	p.set(func() { p.status = http.StatusBadGateway })
	now = now.Add(usableFor - 1)
	if _, err := i.Verify(t.Context(), text); err != nil {
		t.Errorf("it is away for less than half a day: %v", err)
	}
	now = now.Add(minRefetch)
	_, err := i.Verify(t.Context(), text)
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable || e.RetryAfter != minRefetch || !strings.Contains(err.Error(), "502") {
		t.Errorf("it is away for longer: %v", err)
	}
}

func TestIssuersThatSendSomethingElseAreNotBelieved(t *testing.T) {
	for what, change := range map[string]func(*peer){
		"another issuer's configuration": func(p *peer) { p.names = "https://other.example" },
		"a trailing slash":               func(p *peer) { p.names = p.URL + "/" },
		"keys without TLS":               func(p *peer) { p.keysURL = "http://keys.example/keys" },
		"keys in a file":                 func(p *peer) { p.keysURL = "file:///etc/passwd" },
		"no keys":                        func(p *peer) { p.keys = []byte(`{"keys":[]}`) },
		"no JSON":                        func(p *peer) { p.keys = []byte(`<html>`) },
		"too much":                       func(p *peer) { p.keys = []byte(`{"keys":[],"x":"` + strings.Repeat("a", maxAnswer) + `"}`) },
		"too many keys": func(p *peer) {
			p.keys = []byte(`{"keys":[` + strings.TrimSuffix(strings.Repeat("{},", maxKeys+1), ",") + `]}`)
		},
		"a symmetric key": func(p *peer) {
			p.keys = keySet(jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "r1"})
		},
		"a private key":        func(p *peer) { p.keys = keySet(jose.JSONWebKey{Key: rsaKey(), KeyID: "r1"}) },
		"a key for encryption": func(p *peer) { p.keys = keySet(jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "r1", Use: "enc"}) },
	} {
		p := issuerPeer(t, "")
		p.set(func() { change(p) })
		if id, err := issuerOf(p).Verify(t.Context(), rs256(claims(p.issuer(), nil))); status(err) != http.StatusServiceUnavailable {
			t.Errorf("%s: %+v, %v", what, id, err)
		} else if len(err.Error()) > 2000 {
			t.Errorf("%s: the error has %d bytes", what, len(err.Error()))
		}
	}
}

func TestRedirectsAreFollowedToPlacesWithTLSOnly(t *testing.T) {
	for path, want := range map[string]string{"/here": "", "/elsewhere": "its scheme must be https", "/round": "more than three times"} {
		p := issuerPeer(t, "")
		p.keysURL = p.URL + path
		_, err := issuerOf(p).Verify(t.Context(), rs256(claims(p.issuer(), nil)))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; %q is wanted", path, err, want)
		}
	}
}

func TestAClientThatHangsUpDoesNotKeepTheKeysFromComing(t *testing.T) {
	p := issuerPeer(t, "")
	i := issuerOf(p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Verify(ctx, rs256(claims(p.issuer(), nil))); err != nil {
		t.Errorf("%v", err)
	}
}

func TestWithAKeysFileTheIssuerIsNotAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, usualKeys(), 0o600); err != nil {
		t.Fatal(err)
	}
	const url = "https://unreachable.invalid/ci"
	i := NewIssuer(url, "holdfast-trust")
	i.Now = func() time.Time { return clock }
	i.KeysFile = path
	if _, err := i.Verify(t.Context(), rs256(claims(url, nil))); err != nil {
		t.Errorf("a good token: %v", err)
	}
	if _, err := i.Verify(t.Context(), token(object{"alg": "RS256", "kid": "r2"}, claims(url, nil), otherRSA())); status(err) != http.StatusUnauthorized {
		t.Errorf("a key that is not in the file: %v", err)
	}
	if err := os.WriteFile(path, keySet(jose.JSONWebKey{Key: otherRSA().Public(), KeyID: "r2"}), 0o600); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, old := i.Verify(t.Context(), rs256(claims(url, nil)))
		_, err := i.Verify(t.Context(), token(object{"alg": "RS256", "kid": "r2"}, claims(url, nil), otherRSA()))
		if err == nil && status(old) == http.StatusUnauthorized {
			break
		}
		if time.Since(start) > time.Second {
			t.Fatalf("a second after the file changed: %v, and the old key %v", err, old)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	i.file.forget()
	if _, err := i.Verify(t.Context(), rs256(claims(url, nil))); status(err) != http.StatusServiceUnavailable {
		t.Errorf("the file is gone: %v", err)
	}
}

func TestAnIssuersCertificateMayBeFromAPrivateCA(t *testing.T) {
	p := &peer{keys: usualKeys()}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	text := rs256(claims(p.issuer(), nil))
	if _, err := issuerOf(p).Verify(t.Context(), text); status(err) != http.StatusServiceUnavailable {
		t.Errorf("a certificate of an unknown CA: %v", err)
	}
	i := issuerOf(p)
	i.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(i.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Verify(t.Context(), text); err != nil {
		t.Errorf("a certificate of the CA in the file: %v", err)
	}
}

func FuzzJWT(f *testing.F) {
	path := filepath.Join(f.TempDir(), "keys.json")
	if err := os.WriteFile(path, usualKeys(), 0o600); err != nil {
		f.Fatal(err)
	}
	const url = "https://issuer.example"
	i := NewIssuer(url, "holdfast-trust")
	i.Now = func() time.Time { return clock }
	i.KeysFile = path
	r := &Rules{issuers: map[string]*Issuer{url: i}}
	good := rs256(claims(url, nil))
	f.Add(good)
	f.Add(token(object{"alg": "none"}, claims(url, nil), nil))
	f.Add("e30.e30.e30")
	signed := good[:strings.LastIndexByte(good, '.')]
	f.Fuzz(func(t *testing.T, text string) {
		id, err := r.verify(context.Background(), text)
		if err == nil && !strings.HasPrefix(text, signed+".") {
			t.Errorf("%q is taken, as %+v", text, id)
		}
		if err != nil && status(err) == 0 {
			t.Errorf("%q: %v is no *Error", text, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(usualKeys())
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err == nil && len(keys) == 0 {
			t.Errorf("%q gives no keys and no error", text)
		}
	})
}

func BenchmarkJWTCheck(b *testing.B) {
	p := issuerPeer(b, "")
	i := issuerOf(p)
	for name, text := range map[string]string{
		"RS256": rs256(claims(p.issuer(), nil)),
		"ES256": token(object{"alg": "ES256", "kid": "e1"}, claims(p.issuer(), nil), ecKey()),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Verify(context.Background(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
