package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is the certificate authority of one cluster: it vouches for the API server and for every user, so that users can be
// added while the API server runs.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte // of cert
}

// keyPair is a certificate with its key, both PEM.
type keyPair struct{ cert, key []byte }

// lifetime of every certificate: longer than any test, and from before any clock skew.
func lifetime() (from, to time.Time) {
	now := time.Now()
	return now.Add(-time.Hour), now.Add(30 * 24 * time.Hour)
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the cluster's authority: %w", err)
	}
	from, to := lifetime()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test cluster"}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the cluster's authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the cluster's authority: %w", err)
	}
	return &authority{cert: cert, key: key, pem: block("CERTIFICATE", der)}, nil
}

// server issues the API server's certificate, for the loopback and the names that it has inside a cluster.
func (a *authority) server(serviceIP string) (keyPair, error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(serviceIP)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// user issues a certificate that the API server takes for a user of that name in those groups.
func (a *authority) user(name string, groups ...string) (keyPair, error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) issue(template *x509.Certificate) (keyPair, error) {
	fail := func(err error) (keyPair, error) {
		return keyPair{}, fmt.Errorf("issuing a certificate for %s: %w", template.Subject.CommonName, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return fail(err)
	}
	template.NotBefore, template.NotAfter = lifetime()
	template.KeyUsage = x509.KeyUsageDigitalSignature
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fail(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fail(err)
	}
	return keyPair{cert: block("CERTIFICATE", cert), key: block("PRIVATE KEY", der)}, nil
}

// newTokenKey makes the key that signs service account tokens: RSA, as clusters have it.
func newTokenKey() (keyPair, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return keyPair{}, fmt.Errorf("making the key of service accounts: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return keyPair{}, fmt.Errorf("making the key of service accounts: %w", err)
	}
	return keyPair{cert: block("PUBLIC KEY", public), key: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))}, nil
}

// write puts the two halves of a pair into a folder.
func (p keyPair) write(dir, cert, key string) error {
	if err := os.WriteFile(filepath.Join(dir, cert), p.cert, 0o600); err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, key), p.key, 0o600); err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	return nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
