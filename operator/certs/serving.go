package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// ErrNoCertificate is returned until there is a first certificate to serve.
var ErrNoCertificate = errors.New("no serving certificate yet")

// Serving holds the certificate that this replica serves. Its methods may be called at any time, from anywhere.
type Serving struct {
	Now    func() time.Time
	Logger *slog.Logger

	metrics *metrics
	writing sync.Mutex
	present atomic.Pointer[tls.Certificate]
}

// NewServing returns a Serving without a certificate.
func NewServing(reg prometheus.Registerer) *Serving {
	return &Serving{Now: time.Now, Logger: slog.New(slog.DiscardHandler), metrics: newMetrics(reg)}
}

// Configure sets what a server of this certificate needs in c. A higher minimum version, chosen cipher suites and the protocols (HTTP/2
// or not) stay as they are.
func (s *Serving) Configure(c *tls.Config) {
	c.GetCertificate = s.GetCertificate
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if c.CipherSuites == nil {
		// For TLS 1.2 only: forward secrecy and authenticated encryption. The RSA ones are for certificates of a folder.
		c.CipherSuites = []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		}
	}
}

// GetCertificate is for tls.Config.
func (s *Serving) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.present.Load(); c != nil {
		return c, nil
	}
	return nil, ErrNoCertificate
}

// Ready returns why no API server would accept the present certificate at this moment, or nil.
func (s *Serving) Ready() error {
	c, now := s.present.Load(), s.Now()
	switch {
	case c == nil:
		return ErrNoCertificate
	case !now.Before(c.Leaf.NotAfter):
		return fmt.Errorf("the serving certificate expired at %s", stamp(c.Leaf.NotAfter))
	case now.Before(c.Leaf.NotBefore):
		return fmt.Errorf("the serving certificate is not valid before %s", stamp(c.Leaf.NotBefore))
	}
	return nil
}

// NotAfter returns when the present certificate ends; zero without one.
func (s *Serving) NotAfter() time.Time {
	if c := s.present.Load(); c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

// Update takes the certificate of the Secret that a Rotator keeps. One that is damaged, or that the Secret's own bundle does not verify,
// is not taken: the present one stays. The Secret is not kept.
func (s *Serving) Update(secret *corev1.Secret) error {
	fail := func(err error) error {
		return s.failed(fmt.Errorf("certificate of Secret %s/%s: %w", secret.Namespace, secret.Name, err))
	}
	pair, err := decodePair(secret.Data[KeyCertificate], secret.Data[KeyServingKey])
	if err != nil {
		return fail(err)
	}
	bundle, _ := decodeBundle(secret.Data[KeyBundle]) // the authorities that can be read are the ones that are published
	if issuerIn(bundle, pair.Leaf) < 0 {
		return fail(fmt.Errorf("it is not signed by any authority in %s", KeyBundle))
	}
	if err := s.take(pair); err != nil {
		return fail(err)
	}
	s.metrics.expires("ca", bundle[0].NotAfter)
	return nil
}

// take makes pair the present certificate, unless it has expired and the present one has not.
func (s *Serving) take(pair *tls.Certificate) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if now := s.Now(); !now.Before(pair.Leaf.NotAfter) && now.Before(s.NotAfter()) {
		return fmt.Errorf("it expired at %s, before the present one", stamp(pair.Leaf.NotAfter))
	}
	if old := s.present.Load(); old != nil && old.Leaf.Equal(pair.Leaf) {
		return nil
	}
	s.present.Store(pair)
	s.metrics.expires("serving", pair.Leaf.NotAfter)
	s.Logger.Info("serving a new certificate", "serial", pair.Leaf.SerialNumber.Text(16), "not_after", stamp(pair.Leaf.NotAfter))
	return nil
}

func (s *Serving) failed(err error) error {
	s.metrics.errors.WithLabelValues("load").Inc()
	return err
}
