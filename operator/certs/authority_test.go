package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

// The key of the authority is worth nothing outside of this webhook.
func TestAuthorityCannotSignForOthers(t *testing.T) {
	now := time.Now()
	who := newSubjects("holdfast-operator", "monitoring", nil, nil)
	ca, err := newAuthority(who, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []subjects{
		newSubjects("kubernetes", "default", nil, nil),
		newSubjects("holdfast-operator", "monitoring", []string{"example.org"}, nil),
		newSubjects("holdfast-operator", "monitoring", nil, []net.IP{net.IPv4(127, 0, 0, 1)}),
		newSubjects("holdfast-operator", "monitoring", nil, []net.IP{net.IPv6loopback}),
	} {
		leaf, _, err := ca.issue(other, now, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if verify(leaf, []*x509.Certificate{ca.cert}, "", now) == nil {
			t.Errorf("a certificate for %q and %v is accepted", leaf.DNSNames, leaf.IPAddresses)
		}
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	below, err := sign(&x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _, err := (&authority{cert: below, key: key}).issue(who, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	between, roots := x509.NewCertPool(), x509.NewCertPool()
	between.AddCert(below)
	roots.AddCert(ca.cert)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now}); err == nil {
		t.Error("an authority below the authority is accepted")
	}
}

func TestServingCertificateDoesNotOutliveItsAuthority(t *testing.T) {
	now := time.Now()
	who := newSubjects("s", "n", nil, nil)
	ca, err := newAuthority(who, now, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _, err := ca.issue(who, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !leaf.NotAfter.Equal(ca.cert.NotAfter) {
		t.Errorf("ends at %s, its authority at %s", leaf.NotAfter, ca.cert.NotAfter)
	}
	if !renewAt(leaf).After(now) {
		t.Error("due when it is made")
	}
}
