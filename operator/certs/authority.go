package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// subjects are the names that a serving certificate is for.
type subjects struct {
	primary string   // the name that API servers verify: service.namespace.svc
	dns     []string // all names, sorted, each once
	ips     []net.IP // sorted, each once, IPv4 in 4 bytes
}

func newSubjects(service, namespace string, dns []string, ips []net.IP) subjects {
	s := subjects{primary: service + "." + namespace + ".svc"}
	s.dns = append([]string{service, service + "." + namespace, s.primary, s.primary + ".cluster.local"}, dns...)
	slices.Sort(s.dns)
	s.dns = slices.Compact(s.dns)
	s.ips = sortedIPs(ips)
	return s
}

func sortedIPs(ips []net.IP) []net.IP {
	out := make([]net.IP, 0, len(ips))
	for _, ip := range ips {
		if four := ip.To4(); four != nil {
			ip = four
		}
		out = append(out, ip)
	}
	slices.SortFunc(out, func(a, b net.IP) int { return bytes.Compare(a, b) })
	return slices.CompactFunc(out, net.IP.Equal)
}

// equal reports whether c is for exactly these names.
func (s subjects) equal(c *x509.Certificate) bool {
	names := slices.Sorted(slices.Values(c.DNSNames))
	return slices.Equal(names, s.dns) && slices.EqualFunc(sortedIPs(c.IPAddresses), s.ips, net.IP.Equal)
}

// authority is a certificate that signs serving certificates, with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// newAuthority makes an authority that is valid until now+validity. It can sign nothing but serving certificates directly (RFC 5280,
// 4.2.1.9), and for no names but those of who (4.2.1.10): with its key one cannot pose as anything else, wherever the bundle ended up.
func newAuthority(who subjects, now time.Time, validity time.Duration) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:                     pkix.Name{CommonName: "holdfast-operator webhook CA " + now.UTC().Format("2006-01-02T15:04:05Z")},
		NotBefore:                   now.Add(-backdate(validity)),
		NotAfter:                    now.Add(validity),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true,
	}
	for _, name := range who.dns {
		template.PermittedDNSDomains = append(template.PermittedDNSDomains, strings.TrimPrefix(name, "*."))
	}
	for _, ip := range who.ips {
		template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
	}
	if len(who.ips) == 0 { // without any constraint on addresses all were permitted
		template.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
			{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority: %w", err)
	}
	return &authority{cert: cert, key: key}, nil
}

// issue makes a serving certificate for who. It is valid until now+validity, but not longer than the authority.
func (a *authority) issue(who subjects, now time.Time, validity time.Duration) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the serving key: %w", err)
	}
	validity = min(validity, a.cert.NotAfter.Sub(now))
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "holdfast-operator webhook"},
		NotBefore:             now.Add(-backdate(validity)),
		NotAfter:              now.Add(validity),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              who.dns,
		IPAddresses:           who.ips,
	}
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the serving certificate: %w", err)
	}
	return cert, key, nil
}

// sign leaves the serial number to the library: 20 random bytes.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// verify checks that roots verify c at the time, for name unless it is empty.
func verify(c *x509.Certificate, roots []*x509.Certificate, name string, at time.Time) error {
	pool := x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	_, err := c.Verify(x509.VerifyOptions{
		Roots: pool, DNSName: name, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

func encodeCertificates(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// decodePair returns a certificate and its key, and an error that names neither's content.
func decodePair(cert, key []byte) (*tls.Certificate, error) {
	switch {
	case len(cert) == 0 && len(key) == 0:
		return nil, errors.New("certificate and key are missing")
	case len(cert) == 0:
		return nil, errors.New("the certificate is missing")
	case len(key) == 0:
		return nil, errors.New("the key is missing")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// decodeBundle returns the authorities of a bundle, each once, in order. What is not an authority's certificate is left out and told
// by the error; what could be read is returned with it.
func decodeBundle(text []byte) ([]*x509.Certificate, error) {
	var cas []*x509.Certificate
	var fault error
	rest := text
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			fault = errors.New("holds something other than certificates")
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			fault = fmt.Errorf("holds a certificate that cannot be read: %w", err)
		case !c.IsCA:
			fault = errors.New("holds a certificate that is not an authority's")
		case !slices.ContainsFunc(cas, c.Equal):
			cas = append(cas, c)
		}
	}
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		fault = errors.New("is missing")
	case len(bytes.TrimSpace(rest)) > 0:
		fault = errors.New("ends in something that is not PEM")
	}
	return cas, fault
}
