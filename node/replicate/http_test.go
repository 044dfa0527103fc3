package replicate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
)

const testSecret = "s3cr3t-t0ken"

// validate asks a new set to validate a spec.
func validate(t *testing.T, spec Spec) error {
	t.Helper()
	set, err := NewSet(Options{Dir: t.TempDir(), Version: "1.2.3", Journal: func(id.ID) (journal.Log, error) { return newMemoryLog(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}()
	return set.Validate(context.Background(), spec)
}

func TestValidateSendsAnEmptyWriteToTheBucket(t *testing.T) {
	tests := []struct {
		name   string
		remote Remote
		bucket string
		uri    string
		auth   string
	}{
		{"2.x", Remote{Token: testSecret, OrgID: "00000000000000aa", Org: "name"}, "000000000000000b", "/api/v2/write?bucket=000000000000000b&org=00000000000000aa&precision=ns", "Token " + testSecret},
		{"organisation by name", Remote{Token: testSecret, Org: "my org"}, "b", "/api/v2/write?bucket=b&org=my+org&precision=ns", "Token " + testSecret},
		{"path prefix", Remote{URL: "/proxied/influx/", Token: testSecret}, "b", "/proxied/influx/api/v2/write?bucket=b&org=&precision=ns", "Token " + testSecret},
		{"1.x", Remote{Username: "user", Password: "pass word"}, "db/rp", "/api/v2/write?bucket=db%2Frp&org=&precision=ns", "Token user:pass word"},
		{"no token", Remote{}, "b", "/api/v2/write?bucket=b&org=&precision=ns", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got *http.Request
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r
				w.WriteHeader(http.StatusNoContent)
			}))
			defer server.Close()
			test.remote.URL = server.URL + test.remote.URL
			if err := validate(t, Spec{Remote: test.remote, RemoteBucketName: test.bucket}); err != nil {
				t.Fatal(err)
			}
			if got.Method != "POST" || got.RequestURI != test.uri || got.Header.Get("Authorization") != test.auth || got.ContentLength != 0 || got.Header.Get("Content-Encoding") != "" {
				t.Errorf("got %s %s, %v", got.Method, got.RequestURI, got.Header)
			}
			if agent := got.UserAgent(); !strings.HasPrefix(agent, "holdfast-replication/1.2.3 (") {
				t.Errorf("User-Agent %q", agent)
			}
		})
	}
}

func TestValidateSaysTheCause(t *testing.T) {
	tests := []struct {
		code int
		body string
		want string
	}{
		{200, "", ""},
		{204, "", ""},
		{401, `{"code":"unauthorized","message":"unauthorized access"}`, "401 Unauthorized: unauthorized access"},
		{404, `{"code":"not found","message":"bucket \"b\" not found"}`, `404 Not Found: bucket "b" not found`},
		{400, `{"error":"database not found: \"db\""}`, `400 Bad Request: database not found: "db"`},
		{502, "<html>Bad Gateway</html>", "502 Bad Gateway: <html>Bad Gateway</html>"},
		{503, "", "503 Service Unavailable"},
	}
	for _, test := range tests {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.code)
			_, _ = io.WriteString(w, test.body) // the client reports what it got
		}))
		err := validate(t, Spec{Remote: Remote{URL: server.URL, Token: testSecret}, RemoteBucketName: "b"})
		server.Close()
		if got := fmt.Sprint(err); test.want != "" && got != test.want || test.want == "" && err != nil {
			t.Errorf("%d: got %q, want %q", test.code, got, test.want)
		}
		err = validate(t, Spec{Remote: Remote{URL: server.URL, Token: testSecret}, RemoteBucketName: "b"})
		if err == nil || strings.Contains(err.Error(), testSecret) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("a server that is gone: %v", err)
		}
	}
}

func TestTokenIsNotCarriedToAnotherHost(t *testing.T) {
	var stolen atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer other.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.RequestURI, code)
		}))
		err := validate(t, Spec{Remote: Remote{URL: server.URL, Token: testSecret}, RemoteBucketName: "b"})
		server.Close()
		if err == nil || !strings.Contains(err.Error(), "redirects") {
			t.Errorf("%d: %v", code, err)
		}
	}
	if n := stolen.Load(); n != 0 {
		t.Errorf("%d requests reached the other host", n)
	}
}

func TestRedirectWithinAHostKeepsTheBodyOrIsRefused(t *testing.T) {
	for code, kept := range map[int]bool{301: false, 302: false, 303: false, 307: true, 308: true} {
		var body atomic.Value
		body.Store("")
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/new") {
				http.Redirect(w, r, "/new"+r.RequestURI, code)
				return
			}
			var b bytes.Buffer
			if _, err := b.ReadFrom(r.Body); err != nil {
				t.Error(err)
			}
			body.Store(r.Method + b.String())
			w.WriteHeader(204)
		}))
		target := newTestTarget(t, Spec{Remote: Remote{URL: server.URL, Token: testSecret}, RemoteBucketName: "b", GzipLevel: -1})
		a := target.Send(context.Background(), []byte("m a=1i 1\n"))
		if got := body.Load(); kept != (a.Class == Accepted) || kept && got != "POSTm a=1i 1\n" || !kept && a.Class != Denied {
			t.Errorf("%d: answer %+v, body %q", code, a, got)
		}
		closeTarget(t, target)
		server.Close()
	}
}

func newTestTarget(t *testing.T, spec Spec) *httpTarget {
	t.Helper()
	transport, err := newTransport(spec.Remote, nil)
	if err != nil {
		t.Fatal(err)
	}
	return newHTTPTarget(spec.withDefaults(), transport, "test", transport.CloseIdleConnections)
}

func closeTarget(t *testing.T, h *httpTarget) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestServerThatAnswersBeforeItReadsDoesNotDisturbTheNextRequest(t *testing.T) {
	var n atomic.Int32
	var bad atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 1 {
			w.WriteHeader(http.StatusRequestEntityTooLarge) // the body is never read
			return
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(r.Body); err != nil || strings.Trim(b.String(), "b") != "" {
			bad.Add(1)
		}
		w.WriteHeader(204)
	}))
	defer server.Close()
	target := newTestTarget(t, Spec{Remote: Remote{URL: server.URL}, RemoteBucketName: "b", GzipLevel: -1})
	defer closeTarget(t, target)
	buffer := make([]byte, 4<<20)
	for range 10 {
		fill(buffer, 'a')
		target.Send(context.Background(), buffer)
		fill(buffer, 'b') // the buffer is the sender's again
		if a := target.Send(context.Background(), buffer); a.Class != Accepted && a.Class != Unreachable {
			t.Errorf("answer %+v", a)
		}
	}
	if bad.Load() > 0 {
		t.Errorf("%d bodies were mixed", bad.Load())
	}
}

func fill(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}

// W9: EDR knows no authority of its own, no client certificate and no proxy.
func TestW9OwnAuthorityAndClientCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := writeCertificate(t, dir)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	server.StartTLS()
	defer server.Close()
	tests := []struct {
		name string
		set  func(*Remote)
		want string // in the error, "" for none
	}{
		{"both", func(r *Remote) { r.CAFile, r.CertFile, r.KeyFile = cert, cert, key }, ""},
		{"insecure with certificate", func(r *Remote) { r.InsecureTLS, r.CertFile, r.KeyFile = true, cert, key }, ""},
		{"no authority", func(r *Remote) { r.CertFile, r.KeyFile = cert, key }, "certificate of the remote is not trusted"},
		{"no certificate", func(r *Remote) { r.CAFile = cert }, "401"},
		{"certificate without key", func(r *Remote) { r.CertFile = cert }, "needs both"},
		{"authority missing", func(r *Remote) { r.CAFile = filepath.Join(dir, "none.pem") }, "none.pem"},
		{"authority empty", func(r *Remote) { r.CAFile = key }, "holds no PEM certificate"},
	}
	for _, test := range tests {
		remote := Remote{URL: server.URL}
		test.set(&remote)
		err := validate(t, Spec{Remote: remote, RemoteBucketName: "b"})
		if test.want == "" && err != nil || test.want != "" && !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// writeCertificate makes a certificate that is its own authority, for 127.0.0.1.
func writeCertificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: loopback(),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestW9Proxy(t *testing.T) {
	var asked atomic.Value
	asked.Store("")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.RequestURI)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer proxy.Close()
	remote := Remote{URL: "http://influx.example:8086", Proxy: proxy.URL}
	if err := validate(t, Spec{Remote: remote, RemoteBucketName: "b"}); err != nil {
		t.Fatal(err)
	}
	if got := asked.Load(); got != "POST http://influx.example:8086/api/v2/write?bucket=b&org=&precision=ns" {
		t.Errorf("the proxy was asked for %q", got)
	}
}

func TestSecretsReachNoLogStatusOrFile(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	set, err := NewSet(Options{
		Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Journal: func(id.ID) (journal.Log, error) { return newMemoryLog(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	remote := Remote{URL: "http://user:" + testSecret + "@127.0.0.1:1/x?token=" + testSecret, Token: testSecret, Password: testSecret, Proxy: "http://p:" + testSecret + "@127.0.0.1:1"}
	spec := Spec{ID: 1, Bucket: 2, Remote: remote, RemoteBucketName: "b"}
	if err := set.Add(spec); err != nil {
		t.Fatal(err)
	}
	failed := set.Validate(context.Background(), spec)
	status, err := set.Status(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&log, nil)).Info("remote", "remote", remote, "spec", fmt.Sprintf("%v %+v %#v", remote, remote, remote))
	for name, text := range map[string]string{"log": log.String(), "error": fmt.Sprint(failed), "status": fmt.Sprintf("%+v", status)} {
		if strings.Contains(text, testSecret) {
			t.Errorf("the secret is in the %s: %s", name, text)
		}
	}
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(testSecret)) {
			t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
