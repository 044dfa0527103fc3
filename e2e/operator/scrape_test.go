//go:build e2e

package operator_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// 118: credentials for the generated Prometheus input. An application serves metrics to those who show them; the real Telegraf scrapes it
// with the files and variables that its container has.

// serveMetrics serves one metric to requests that are allowed, and returns its server, not yet started.
func serveMetrics(t *testing.T, allowed func(*http.Request) bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r) {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "# TYPE answer gauge\nanswer 42\n")
	}))
	t.Cleanup(s.Close)
	return s
}

func port(t *testing.T, s *httptest.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func secret(t *testing.T, namespace, name string, data map[string]string) {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}
	if _, err := cluster.Client().CoreV1().Secrets(namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// scrapes creates a pod with a port and annotations, and says whether its sidecar gets the metric.
func scrapes(t *testing.T, namespace, name, port string, annotations ...string) bool {
	t.Helper()
	c := create(t, namespace, annotated(name, append(annotations, "port", port)...))
	accepted(t, c.Pod)
	for key, text := range c.Annotations {
		if strings.Contains(text, "s3cret") {
			t.Errorf("the annotation %s holds a credential: %s", key, text)
		}
	}
	return strings.Contains(gathered(t, c, "telegraf"), "answer,")
}

// Was: there was no such thing, and the generated input could not be switched off either.
func TestWish118Scrape(t *testing.T) {
	in := cluster.Namespace(t, nil)
	secret(t, in, "login", map[string]string{"username": "scraper", "password": `s3cret "quoted" $HOME`})
	secret(t, in, "token", map[string]string{"token": "s3cret-token", "other.key": "s3cret-other"})
	basic := serveMetrics(t, func(r *http.Request) bool {
		user, password, ok := r.BasicAuth()
		return ok && user == "scraper" && password == `s3cret "quoted" $HOME`
	})
	bearer := serveMetrics(t, func(r *http.Request) bool {
		got := r.Header.Get("Authorization")
		return got == "Bearer s3cret-token" || got == "Bearer s3cret-other"
	})
	basic.Start()
	bearer.Start()
	for i, r := range []struct {
		name        string
		server      *httptest.Server
		annotations []string
		want        bool
	}{
		{"without a login", basic, nil, false},
		{"by a login", basic, []string{"holdfast.dev/scrape-basic-auth-secret", "login"}, true},
		{"without a token", bearer, nil, false},
		{"by a token", bearer, []string{"holdfast.dev/scrape-bearer-token-secret", "token"}, true},
		{"by a token of another key", bearer, []string{"holdfast.dev/scrape-bearer-token-secret", "token/other.key"}, true},
	} {
		t.Run(r.name, func(t *testing.T) {
			if got := scrapes(t, in, fmt.Sprintf("p-%d", i), port(t, r.server), r.annotations...); got != r.want {
				t.Errorf("scraped: %v", got)
			}
		})
	}
}

func TestWish118ScrapeOverTLS(t *testing.T) {
	in := cluster.Namespace(t, nil)
	s := serveMetrics(t, func(r *http.Request) bool { return true })
	s.StartTLS()
	mutual := serveMetrics(t, func(r *http.Request) bool { return len(r.TLS.PeerCertificates) > 0 })
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, ClientCAs: pool}
	mutual.StartTLS()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	secret(t, in, "tls", map[string]string{"ca.crt": ca, "tls.crt": ca, "tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))})
	const trust = "holdfast.dev/scrape-tls-secret"
	for i, r := range []struct {
		name        string
		server      *httptest.Server
		annotations []string
		want        bool
	}{
		{"without trust", s, nil, false},
		{"with trust", s, []string{trust, "tls"}, true},
		{"without checking", s, []string{"holdfast.dev/scrape-tls-skip-verify", "true"}, true},
		{"by another name that the certificate has", s, []string{trust, "tls", "holdfast.dev/scrape-tls-server-name", "example.com"}, true},
		{"by another name that it has not", s, []string{trust, "tls", "holdfast.dev/scrape-tls-server-name", "example.org"}, false},
		{"without the certificate that is asked for", mutual, []string{trust, "tls"}, false},
		{"with it", mutual, []string{trust, "tls", "holdfast.dev/scrape-tls-client", "true"}, true},
	} {
		t.Run(r.name, func(t *testing.T) {
			if got := scrapes(t, in, fmt.Sprintf("p-%d", i), port(t, r.server), append(r.annotations, "scheme", "https")...); got != r.want {
				t.Errorf("scraped: %v", got)
			}
		})
	}
}

// What is wrong with the credentials' annotations is said like any other mistake.
func TestWish118MistakesInCredentials(t *testing.T) {
	rows(t, []row{
		{name: "no name of a Secret", annotations: []string{"port", "1", "holdfast.dev/scrape-basic-auth-secret", "My Login"}, refusal: `"My Login" is not the name of an object`},
		{name: "client without a Secret", annotations: []string{"port", "1", "scheme", "https", "holdfast.dev/scrape-tls-client", "true"}, refusal: "needs scrape-tls-secret"},
		{name: "TLS with scheme http", annotations: []string{"port", "1", "holdfast.dev/scrape-tls-secret", "tls"}, warning: "is not heeded with scheme http"},
		{name: "neither true nor false", annotations: []string{"port", "1", "scheme", "https", "holdfast.dev/scrape-tls-skip-verify", "yes"}, refusal: `"yes" is neither "true" nor "false"`},
	})
}
