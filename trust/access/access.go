// Package access says who asks the signing endpoint, and what they may have signed.
//
// An identity is an OIDC token of an issuer that is named in the rules, a static token of the store Tokens, or a client certificate from a
// CA that is there for nothing else. Rules, a YAML file, grant identities the repositories in which images may be signed for them; what no
// rule grants is refused. Control is all of it for an HTTP request, with limits on how often one may ask.
//
// It promises: a request with a credential that does not verify never falls back to another one. What a client or a claim says is never read as a
// pattern. A token that was rotated or revoked, and a CA that was removed, is refused within a second, by every process that reads the same
// files. What cannot be checked now is told apart from what is refused. Texts for clients name no rule, and no text holds a secret.
//
// It does not sign, does not log, and keeps no record: an Error and a Decision have the text for the log. It does not make certificates,
// and trusts no header that a proxy sets: TLS must end in this process for certificates to count.
package access

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kinds of identity.
const (
	OIDC        = "oidc"
	Token       = "token"
	Certificate = "certificate"
)

// Identity is who asks, as a credential proved.
type Identity struct {
	Kind string // OIDC, Token or Certificate
	// Name is ISSUER#SUBJECT, the name of a token, or the first name of a certificate.
	Name string
	// Credential tells credentials of one name apart: the id of a token's secret, the serial number of a certificate.
	Credential string
	Issuer     string            // of OIDC
	Claims     map[string]string // of OIDC: the claims that are strings
	Names      []string          // of a Certificate: all its names
}

// Error is why a request is not served. Its Error is for the log and may name rules; Client is what the client is told.
type Error struct {
	Status     int           // the HTTP status: 401, 403, 429 or 503
	Client     string        // a sentence
	RetryAfter time.Duration // with 429 and 503
	Cause      error
}

// Error is the text for the log.
func (e *Error) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// unauthenticated is for a credential that is none, or is not right.
func unauthenticated(client string, format string, args ...any) *Error {
	return &Error{Status: http.StatusUnauthorized, Client: client, Cause: fmt.Errorf(format, args...)}
}

// unavailable is for a credential that cannot be checked now.
func unavailable(format string, args ...any) *Error {
	return &Error{
		Status:     http.StatusServiceUnavailable,
		Client:     "the credential cannot be checked at the moment; it may be right: try again",
		RetryAfter: minRefetch,
		Cause:      fmt.Errorf(format, args...),
	}
}

// Control identifies requests and decides on them. Fields that are nil are ways in that are closed.
type Control struct {
	Rules        *RulesFile // required
	Tokens       *Tokens
	Certificates *Certificates
	Limits       *Limits
}

// Identify says who sends a request. The error is an *Error.
//
// The credential is the header Authorization with the scheme Bearer, or without that header the certificate of the connection.
func (c *Control) Identify(r *http.Request) (Identity, error) {
	id, err := c.identify(r)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = unavailable("%w", err)
		}
		return Identity{}, c.Limits.failed(r.RemoteAddr, e)
	}
	if err := c.Limits.allow(id); err != nil {
		return Identity{}, err
	}
	return id, nil
}

func (c *Control) identify(r *http.Request) (Identity, error) {
	values := r.Header.Values("Authorization")
	switch {
	case len(values) == 1:
		return c.bearer(r, values[0])
	case len(values) > 1:
		return Identity{}, unauthenticated("the request has more than one header Authorization", "the request has %d headers Authorization", len(values))
	case c.Certificates != nil && presented(r.TLS):
		return c.Certificates.Identify(r.TLS)
	}
	return Identity{}, unauthenticated("the request has no credential: send the header Authorization: Bearer TOKEN, or a client certificate", "the request has no credential")
}

func presented(state *tls.ConnectionState) bool {
	return state != nil && len(state.PeerCertificates) > 0
}

func (c *Control) bearer(r *http.Request, header string) (Identity, error) {
	secret, ok := cutScheme(header)
	switch {
	case !ok:
		return Identity{}, unauthenticated("the header Authorization must be Bearer TOKEN", "the header Authorization is not Bearer TOKEN")
	case isSecret(secret):
		if c.Tokens == nil {
			return Identity{}, unauthenticated("the token is not known", "a static token was sent, and static tokens are not in use")
		}
		return c.Tokens.Check(secret)
	}
	return c.Rules.Current().verify(r.Context(), secret)
}

// cutScheme takes the scheme, which has no case (RFC 9110 §11.1), from the header's value.
func cutScheme(header string) (string, bool) {
	const scheme = "bearer "
	if len(header) <= len(scheme) || !equalFold(header[:len(scheme)], scheme) {
		return "", false
	}
	return header[len(scheme):], true
}

// equalFold compares ASCII without case; lower is in lower case.
func equalFold(s, lower string) bool {
	for i := range len(lower) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Decide says whether an identity may have images of a repository signed.
func (c *Control) Decide(id Identity, repository string) Decision {
	return c.Rules.Current().Decide(id, repository)
}
