package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServerOptions say where a server listens and how it ends.
type ServerOptions struct {
	// Address is host:port; port 0 takes a free one.
	Address string
	// CertFile and KeyFile are PEM files; both or none.
	CertFile, KeyFile string
	// Grace is how long requests in progress may go on after the end was asked for; 0 means 10 s.
	Grace  time.Duration
	Logger *slog.Logger // nil discards
}

// Server serves a handler at an address.
type Server struct {
	options  ServerOptions
	url      string
	listener net.Listener
	http     *http.Server
	cut      context.CancelFunc // ends the contexts of the requests in progress
}

// Bounds of one request, in time and bytes. How long an answer may take is bounded by progress (writeTimeout), because a
// large answer to a slow client takes long.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 10 * time.Minute
	idleTimeout   = 3 * time.Minute
	maxHeader     = 64 << 10
)

// NewServer takes the address. Nothing is answered until Serve.
func NewServer(handler http.Handler, o ServerOptions) (*Server, error) {
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var config *tls.Config
	if o.CertFile != "" || o.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load certificate %q and key %q: %w", o.CertFile, o.KeyFile, err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	}
	l, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen at %q: %w", o.Address, err)
	}
	url := "http://" + l.Addr().String()
	if config != nil {
		l, url = tls.NewListener(l, config), "https://"+l.Addr().String()
	}
	base, cut := context.WithCancel(context.Background())
	return &Server{options: o, url: url, listener: l, cut: cut, http: &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
	}}, nil
}

// URL returns the address with its scheme.
func (s *Server) URL() string { return s.url }

// Serve answers requests until ctx ends, then lets those in progress finish within the grace time, cuts the others, and
// returns when all handlers have been told to end. It returns nil after an orderly end. It is called once.
func (s *Server) Serve(ctx context.Context) error {
	defer s.cut()
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP at %s: %w", s.listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Grace)
	defer cancel()
	err := s.http.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		s.options.Logger.Warn("requests were cut at the end", slog.Duration("grace", s.options.Grace))
		s.cut()
		err = s.http.Close()
	}
	if ended := <-failed; err == nil && !errors.Is(ended, http.ErrServerClosed) {
		err = ended
	}
	if err != nil {
		return fmt.Errorf("stop HTTP at %s: %w", s.listener.Addr(), err)
	}
	return nil
}
