package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHostMustBeAnAddress(t *testing.T) {
	for _, host := range []string{"", "localhost:8086", "ftp://x", "http://", "http://[::1"} {
		if _, err := New(Options{Host: host}); err == nil {
			t.Errorf("New took the host %q", host)
		}
	}
}

func TestPathPrefixOfTheHostIsKept(t *testing.T) {
	var path string
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { path = r.URL.RequestURI() })
	for host, want := range map[string]string{s.URL: "/ping", s.URL + "/": "/ping", s.URL + "/edge/": "/edge/ping"} {
		if _, _, err := client(t, Options{Host: host}).Ping(context.Background()); err != nil || path != want {
			t.Errorf("host %q: path %q, %v; want %q", host, path, err, want)
		}
	}
}

func TestNamesInPathsAndQueriesAreEscaped(t *testing.T) {
	var uri string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		uri = r.URL.RequestURI()
		_, _ = io.WriteString(w, "{}")
	})
	c := client(t, Options{Host: s.URL})
	if _, err := c.Orgs(context.Background(), "a&b=c d", ""); err != nil || uri != "/api/v2/orgs?org=a%26b%3Dc+d" {
		t.Errorf("query %q, %v", uri, err)
	}
	if _, err := c.Org(context.Background(), "../x?y"); err != nil || !strings.HasPrefix(uri, "/api/v2/orgs/..%2Fx%3Fy") {
		t.Errorf("path %q, %v", uri, err)
	}
}

func TestRefusalsSayWhatTheServerSaid(t *testing.T) {
	tests := []struct {
		name, body, want string
		status           int
	}{
		{"the API's form", `{"code":"not found","message":"no such bucket"}`, "404 Not Found: no such bucket", 404},
		{"the v1 form", `{"error":"database not found: x"}`, "400 Bad Request: database not found: x", 400},
		{"both", `{"code":"invalid","message":"m","error":"e"}`, "400 Bad Request: m", 400},
		{"no body", "", "503 Service Unavailable", 503},
		{"a page", "<html>\n  bad   gateway </html>", "502 Bad Gateway: <html> bad gateway </html>", 502},
		{"a long page", strings.Repeat("ü", 400), "502 Bad Gateway: " + strings.Repeat("ü", 150) + "…", 502},
		{"other JSON", `{"detail":"x"}`, `500 Internal Server Error: {"detail":"x"}`, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := client(t, Options{Host: s.URL}).Users(context.Background(), "", "")
			var refused *Error
			if !errors.As(err, &refused) || refused.Status != tt.status || err.Error() != tt.want {
				t.Errorf("error = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "Sun, 01 Mar 2026 10:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 09:00:00 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", header, got, want)
		}
	}
}

func TestUnreachableServerIsNamed(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := client(t, Options{Host: s.URL}).Health(context.Background())
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || unreachable.Host != s.URL {
		t.Errorf("error = %v", err)
	}
}

func TestEndOfTheContextIsToldAsSuch(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if _, err := client(t, Options{Host: s.URL}).Health(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func TestUnknownCertificateIsTakenOnlyWhenAsked(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"pass"}`) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	if _, err := client(t, Options{Host: s.URL}).Health(context.Background()); err == nil {
		t.Error("the certificate was taken")
	}
	if h, err := client(t, Options{Host: s.URL, InsecureTLS: true}).Health(context.Background()); err != nil || h.Status != "pass" {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestSignInSendsTheSessionFromThenOn(t *testing.T) {
	var cookie string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v2/signin" {
			if user, password, _ := r.BasicAuth(); user != "ann" || password != "pw" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "influxdb-oss-session", Value: "abc"})
			w.WriteHeader(http.StatusNoContent)
			return
		}
		cookie = r.Header.Get("Cookie")
		_, _ = io.WriteString(w, `{}`)
	})
	c := client(t, Options{Host: s.URL})
	if err := c.SignIn(context.Background(), "ann", "wrong"); err == nil || strings.Contains(err.Error(), "wrong") || c.HasCredentials() {
		t.Errorf("wrong password: %v", err)
	}
	if err := c.SignIn(context.Background(), "ann", "pw"); err != nil || !c.HasCredentials() {
		t.Fatal(err)
	}
	if _, err := c.Users(context.Background(), "", ""); err != nil || cookie != "influxdb-oss-session=abc" {
		t.Errorf("cookie %q, %v", cookie, err)
	}
}

func TestDebugOutputShowsHeadsWithoutSecretsOrBodies(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "influxdb-oss-session", Value: "secret-cookie"})
		_, _ = io.WriteString(w, `{"auth":{"token":"secret-answer"}}`)
	})
	var out bytes.Buffer
	c := client(t, Options{Host: s.URL, Token: "secret-token", Debug: &out, Header: http.Header{"x-mine": {"shown"}}})
	if _, err := c.Setup(context.Background(), SetupRequest{Username: "ann", Password: "secret-password"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"> POST " + s.URL + "/api/v2/setup", "> Authorization: (not shown)", "> X-Mine: shown", "< 200 OK", "< Set-Cookie: (not shown)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("a secret is shown:\n%s", out.String())
	}
}

func TestAnswerThatIsNoJSONIsAnError(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	if _, err := client(t, Options{Host: s.URL}).Health(context.Background()); err == nil || !strings.Contains(err.Error(), "GET /health") {
		t.Errorf("error = %v", err)
	}
}

func TestPermissionsPrintAsTheInfluxCommandPrintsThem(t *testing.T) {
	for want, p := range map[string]Permission{
		"read:orgs/o/buckets/b": {"read", Resource{Type: "buckets", ID: "b", OrgID: "o"}},
		"write:orgs/o/tasks":    {"write", Resource{Type: "tasks", OrgID: "o"}},
		"read:/users":           {"read", Resource{Type: "users"}},
		"read:/orgs/o":          {"read", Resource{Type: "orgs", ID: "o"}},
	} {
		if got := p.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRedirectIsFollowedOnlyToTheSameServer(t *testing.T) {
	var bodies []string
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s went to another server", r.URL) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.Method+" "+r.URL.Path+" "+string(body))
		switch r.URL.Path {
		case "/api/v2/users":
			http.Redirect(w, r, "/moved", http.StatusPermanentRedirect)
		case "/moved":
			_, _ = io.WriteString(w, `{"id":"1","name":"ann"}`)
		case "/api/v2/orgs":
			http.Redirect(w, r, "/moved", http.StatusFound) // makes a GET of a POST
		case "/api/v2/setup":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	})
	c := client(t, Options{Host: s.URL})
	if u, err := c.CreateUser(context.Background(), User{Name: "ann"}); err != nil || u.ID != "1" || len(bodies) != 2 || bodies[1] != `POST /moved {"name":"ann"}` {
		t.Errorf("same server: %+v, %v, %q", u, err, bodies)
	}
	if _, err := c.CreateOrg(context.Background(), Org{Name: "o"}); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("a POST became a GET: %v", err)
	}
	if _, err := c.Setup(context.Background(), SetupRequest{Password: "secret-password"}); err == nil || !strings.Contains(err.Error(), other.URL) || strings.Contains(err.Error(), "secret") {
		t.Errorf("another server: %v", err)
	}
}
