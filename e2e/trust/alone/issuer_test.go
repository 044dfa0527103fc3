//go:build e2e

package alone_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an OIDC issuer: it says where its keys are, has one for RSA and one for ECDSA, and signs tokens.
type issuer struct {
	testing.TB
	url string
	ca  []byte // PEM
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

// Ids of an issuer's keys.
const rsaID, ecID = "rsa-1", "ec-1"

func startIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{TB: t}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	answer := func(body any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(body) // who asked notices
		}
	}
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	i.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	mux.Handle("GET /.well-known/openid-configuration", answer(map[string]any{"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/authorize",
		"token_endpoint": i.url + "/token", "response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"}}))
	mux.Handle("GET /keys", answer(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &i.rsa.PublicKey, KeyID: rsaID, Algorithm: "RS256", Use: "sig"}, {Key: &i.ec.PublicKey, KeyID: ecID, Algorithm: "ES256", Use: "sig"}}}))
	return i
}

// audience is that of the service.
const audience = "holdfast-trust"

// claims are those of a run on the main branch of acme/web, changed; without those that are changed to nil.
func (i *issuer) claims(changes map[string]any) map[string]any {
	now := time.Now().Unix()
	all := map[string]any{"iss": i.url, "aud": audience, "sub": "repo:acme/web", "iat": now, "nbf": now, "exp": now + 300, "repository": "acme/web", "ref": "refs/heads/main"}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// sign makes a token.
func (i *issuer) sign(algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	i.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		i.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		i.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		i.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		i.Fatal(err)
	}
	return token
}

// token is a good one but for its claims.
func (i *issuer) token(changes map[string]any) string {
	i.Helper()
	return i.sign(jose.ES256, i.ec, ecID, i.claims(changes))
}

// unsigned is a token whose algorithm is none.
func (i *issuer) unsigned() string {
	i.Helper()
	text, err := json.Marshal(i.claims(nil))
	if err != nil {
		i.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(text) + "."
}

// confused is a token that is "signed" by HMAC with the public key, which whoever takes the algorithm from the token would verify.
func (i *issuer) confused() string {
	i.Helper()
	public, err := x509.MarshalPKIXPublicKey(&i.rsa.PublicKey)
	if err != nil {
		i.Fatal(err)
	}
	return i.sign(jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), rsaID, i.claims(nil))
}

// altered is a good token with another claim in it.
func (i *issuer) altered() string {
	i.Helper()
	good, other := strings.Split(i.token(nil), "."), strings.Split(i.token(map[string]any{"repository": "acme/billing"}), ".")
	return good[0] + "." + other[1] + "." + good[2]
}
