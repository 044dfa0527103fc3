package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// authority is a CA of the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return authority{must(x509.ParseCertificate(der)), key}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a authority) issue(change func(*x509.Certificate)) tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: "cn"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// served is a service that answers with who asks, or why it cannot say.
func served(t *testing.T, c *Control) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := c.Identify(r)
		var e *Error
		if errors.As(err, &e) {
			http.Error(w, e.Client, e.Status)
			return
		}
		_, _ = w.Write([]byte(id.Kind + " " + strings.Join(append([]string{id.Name}, id.Names...), " ")))
	}))
	server.TLS = new(tls.Config)
	if c.Certificates != nil {
		c.Certificates.Configure(server.TLS)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func ask(t *testing.T, server *httptest.Server, cert *tls.Certificate, authorization ...string) (int, string) {
	t.Helper()
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	if cert != nil {
		transport.TLSClientConfig.Certificates = []tls.Certificate{*cert}
	}
	request := must(http.NewRequest(http.MethodPost, server.URL, nil))
	request.Header["Authorization"] = authorization
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text := make([]byte, 1000)
	n, _ := response.Body.Read(text)
	return response.StatusCode, strings.TrimSpace(string(text[:n]))
}

func control(t *testing.T) (*Control, authority, string) {
	t.Helper()
	dir := t.TempDir()
	ca := newAuthority("clients")
	rulesPath, caPath := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "ca.pem")
	if err := errors.Join(os.WriteFile(rulesPath, []byte(exampleRules), 0o600), os.WriteFile(caPath, ca.pem(), 0o600)); err != nil {
		t.Fatal(err)
	}
	c := &Control{Rules: must(OpenRules(rulesPath)), Tokens: storeAt(t, filepath.Join(dir, "tokens.json")), Certificates: must(OpenCertificates(caPath))}
	return c, ca, caPath
}

func TestARequestIsIdentifiedByOneCredential(t *testing.T) {
	c, ca, _ := control(t)
	keys := filepath.Join(filepath.Dir(c.Tokens.path), "gitlab.jwks")
	if err := os.WriteFile(keys, usualKeys(), 0o600); err != nil {
		t.Fatal(err)
	}
	gitlab := c.Rules.Current().issuers["https://gitlab.example"]
	gitlab.Now = func() time.Time { return clock }
	jwt := rs256(claims("https://gitlab.example", nil))
	secret := add(t, c.Tokens, "nightly", 0)
	server := served(t, c)
	cert := ca.issue(func(c *x509.Certificate) { c.DNSNames = []string{"builder.example"} })
	for what, x := range map[string]struct {
		cert          *tls.Certificate
		authorization []string
		status        int
		text          string
	}{
		"a token":                          {nil, []string{"Bearer " + secret}, 200, "token nightly"},
		"a token, in small letters":        {nil, []string{"bearer " + secret}, 200, "token nightly"},
		"a JWT":                            {nil, []string{"Bearer " + jwt}, 200, "oidc https://gitlab.example#repo:acme/app:ref:refs/heads/main"},
		"a certificate":                    {&cert, nil, 200, "certificate builder.example builder.example"},
		"a certificate and a token":        {&cert, []string{"Bearer " + secret}, 200, "token nightly"},
		"nothing":                          {nil, nil, 401, "the request has no credential: send the header Authorization: Bearer TOKEN, or a client certificate"},
		"a certificate and a wrong token":  {&cert, []string{"Bearer hft_" + strings.Repeat("a", 52)}, 401, "the token is not known"},
		"a certificate and a wrong JWT":    {&cert, []string{"Bearer " + jwt[:len(jwt)-8]}, 401, "the token is not accepted"},
		"a certificate and a wrong scheme": {&cert, []string{"Basic eDp5"}, 401, "the header Authorization must be Bearer TOKEN"},
		"a certificate and an empty token": {&cert, []string{""}, 401, "the header Authorization must be Bearer TOKEN"},
		"two tokens":                       {nil, []string{"Bearer " + secret, "Bearer x"}, 401, "the request has more than one header Authorization"},
		"something":                        {nil, []string{"Bearer x"}, 401, "the token is neither a static token nor a JWT"},
		"a JWT of another issuer":          {nil, []string{"Bearer " + rs256(claims("https://gitlab.example/x", nil))}, 401, "the token's issuer is not accepted"},
	} {
		if status, text := ask(t, server, x.cert, x.authorization...); status != x.status || text != x.text {
			t.Errorf("%s is answered with %d %q; %d %q is wanted", what, status, text, x.status, x.text)
		}
	}
	closed := served(t, &Control{Rules: c.Rules})
	for what, x := range map[string]struct {
		cert          *tls.Certificate
		authorization []string
	}{"tokens": {nil, []string{"Bearer " + secret}}, "certificates": {&cert, nil}} {
		if status, text := ask(t, closed, x.cert, x.authorization...); status != 401 {
			t.Errorf("%s are not in use, and one is answered with %d %q", what, status, text)
		}
	}
}

func TestCertificatesAreTakenFromTheirCAOnly(t *testing.T) {
	c, ca, _ := control(t)
	server := served(t, c)
	other := newAuthority("clients") // of the same name
	spiffe := must(url.Parse("spiffe://corp.example/builder/7"))
	for what, x := range map[string]struct {
		cert tls.Certificate
		want string // "" when it is refused
	}{
		"a SPIFFE ID and a DNS name": {ca.issue(func(c *x509.Certificate) { c.URIs, c.DNSNames = []*url.URL{spiffe}, []string{"b.example"} }), "certificate spiffe://corp.example/builder/7 spiffe://corp.example/builder/7 b.example"},
		"a common name alone":        {ca.issue(func(*x509.Certificate) {}), "certificate cn cn"},
		"a URI that is no SPIFFE ID": {ca.issue(func(c *x509.Certificate) { c.URIs = []*url.URL{must(url.Parse("https://x.example"))} }), "certificate cn cn"},
		"no name":                    {ca.issue(func(c *x509.Certificate) { c.Subject.CommonName = "" }), ""},
		"another CA":                 {other.issue(func(*x509.Certificate) {}), ""},
		"expired":                    {ca.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ""},
		"not valid yet":              {ca.issue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), ""},
		"a server's":                 {ca.issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), ""},
	} {
		status, text := ask(t, server, &x.cert)
		if x.want == "" && (status != 401 || text != "the client certificate is not accepted") || x.want != "" && text != x.want {
			t.Errorf("%s is answered with %d %q; %q is wanted", what, status, text, x.want)
		}
	}
}

func TestACAThatIsTakenOutIsRefusedWithinASecond(t *testing.T) {
	c, ca, path := control(t)
	server := served(t, c)
	next := newAuthority("next")
	cert, nextCert := ca.issue(func(*x509.Certificate) {}), next.issue(func(*x509.Certificate) {})
	for _, step := range []struct {
		file      []byte
		old, next int
	}{{ca.pem(), 200, 401}, {slices.Concat(ca.pem(), next.pem()), 200, 200}, {next.pem(), 401, 200}, {[]byte("x"), 503, 503}, {next.pem(), 401, 200}} {
		if err := os.WriteFile(path, step.file, 0o600); err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			old, _ := ask(t, server, &cert)
			new, _ := ask(t, server, &nextCert)
			if old == step.old && new == step.next {
				break
			}
			if time.Since(start) > time.Second {
				t.Fatalf("the old CA is answered with %d, the next with %d; %d and %d are wanted", old, new, step.old, step.next)
			}
		}
	}
	for _, text := range []string{"", "x", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenCertificates(path); err == nil {
			t.Errorf("%.40q was taken for CAs", text)
		}
	}
}

func limits(now *time.Time) *Limits {
	l := NewLimits()
	l.Identity, l.Overall, l.Failures = Rate{1, 3}, Rate{10, 12}, Rate{1, 2}
	l.Now = func() time.Time { return *now }
	return l
}

func TestAnIdentityThatAsksTooOftenWaitsAndOthersDoNot(t *testing.T) {
	now := clock
	l := limits(&now)
	a, b := Identity{Kind: Token, Name: "a"}, Identity{Kind: Token, Name: "b"}
	for n := range 3 {
		if err := l.allow(a); err != nil {
			t.Errorf("request %d: %v", n, err)
		}
	}
	var e *Error
	if err := l.allow(a); !errors.As(err, &e) || e.Status != 429 || e.RetryAfter != time.Second {
		t.Errorf("the fourth: %v", err)
	}
	a.Credential = "another secret of the same name"
	if err := l.allow(a); err == nil {
		t.Error("a rotation gives a new allowance")
	}
	if err := l.allow(b); err != nil {
		t.Errorf("another identity: %v", err)
	}
	now = now.Add(time.Second)
	if err := l.allow(a); err != nil {
		t.Errorf("after a second: %v", err)
	}
}

func TestAllTogetherAreBoundedAndMoreNamesGiveNoMore(t *testing.T) {
	now := clock
	l := limits(&now)
	l.Tracked = 4
	l.Overall = Rate{1000, 1000}
	allowed := 0
	for n := range 400 {
		if l.allow(Identity{Kind: OIDC, Name: strings.Repeat("x", n)}) == nil {
			allowed++
		}
	}
	if want := 4 + 3; allowed != want { // one each for the four that are known, and one allowance that the others share
		t.Errorf("%d of 400 names were served, and %d should", allowed, want)
	}
	if len(l.identities.names) != 4 || l.identities.order.Len() != 4 {
		t.Errorf("%d names are tracked", len(l.identities.names))
	}
	now = now.Add(time.Minute) // the four have all that is theirs again, so they can be forgotten
	if l.allow(Identity{Kind: OIDC, Name: "new"}) != nil || l.identities.names["oidc new"] == nil || len(l.identities.names) != 4 {
		t.Error("an idle name keeps its place")
	}

	l = limits(&now)
	allowed = 0
	for n := range 100 {
		if l.allow(Identity{Kind: OIDC, Name: strings.Repeat("x", n)}) == nil {
			allowed++
		}
	}
	if allowed != 12 {
		t.Errorf("%d requests were served at once, and 12 should", allowed)
	}
	now = now.Add(time.Second)
	if err := l.allow(Identity{Kind: OIDC, Name: strings.Repeat("x", 50)}); err != nil {
		t.Errorf("what is refused for the others' sake counts against it: %v", err)
	}
}

func TestFailuresAreBoundedByAddressAndStopNoGoodCredential(t *testing.T) {
	c, _, _ := control(t)
	now := clock
	c.Limits = limits(&now)
	secret := add(t, c.Tokens, "nightly", 0)
	request := func(remote, token string) error {
		r := must(http.NewRequest(http.MethodPost, "/", nil))
		r.RemoteAddr = remote
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := c.Identify(r)
		return err
	}
	for n, want := range []int{401, 401, 429, 429} {
		if err := request("192.0.2.1:1", "x"); status(err) != want {
			t.Errorf("failure %d: %v", n, err)
		}
	}
	if err := request("192.0.2.1:2", secret); err != nil {
		t.Errorf("a good token from that address: %v", err)
	}
	if err := request("192.0.2.2:1", "x"); status(err) != 401 {
		t.Errorf("another address: %v", err)
	}
	for n, want := range []int{401, 401, 429} {
		remote := []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"}[n]
		if err := request(remote, "x"); status(err) != want {
			t.Errorf("failure %d from one network: %v", n, err)
		}
	}
	if d := c.Decide(Identity{Kind: Token, Name: "nightly"}, "reg.example/nightly/x"); !d.Allowed {
		t.Errorf("%+v", d)
	}
}

func TestLimitsThatLetNothingThroughAreErrors(t *testing.T) {
	if err := NewLimits().Check(); err != nil {
		t.Errorf("the usual ones: %v", err)
	}
	for what, change := range map[string]func(*Limits){
		"identity": func(l *Limits) { l.Identity.Burst = 0 },
		"overall":  func(l *Limits) { l.Overall.PerSecond = 0 },
		"failures": func(l *Limits) { l.Failures.PerSecond = -1 },
		"one":      func(l *Limits) { l.Tracked = 0 },
	} {
		l := NewLimits()
		change(l)
		if err := l.Check(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	r := rules(b, exampleRules)
	id := workflow("acme/app", "refs/heads/main")
	b.ReportAllocs()
	for b.Loop() {
		if d := r.Decide(id, "ghcr.io/acme/app"); !d.Allowed {
			b.Fatal(d.Reason)
		}
	}
}
