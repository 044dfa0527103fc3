//go:build e2e

package alone_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/e2e/trust/watch"
)

// authority signs certificates.
type authority struct {
	testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{TB: t}
	a.key = a.generate()
	a.cert = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, a.key)
	return a
}

func (a *authority) generate() *ecdsa.PrivateKey {
	a.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	return private
}

// sign signs a certificate of a key; its own when it has none yet. It is good for an hour unless it says something else.
func (a *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return cert
}

func (a *authority) pem() string { return certificatePEM(a.cert) }

func certificatePEM(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

// pair is a certificate with its key, in PEM.
func (a *authority) pair(template *x509.Certificate) (cert, key string) {
	a.Helper()
	private := a.generate()
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		a.Fatal(err)
	}
	return certificatePEM(a.sign(template, private)), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// client is the certificate of a client with a SPIFFE ID.
func (a *authority) client(id string, change func(*x509.Certificate)) *tls.Certificate {
	a.Helper()
	u, err := url.Parse(id)
	if err != nil {
		a.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "builder"}, URIs: []*url.URL{u}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(template)
	}
	cert, key := a.pair(template)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		a.Fatal(err)
	}
	return &pair
}

// gate is a service that lets clients in by the tokens of an issuer and by certificates.
type gate struct {
	*service
	issuer         *issuer
	servers, users *authority
}

func startGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{issuer: startIssuer(t), servers: newAuthority(t, "servers"), users: newAuthority(t, "users")}
	g.service = newService(t, watch.Faulty(t.Context(), t), trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), "tls: {certificate: tls.crt, key: tls.key, client-ca: users.crt}\n")
	g.url = strings.Replace(g.url, "http://", "https://", 1)
	cert, key := g.servers.pair(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	for file, text := range map[string]string{"tls.crt": cert, "tls.key": key, "servers.crt": g.servers.pem(), "users.crt": g.users.pem(), "data/issuer.crt": string(g.issuer.ca)} {
		g.write(file, text)
	}
	g.write("data/rules.yaml", fmt.Sprintf(`
issuers:
- {url: %[1]q, audience: %[2]s, ca_file: issuer.crt}
rules:
- name: main-branches
  oidc: {issuer: %[1]q, claims: {repository: "acme/*", ref: refs/heads/main}}
  repositories: ["%[3]s/${repository}"]
- name: builders
  certificate: spiffe://corp.example/builder/*
  repositories: ["%[3]s/built/**"]
`, g.issuer.url, audience, g.registry.Host))
	g.start()
	g.ready()
	return g
}

// answer is what the service answers to the wish to have an image signed.
type answer struct {
	status  int
	request string
	text    string // all errors that the client is told
	key     string
}

// ask asks for a signature, with a token or a client certificate unless they are empty.
func (g *gate) ask(token string, certificate *tls.Certificate, image name.Digest) answer {
	g.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AddCert(g.servers.cert)
	if certificate != nil {
		// Not by Certificates, of which one is sent only when the server's list of authorities has its own.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(g.Context(), http.MethodPost, g.url+"/v1/sign", strings.NewReader(fmt.Sprintf(`{"images":[%q]}`, image)))
	if err != nil {
		g.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		g.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		g.Fatal(err)
	}
	var body struct {
		Request, Error string
		Results        []struct{ Key, Error string }
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		g.Fatalf("%s: %v in %s", resp.Status, err, raw)
	}
	a := answer{resp.StatusCode, body.Request, body.Error, ""}
	for _, r := range body.Results {
		a.text, a.key = a.text+r.Error, a.key+r.Key
	}
	return a
}

// entry is a line of the audit log.
type entry struct {
	Request, Outcome, Reason, Key string
	Who                           struct{ Kind, Name, Rule string }
	What                          struct{ Repository, Digest string }
}

// entries are those of a request.
func (g *gate) entries(request string) (found []entry) {
	g.Helper()
	for _, line := range bytes.Split(g.audit(), []byte("\n")) {
		var e entry
		if len(line) > 0 && json.Unmarshal(line, &e) == nil && e.Request == request {
			found = append(found, e)
		}
	}
	return found
}

// audit is the text of the audit log.
func (g *gate) audit() (text []byte) {
	g.Helper()
	files, err := filepath.Glob(g.path("data/audit/*.jsonl"))
	if err != nil || len(files) == 0 {
		g.Fatalf("there is no audit log: %v", err)
	}
	for _, file := range files {
		part, err := os.ReadFile(file)
		if err != nil {
			g.Fatal(err)
		}
		text = append(text, part...)
	}
	return text
}

// admits wants an image to be signed, and the log to say for whom.
func (g *gate) admits(what string, token string, certificate *tls.Certificate, image name.Digest, kind, who, rule string) {
	g.Helper()
	a := g.ask(token, certificate, image)
	if a.status != http.StatusOK || a.key != "images/1" {
		g.Errorf("%s: the answer is %d: %s", what, a.status, a.text)
		return
	}
	if all := g.entries(a.request); len(all) != 1 || all[0].Outcome != "signed" || all[0].Who.Kind != kind || all[0].Who.Name != who || all[0].Who.Rule != rule ||
		all[0].What.Digest != image.DigestStr() || all[0].Key != "images/1" {
		g.Errorf("%s: the log has %+v", what, all)
	}
	if _, err := remote.Head(watch.SignatureTag(image), g.registry.Options(g.Context())...); err != nil {
		g.Errorf("%s: the registry has no signature: %v", what, err)
	}
}

// refuses wants an image not to be signed, the client told one thing, and the log another.
func (g *gate) refuses(what string, token string, certificate *tls.Certificate, image name.Digest, status int, client, reason string) {
	g.Helper()
	a := g.ask(token, certificate, image)
	if a.status != status || !strings.Contains(a.text, client) {
		g.Errorf("%s: the answer is %d: %q, want %d: %q", what, a.status, a.text, status, client)
	}
	if all := g.entries(a.request); len(all) != 1 || all[0].Outcome != "refused" || !strings.Contains(all[0].Reason, reason) {
		g.Errorf("%s: the log has %+v, want the reason %q", what, all, reason)
	}
	if _, err := remote.Head(watch.SignatureTag(image), g.registry.Options(g.Context())...); err == nil {
		g.Errorf("%s: the registry has a signature", what)
	}
}

func TestATokenOfTheIssuerSignsWhatItsClaimsAllowAndNothingElse(t *testing.T) {
	t.Parallel()
	g := startGate(t)
	i := g.issuer
	push := func(repository string) name.Digest { return g.registry.Push(t.Context(), t, repository) }
	rule, subject := "main-branches", i.url+"#repo:acme/web"
	g.admits("ES256", i.token(nil), nil, push("acme/web"), "oidc", subject, rule)
	g.admits("RS256", i.sign(jose.RS256, i.rsa, rsaID, i.claims(nil)), nil, push("acme/web"), "oidc", subject, rule)
	g.admits("one of several audiences", i.token(map[string]any{"aud": []string{"other", audience}}), nil, push("acme/web"), "oidc", subject, rule)
	now, image := time.Now().Unix(), push("acme/web")
	other := startIssuer(t)
	var tokens []string
	for _, c := range []struct{ what, token, client, reason string }{
		{"no token", "", "the request has no credential", "no credential"},
		{"another audience", i.token(map[string]any{"aud": "other"}), "the token is not accepted", "audience"},
		{"no audience", i.token(map[string]any{"aud": []string{}}), "the token is not accepted", "audience"},
		{"another issuer", other.token(nil), "the token's issuer is not accepted", "not among those of the rules"},
		{"another issuer that says it is ours", other.token(map[string]any{"iss": i.url}), "the token is not accepted", "signature is by none"},
		{"expired", i.token(map[string]any{"exp": now - 60}), "the token has expired", "expired at"},
		{"without an end", i.token(map[string]any{"exp": nil}), "no time at which it expires", "exp is missing"},
		{"not valid yet", i.token(map[string]any{"nbf": now + 600}), "not valid yet", "which is to come"},
		{"alg none", i.unsigned(), "the token is not accepted", "a token of " + i.url},
		{"HMAC with the public key", i.confused(), "the token is not accepted", "a token of " + i.url},
		{"altered", i.altered(), "the token is not accepted", "signature is by none"},
		{"RS256 with the id of the other key", i.sign(jose.RS256, i.rsa, ecID, i.claims(nil)), "the token is not accepted", "signature is by none"},
		{"no token of any kind", "password", "neither a static token nor a JWT", ""},
	} {
		g.refuses(c.what, c.token, nil, image, http.StatusUnauthorized, c.client, c.reason)
		tokens = append(tokens, c.token)
	}
	const not = "may not have images of this repository signed"
	g.refuses("another branch", i.token(map[string]any{"ref": "refs/heads/fix"}), nil, image, http.StatusForbidden, not, "the claim ref is")
	g.refuses("another organisation", i.token(map[string]any{"repository": "evil/web"}), nil, image, http.StatusForbidden, not, "the claim repository is")
	g.refuses("a claim that is a pattern", i.token(map[string]any{"repository": "acme/*"}), nil, image, http.StatusForbidden, not, "")
	g.refuses("another repository", i.token(nil), nil, push("acme/billing"), http.StatusForbidden, not, "does not have the repository")
	// The command says the same.
	g.write("jwt", i.token(nil))
	signed := push("acme/web")
	g.must("sign", "--url", g.url, "--ca", g.path("servers.crt"), "--token-file", g.path("jwt"), signed.String())
	if _, err := g.run("sign", "--url", g.url, "--ca", g.path("servers.crt"), "--token-file", g.path("jwt"), push("acme/billing").String()); err == nil || !strings.Contains(err.Error(), not) {
		t.Errorf("signing what is not allowed: %v", err)
	}
	for _, token := range tokens {
		if token != "" && (bytes.Contains(g.audit(), []byte(token)) || strings.Contains(g.program.Log(), token)) {
			t.Errorf("a log has the token %s", token)
		}
	}
	g.must("audit", "verify")
}

func TestACertificateOfTheAuthoritySignsWhatItsNameAllowsAndNothingElse(t *testing.T) {
	t.Parallel()
	g := startGate(t)
	push := func(repository string) name.Digest { return g.registry.Push(t.Context(), t, repository) }
	const id = "spiffe://corp.example/builder/1"
	good := g.users.client(id, nil)
	g.admits("its own", "", good, push("built/app/web"), "certificate", id, "builders")
	image := push("built/app/web")
	const refused = "the client certificate is not accepted"
	for _, c := range []struct {
		what   string
		cert   *tls.Certificate
		client string
	}{
		{"no certificate", nil, "the request has no credential"},
		{"another authority", newAuthority(t, "users").client(id, nil), refused},
		{"the authority of servers", g.servers.client(id, nil), refused},
		{"expired", g.users.client(id, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
		}), refused},
		{"for servers", g.users.client(id, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), refused},
	} {
		g.refuses(c.what, "", c.cert, image, http.StatusUnauthorized, c.client, "")
	}
	const not = "may not have images of this repository signed"
	g.refuses("another name", "", g.users.client("spiffe://corp.example/tester/1", nil), image, http.StatusForbidden, not, "it is for another certificate")
	g.refuses("another repository", "", good, push("acme/web"), http.StatusForbidden, not, "does not have the repository")
	// A token that is not right does not fall back to the certificate.
	g.refuses("a wrong token and a good certificate", g.issuer.token(map[string]any{"aud": "other"}), good, image, http.StatusUnauthorized, "the token is not accepted", "audience")
	// The command does it too, and an authority that is taken out is refused soon.
	cert, key := g.users.pair(&x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "corp.example", Path: "/builder/2"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	g.write("client.crt", cert)
	g.write("client.key", key)
	g.must("sign", "--url", g.url, "--ca", g.path("servers.crt"), "--certificate", g.path("client.crt"), "--key", g.path("client.key"), push("built/app/web").String())
	g.write("users.crt", newAuthority(t, "users").pem())
	within(t, patience, "certificates of the authority before are refused", func() error {
		if a := g.ask("", good, image); a.status != http.StatusUnauthorized {
			return fmt.Errorf("the answer is %d", a.status)
		}
		return nil
	})
}
