package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// replica is a server that takes every certificate of the Secret at once.
type replica struct {
	serving *Serving
	addr    string
}

func newReplica(t testing.TB, clock func() time.Time) *replica {
	t.Helper()
	r := &replica{serving: NewServing(nil)}
	r.serving.Now = clock
	config := &tls.Config{}
	r.serving.Configure(config)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = listener.Addr().String()
	server := &http.Server{
		TLSConfig: config,
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }),
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	var serve sync.WaitGroup
	serve.Go(func() { _ = server.ServeTLS(listener, "", "") })
	t.Cleanup(func() { _ = server.Close(); serve.Wait() })
	return r
}

// call makes a request as an API server does: by the Service's name, trusting the bundle only.
func (r *replica) call(bundle []byte, now time.Time) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Time: func() time.Time { return now }},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, r.addr)
		},
		DisableKeepAlives: true,
	}
	response, err := (&http.Client{Transport: transport}).Get("https://holdfast-operator.holdfast-operator.svc/")
	if err != nil {
		return err
	}
	return response.Body.Close()
}
