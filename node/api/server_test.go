package api

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve runs a server until the test ends, or until stop, which returns what Serve returned.
func serve(t *testing.T, h http.Handler, o ServerOptions) (s *Server, stop func() error) {
	t.Helper()
	o.Address = "127.0.0.1:0"
	s, err := NewServer(h, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	var ended error
	stopped := false
	stop = func() error {
		if !stopped {
			cancel()
			ended, stopped = <-done, true
		}
		return ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return s, stop
}

func TestServerAnswersUntilItIsStopped(t *testing.T) {
	n := start(t)
	s, stop := serve(t, n, ServerOptions{})
	r, err := http.Get(s.URL() + "/ping")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil || r.StatusCode != 204 {
		t.Errorf("status %d, %v", r.StatusCode, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if r, err := http.Get(s.URL() + "/ping"); err == nil {
		t.Error("answered after the end", r.Body.Close())
	}
}

func TestRequestsInProgressFinishAtTheEnd(t *testing.T) {
	n := start(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	n.query = func(w http.ResponseWriter, _ *Query) error {
		close(began)
		<-goOn
		_, err := io.WriteString(w, "done")
		return err
	}
	s, stop := serve(t, n, ServerOptions{Grace: time.Minute})
	answer := make(chan string, 1)
	go func() {
		r, err := http.Get(s.URL() + "/query?q=x&u=x&p=" + operator)
		if err != nil {
			answer <- err.Error()
			return
		}
		body, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		answer <- string(body)
	}()
	<-began
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	close(goOn)
	if got := <-answer; got != "done" {
		t.Errorf("answer %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRequestsAreCutAfterTheGrace(t *testing.T) {
	began := make(chan struct{})
	cut := make(chan error, 1)
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		cut <- r.Context().Err()
	})
	s, stop := serve(t, h, ServerOptions{Grace: time.Millisecond})
	go func() {
		if r, err := http.Get(s.URL()); err == nil {
			_ = r.Body.Close()
		}
	}()
	<-began
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-cut; err == nil {
		t.Error("the request was not cut")
	}
}

func TestServerSpeaksTLSWithTwoFiles(t *testing.T) {
	cert, key, pool := certificate(t)
	s, _ := serve(t, start(t), ServerOptions{CertFile: cert, KeyFile: key})
	if !strings.HasPrefix(s.URL(), "https://") {
		t.Fatalf("address %s", s.URL())
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer c.CloseIdleConnections()
	r, err := c.Get(s.URL() + "/ping")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil || r.StatusCode != 204 {
		t.Errorf("status %d, %v", r.StatusCode, err)
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}}}
	if r, err := old.Get(s.URL() + "/ping"); err == nil {
		t.Error("TLS 1.1 is spoken", r.Body.Close())
	}
}

func TestServerSaysWhyItCannotStart(t *testing.T) {
	if _, err := NewServer(nil, ServerOptions{Address: "127.0.0.1:0", CertFile: "missing.pem", KeyFile: "missing.key"}); err == nil ||
		!strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("error %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewServer(nil, ServerOptions{Address: l.Addr().String()}); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("error %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestRefusalOfALongBodyReachesTheClient(t *testing.T) {
	n := startWith(t, func(o *Options) { o.Limits.WriteBytes = 1 << 20 })
	s, _ := serve(t, n, ServerOptions{})
	r, err := http.NewRequest("POST", s.URL()+v2, io.LimitReader(zeros{}, 2<<20)) // of unknown length
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Token "+operator)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(a.Body)
	if err != nil || a.Body.Close() != nil || a.StatusCode != 413 || !strings.Contains(string(body), `"invalid"`) {
		t.Errorf("status %d, body %s, %v", a.StatusCode, body, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestHugeHeaderIsRefused(t *testing.T) {
	s, _ := serve(t, start(t), ServerOptions{})
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	go func() {
		_, _ = fmt.Fprintf(c, "GET /ping HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<20))
	}()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.Contains(line, "431") {
		t.Errorf("answer %q, %v", line, err)
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile, pool = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}
