package certs

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// state is what a Secret holds, as far as it can be read. What cannot is told by the faults.
type state struct {
	empty  bool                // the Secret has nothing in it: it is a new one, or was emptied to have all made anew
	cas    []*x509.Certificate // the current authority first
	signer crypto.Signer       // key of cas[0]; nil if there is none that belongs to it
	leaf   *x509.Certificate   // the serving certificate; nil if it has no key that belongs to it

	bundleFault, signerFault, leafFault error
}

// inspect reads a Secret.
func inspect(secret *corev1.Secret) state {
	if len(secret.Data) == 0 {
		empty := errors.New("the Secret is empty")
		return state{empty: true, bundleFault: empty, signerFault: empty, leafFault: empty}
	}
	var s state
	s.cas, s.bundleFault = decodeBundle(secret.Data[KeyBundle])
	if s.bundleFault != nil {
		s.bundleFault = fmt.Errorf("%s %w", KeyBundle, s.bundleFault)
	}
	if len(s.cas) == 0 {
		s.signerFault = s.bundleFault
	} else if pair, err := decodePair(encodeCertificates(s.cas[0]), secret.Data[KeyAuthorityKey]); err != nil {
		s.signerFault = fmt.Errorf("%s and %s: %w", KeyBundle, KeyAuthorityKey, err)
	} else {
		s.signer, _ = pair.PrivateKey.(crypto.Signer) // always one: the pair was checked by its public key
	}
	if pair, err := decodePair(secret.Data[KeyCertificate], secret.Data[KeyServingKey]); err != nil {
		s.leafFault = fmt.Errorf("%s and %s: %w", KeyCertificate, KeyServingKey, err)
	} else {
		s.leaf = pair.Leaf
	}
	return s
}

// issuer returns the place in the bundle of the authority that signed the serving certificate, or -1.
func (s state) issuer() int {
	if s.leaf == nil {
		return -1
	}
	return issuerIn(s.cas, s.leaf)
}

func issuerIn(cas []*x509.Certificate, leaf *x509.Certificate) int {
	for i, ca := range cas {
		if leaf.CheckSignatureFrom(ca) == nil {
			return i
		}
	}
	return -1
}

// serves returns why the serving certificate is of no use to API servers, or nil. One that becomes valid only later is of use: it is
// for those whose clock is ahead of this one's, and which of the clocks is wrong cannot be known here.
func (s state) serves(who subjects, now time.Time) error {
	if s.leafFault != nil {
		return s.leafFault
	}
	i := s.issuer()
	if i < 0 {
		return fmt.Errorf("%s is not signed by any authority in %s", KeyCertificate, KeyBundle)
	}
	at := now
	for _, c := range []*x509.Certificate{s.leaf, s.cas[i]} {
		if c.NotBefore.After(at) {
			at = c.NotBefore
		}
	}
	if err := verify(s.leaf, s.cas[i:i+1], who.primary, at); err != nil {
		return fmt.Errorf("%s: %w", KeyCertificate, err)
	}
	return nil
}

// signs returns why the current authority cannot issue certificates for who, or nil. It issues one to see: that covers the key, the
// authority's constraints and its validity in the way that API servers look at them.
func (s state) signs(who subjects, now time.Time) error {
	if s.signerFault != nil {
		return s.signerFault
	}
	trial, _, err := s.authority().issue(who, now, time.Hour)
	if err != nil {
		return err
	}
	if err := verify(trial, s.cas[:1], "", now); err != nil {
		return fmt.Errorf("the authority in %s: %w", KeyBundle, err)
	}
	return nil
}

func (s state) authority() *authority { return &authority{cert: s.cas[0], key: s.signer} }

// renewAt is two thirds of c's life.
func renewAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}
