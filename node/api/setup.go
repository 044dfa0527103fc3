package api

import (
	"net/http"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

func (h *Handler) setupAllowed(w http.ResponseWriter, r *request) error {
	allowed, err := h.Catalog.SetupAllowed()
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, map[string]bool{"allowed": allowed})
	return nil
}

// setup is POST /api/v2/setup. It needs no credentials, so a browser may send it only from the node's own page.
func (h *Handler) setup(w http.ResponseWriter, r *request) error {
	if err := h.origin.Check(r.Request); err != nil {
		return failf(catalog.Forbidden, "a page of another site may not set up this node")
	}
	var in struct {
		Username               string `json:"username"`
		Password               string `json:"password"`
		Org                    string `json:"org"`
		Bucket                 string `json:"bucket"`
		Token                  string `json:"token"`
		RetentionPeriodSeconds *int64 `json:"retentionPeriodSeconds"`
		// RetentionPeriodHrs holds nanoseconds, in spite of its name.
		RetentionPeriodHrs int64 `json:"retentionPeriodHrs"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	retention := time.Duration(in.RetentionPeriodHrs)
	if in.RetentionPeriodSeconds != nil {
		var err error
		if retention, err = seconds(*in.RetentionPeriodSeconds); err != nil {
			return err
		}
	}
	s, err := h.Catalog.Setup(catalog.SetupRequest{Username: in.Username, Password: in.Password, Org: in.Org, Bucket: in.Bucket,
		Token: in.Token, Retention: retention})
	if err != nil {
		return err
	}
	auth := authorizationOf(s.Authorization, s.Org.Name, s.User.Name)
	h.reply(w, r.Request, http.StatusCreated, map[string]any{"user": userOf(s.User), "bucket": bucketOf(s.Bucket), "org": orgOf(s.Org), "auth": auth})
	return nil
}

// signin is POST /api/v2/signin: it trades a user's name and password for a session.
func (h *Handler) signin(w http.ResponseWriter, r *request) error {
	name, password, ok := r.BasicAuth()
	if !ok {
		return errUnauthorized()
	}
	user, err := h.Catalog.VerifyPassword(name, password)
	if err != nil {
		return err
	}
	secret, expires, err := h.Catalog.CreateSession(user.ID)
	if err != nil {
		return err
	}
	http.SetCookie(w, sessionCookie(r, secret, expires))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// signout is POST /api/v2/signout.
func (h *Handler) signout(w http.ResponseWriter, r *request) error {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return errUnauthorized()
	}
	if err := h.Catalog.EndSession(cookie.Value); err != nil {
		return err
	}
	http.SetCookie(w, sessionCookie(r, "", time.Unix(1, 0)))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// sessionCookie has no end of its own: the session is lengthened by use, and the catalog knows when it ends. An end in the past
// removes the cookie.
func sessionCookie(r *request, secret string, expires time.Time) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil}
	if expires.Before(r.handler.Now()) {
		c.MaxAge = -1
	}
	return c
}
