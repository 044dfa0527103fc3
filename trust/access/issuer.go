package access

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Bounds of tokens and of what an issuer answers.
const (
	maxToken    = 16 << 10 // bytes of a JWT
	maxAnswer   = 1 << 20  // bytes of an answer of an issuer, and of a file with keys
	maxSubject  = 1 << 10  // bytes
	leeway      = 30 * time.Second
	fetchWithin = 5 * time.Second
)

// algorithms are those that are taken: signatures by RSA with PKCS #1 v1.5 and by ECDSA. None and HMAC are not among them, so that neither an
// unsigned token nor one that is "signed" with a public key passes, whatever keys an issuer has.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

// Issuer verifies the OIDC tokens of one issuer.
type Issuer struct {
	URL      string // exactly as in the token's iss
	Audience string // must be in the token's aud
	KeysFile string // a JWKS file that is used instead of asking the issuer; read again when it changed
	CAFile   string // the CAs that the issuer's certificate may be from; "" for those of the system

	Now func() time.Time

	remote *remoteKeys
	file   *followed[[]jose.JSONWebKey]
	once   sync.Once // gives file its path
}

// NewIssuer returns an issuer. Fields are set before the first Verify.
func NewIssuer(url, audience string) *Issuer {
	i := &Issuer{URL: url, Audience: audience, Now: time.Now}
	i.remote = &remoteKeys{issuer: i}
	i.file = &followed[[]jose.JSONWebKey]{limit: maxAnswer, parse: parseKeys}
	return i
}

// checkURL says whether an issuer can be asked: over TLS, or on this machine.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(text) > maxSubject:
		return errors.New("a URL with a host and perhaps a path is wanted")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return errors.New("its scheme must be https, or everybody on the way could make keys")
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// claimedIssuer is the issuer that a token says it is from. Nothing of it is verified.
func claimedIssuer(token string) (string, error) {
	payload, err := split(token)
	if err != nil {
		return "", err
	}
	claims, err := parseClaims(payload)
	if err != nil {
		return "", err
	}
	return textClaim(claims, "iss"), nil
}

// split checks the form of a JWT and returns its payload, not verified.
func split(token string) ([]byte, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("the token has %d bytes, and at most %d are read", len(token), maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("the token is no signed JWT: it has %d parts, and three are wanted", len(parts))
	}
	header, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil {
		return nil, errors.New("the token is no JWT: its header is not base64url")
	}
	fields, err := parseClaims(header)
	if err != nil {
		return nil, fmt.Errorf("the token's header: %w", err)
	}
	// What a critical field asks for would have to be understood (RFC 7515 §4.1.11). None is.
	if _, ok := fields["crit"]; ok {
		return nil, errors.New("the token's header has critical fields, and none is known")
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("the token is no JWT: its claims are not base64url")
	}
	return payload, nil
}

// parseClaims reads one JSON object. A name that is there twice is an error, for readers differ in which one they take.
func parseClaims(text []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	notObject := errors.New("it is not one JSON object")
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, notObject
	}
	claims := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, notObject
		}
		if _, twice := claims[name]; twice {
			return nil, fmt.Errorf("it has %.40q twice", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, notObject
		}
		claims[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, notObject
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, notObject
	}
	return claims, nil
}

// textClaim is the value of a claim that is a string, or "".
func textClaim(claims map[string]json.RawMessage, name string) string {
	var text string
	if json.Unmarshal(claims[name], &text) != nil {
		return ""
	}
	return text
}

// Verify identifies the bearer of a token. The error is an *Error.
func (i *Issuer) Verify(ctx context.Context, token string) (Identity, error) {
	const refused = "the token is not accepted"
	payload, err := split(token)
	if err != nil {
		return Identity{}, unauthenticated(refused, "%w", err)
	}
	signature := &signature{issuer: i}
	verifier := oidc.NewVerifier(i.URL, signature, &oidc.Config{
		ClientID:             i.Audience,
		SupportedSigningAlgs: algorithmNames(),
		SkipExpiryCheck:      true, // checkTimes is stricter: exp must be there, and nbf has the same leeway
		Now:                  i.Now,
	})
	if _, err := verifier.Verify(ctx, token); err != nil {
		if signature.err != nil { // the library keeps the text only
			err = signature.err
		}
		var e *Error
		if errors.As(err, &e) {
			return Identity{}, e
		}
		return Identity{}, unauthenticated(refused, "a token of %s: %w", i.URL, err)
	}
	claims, err := parseClaims(payload)
	if err == nil {
		err = i.checkClaims(claims)
	}
	if err != nil {
		return Identity{}, unauthenticated(refused, "a token of %s: %w", i.URL, err)
	}
	if client, err := i.checkTimes(claims); err != nil {
		return Identity{}, unauthenticated(client, "a token of %s: %w", i.URL, err)
	}
	id := Identity{Kind: OIDC, Issuer: i.URL, Name: i.URL + "#" + textClaim(claims, "sub"), Claims: make(map[string]string)}
	for name, value := range claims {
		var text string
		if value[0] == '"' && json.Unmarshal(value, &text) == nil {
			id.Claims[name] = text
		}
	}
	id.Credential = id.Claims["jti"]
	return id, nil
}

func algorithmNames() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return names
}

// checkClaims repeats what the library checked of issuer and audience, for it takes names of claims without regard to case.
func (i *Issuer) checkClaims(claims map[string]json.RawMessage) error {
	if iss := textClaim(claims, "iss"); iss != i.URL {
		return fmt.Errorf("the issuer is %.200q", iss)
	}
	var several []string
	if aud := textClaim(claims, "aud"); aud != i.Audience && (json.Unmarshal(claims["aud"], &several) != nil || !slices.Contains(several, i.Audience)) {
		return fmt.Errorf("the audience is %.200s, and %q is wanted", claims["aud"], i.Audience)
	}
	sub := textClaim(claims, "sub")
	if sub == "" || len(sub) > maxSubject || strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("the subject is %.100q: 1 to %d bytes without control characters are wanted", sub, maxSubject)
	}
	return nil
}

// checkTimes says what the client is told, and why.
func (i *Issuer) checkTimes(claims map[string]json.RawMessage) (client string, err error) {
	now := i.Now()
	expires, ok := timeClaim(claims, "exp")
	if !ok {
		return "the token has no time at which it expires", errors.New("exp is missing or no time")
	}
	if !now.Before(expires.Add(leeway)) {
		return "the token has expired", fmt.Errorf("it expired at %s", expires.UTC().Format(time.RFC3339))
	}
	for _, name := range []string{"nbf", "iat"} {
		if _, there := claims[name]; !there {
			continue
		}
		from, ok := timeClaim(claims, name)
		if !ok {
			return "the token has a time that is none", fmt.Errorf("%s is no time", name)
		}
		if now.Add(leeway).Before(from) {
			return "the token is not valid yet", fmt.Errorf("%s is %s, which is to come: one of the two clocks is wrong", name, from.UTC().Format(time.RFC3339))
		}
	}
	return "", nil
}

// timeClaim is a claim in seconds since the epoch (RFC 7519 §2, NumericDate).
func timeClaim(claims map[string]json.RawMessage, name string) (time.Time, bool) {
	var seconds float64
	value := claims[name]
	if len(value) == 0 || value[0] == 'n' || json.Unmarshal(value, &seconds) != nil || seconds < 0 || seconds > math.MaxUint32*64 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// signature is the check of one token's signature. It keeps the error, of which the library only passes on the text.
type signature struct {
	issuer *Issuer
	err    error
}

// VerifySignature implements oidc.KeySet.
func (s *signature) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := s.issuer.verifySignature(ctx, token)
	s.err = err
	return payload, err
}

func (i *Issuer) verifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, err
	}
	header := jws.Signatures[0].Header
	keys, err := i.keys(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("the signature is by none of the issuer's %d keys with the id %.100q", len(keys), header.KeyID)
}

// keys are those that a token with a key id may be signed with.
func (i *Issuer) keys(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	if i.KeysFile == "" {
		return i.remote.get(ctx, id)
	}
	i.once.Do(func() { i.file.path = i.KeysFile })
	keys, err := i.file.get()
	if err != nil {
		return nil, unavailable("reading the keys of the issuer %s from %s: %w", i.URL, i.KeysFile, err)
	}
	if keys = withID(keys, id); len(keys) == 0 {
		return nil, fmt.Errorf("%s has no key with the id %.100q", i.KeysFile, id)
	}
	return keys, nil
}

// discover finds where the issuer has its keys (OpenID Connect Discovery §4).
func (i *Issuer) discover(ctx context.Context, client *http.Client) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), i.URL)
	if err != nil {
		return "", err
	}
	var document struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return "", err
	}
	if err := checkURL(strings.SplitN(document.KeysURL, "?", 2)[0]); err != nil {
		return "", fmt.Errorf("its jwks_uri %.200q: %w", document.KeysURL, err)
	}
	return document.KeysURL, nil
}

// client asks the issuer, with bounds on time and size, and follows it to no place without TLS.
func (i *Issuer) client() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // it is asked every ten minutes
	if i.CAFile != "" {
		text, _, err := readBounded(i.CAFile, maxCAFile, nil)
		if err != nil {
			return nil, err
		}
		pool, err := parsePool(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.CAFile, err)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Timeout:   fetchWithin,
		Transport: bounded{transport},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("it redirects more than three times")
			}
			return checkURL((&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}).String())
		},
	}, nil
}

// bounded lets no answer be longer than maxAnswer. The library reads whole answers.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}
