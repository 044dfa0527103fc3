package api

import (
	"net/http"
	"strings"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// cookieName is the session cookie's name, as InfluxDB 2's command expects it.
const cookieName = "influxdb-oss-session"

func errUnauthorized() error { return failf(catalog.Unauthorized, "unauthorized access") }

// authenticate returns who a request to /api/v2 is from: the owner of the token in the Authorization header, or of the
// session in the cookie.
func (h *Handler) authenticate(r *http.Request) (*catalog.Principal, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Token") && !strings.EqualFold(scheme, "Bearer") {
			return nil, errUnauthorized()
		}
		return h.Catalog.Authenticate(strings.TrimSpace(token))
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil, errUnauthorized()
	}
	// A browser sends the cookie whichever page asks.
	if err := h.origin.Check(r); err != nil {
		return nil, failf(catalog.Forbidden, "a page of another site may not use this session")
	}
	return h.Catalog.AuthenticateSession(cookie.Value)
}

// authenticateLegacy returns who a request to the 1.x API is from: the parameters u and p, else the Authorization header as
// Basic, Token or Bearer. `Token user:secret` is the same as Basic.
func (h *Handler) authenticateLegacy(r *http.Request) (*catalog.Principal, error) {
	p, err := h.legacyPrincipal(r)
	if catalog.CodeOf(err) == catalog.Unauthorized {
		return nil, failf(catalog.Unauthorized, "Unauthorized")
	}
	return p, err
}

func (h *Handler) legacyPrincipal(r *http.Request) (*catalog.Principal, error) {
	q := r.URL.Query()
	if u, p := q.Get("u"), q.Get("p"); u != "" && p != "" {
		return h.Catalog.AuthenticateLegacy(u, p)
	}
	if u, p, ok := r.BasicAuth(); ok {
		return h.Catalog.AuthenticateLegacy(u, p)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	switch {
	case scheme == "Token":
		if u, p, split := strings.Cut(token, ":"); split {
			return h.Catalog.AuthenticateLegacy(u, p)
		}
		return h.Catalog.Authenticate(token)
	case strings.EqualFold(scheme, "Bearer"):
		return h.Catalog.Authenticate(token)
	}
	return nil, errUnauthorized()
}
