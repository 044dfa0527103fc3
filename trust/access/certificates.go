package access

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bounds of certificates.
const (
	maxCAFile        = 1 << 20 // bytes
	maxNames         = 32      // of one certificate
	maxNameBytes     = 1 << 10 // of one name
	maxIntermediates = 5
)

// Certificates identifies clients by certificates of the CAs in a file, which is read again when it changed: a CA that is taken out of it is
// refused within a second, on open connections too. The CAs must be for this and nothing else, for all they sign is an identity here.
type Certificates struct {
	Now func() time.Time

	file followed[*x509.CertPool]
}

// OpenCertificates opens the CAs in a PEM file.
func OpenCertificates(path string) (*Certificates, error) {
	c := &Certificates{Now: time.Now, file: followed[*x509.CertPool]{path: path, limit: maxCAFile, parse: parsePool}}
	if _, err := c.file.get(); err != nil {
		return nil, fmt.Errorf("reading the CAs of clients from %s: %w", path, err)
	}
	return c, nil
}

// parsePool reads certificates in PEM, at least one, and nothing else.
func parsePool(text []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a PEM block is %.40q, and only CERTIFICATE is wanted", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		if !cert.IsCA {
			return nil, fmt.Errorf("certificate %d is not one of a CA", n+1)
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return pool, nil
}

// Configure has a server ask its clients for a certificate. It does not verify them in the handshake: Identify does for each request, by the
// CAs as they are then, and a client whose certificate is of no use may still send a token.
func (c *Certificates) Configure(config *tls.Config) { config.ClientAuth = tls.RequestClientCert }

// Identify identifies the client of a connection. The error is an *Error.
func (c *Certificates) Identify(state *tls.ConnectionState) (Identity, error) {
	if !presented(state) || !state.HandshakeComplete {
		return Identity{}, unauthenticated("the request has no client certificate", "the request has no client certificate")
	}
	pool, err := c.file.get()
	if err != nil {
		// The last CAs are not used on: one of them may have been removed since.
		return Identity{}, unavailable("reading the CAs of clients from %s: %w", c.file.path, err)
	}
	const refused = "the client certificate is not accepted"
	leaf, rest := state.PeerCertificates[0], state.PeerCertificates[1:]
	if len(rest) > maxIntermediates {
		return Identity{}, unauthenticated(refused, "the client sent %d certificates besides its own, and at most %d are taken", len(rest), maxIntermediates)
	}
	options := x509.VerifyOptions{
		Roots:         pool,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   c.Now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range rest {
		options.Intermediates.AddCert(cert)
	}
	if _, err := leaf.Verify(options); err != nil {
		return Identity{}, unauthenticated(refused, "the client certificate %.100q: %w", leaf.Subject, err)
	}
	names := certificateNames(leaf)
	if len(names) == 0 {
		return Identity{}, unauthenticated(refused, "the client certificate with the serial number %x has no SPIFFE ID, no DNS name and no common name", leaf.SerialNumber)
	}
	return Identity{Kind: Certificate, Name: names[0], Credential: fmt.Sprintf("%x", leaf.SerialNumber), Names: names}, nil
}

// certificateNames are the SPIFFE IDs of a certificate, then its DNS names, or when it has neither its common name.
func certificateNames(cert *x509.Certificate) []string {
	var names []string
	for _, uri := range cert.URIs {
		if uri.Scheme == "spiffe" {
			names = append(names, uri.String())
		}
	}
	names = append(names, cert.DNSNames...)
	if len(names) == 0 {
		names = append(names, cert.Subject.CommonName)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" || len(name) > maxNameBytes })
	return names[:min(len(names), maxNames)]
}
