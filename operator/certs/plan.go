package certs

import (
	"crypto/x509"
	"fmt"
	"time"
)

// action is one write to the Secret.
type action int

const (
	actNone      action = iota
	actAuthority        // a new authority in front of the bundle; the serving certificate stays
	actIssue            // a serving certificate by the current authority
	actReplace          // a new authority and a serving certificate by it, at once
	actTrim             // authorities leave the bundle
)

// maxBundle bounds the bundle when authorities are replaced again and again, as by two operators that share a Secret by mistake.
const maxBundle = 8

// step is what is to be done now, or, with actNone, when there will be something.
type step struct {
	action action
	reason string
	damage bool // the reason is not the passing of time
	next   time.Time
}

// plan decides on the next step. carried is since when the webhook configuration has been seen to carry the current authority; zero if
// it does not. Each step leaves a state for which plan gives the one after it: that is all there is to resuming after a crash.
func (r *Rotator) plan(s state, carried, now time.Time) step {
	who := r.subjects()
	useless := s.serves(who, now)
	if fault := s.signs(who, now); fault != nil {
		if useless == nil {
			return step{action: actAuthority, reason: fault.Error(), damage: true}
		}
		return step{action: actReplace, reason: reasons(fault, useless), damage: !s.empty}
	}
	if useless != nil {
		return step{action: actIssue, reason: useless.Error(), damage: true}
	}
	if renew := renewAt(s.cas[0]); !now.Before(renew) {
		return step{action: actAuthority, reason: "two thirds of the authority's life have passed"}
	}
	if s.issuer() != 0 {
		if carried.IsZero() {
			return step{next: now.Add(r.Settle)}
		}
		if settled := carried.Add(r.Settle); now.Before(settled) {
			return step{next: settled}
		}
		return step{action: actIssue, reason: "the webhook configuration carries the new authority"}
	}
	switch {
	case !now.Before(renewAt(s.leaf)):
		return step{action: actIssue, reason: "two thirds of the serving certificate's life have passed"}
	case now.Before(s.leaf.NotBefore):
		return step{action: actIssue, damage: true, reason: fmt.Sprintf("the serving certificate is not valid before %s", stamp(s.leaf.NotBefore))}
	case !who.equal(s.leaf):
		return step{action: actIssue, damage: true, reason: "the serving certificate is for other names"}
	case s.bundleFault != nil:
		return step{action: actTrim, damage: true, reason: s.bundleFault.Error()}
	case len(r.trimmed(s, now)) < len(s.cas):
		return step{action: actTrim, reason: "no valid serving certificate can be by an authority that was replaced"}
	}
	return step{next: r.nextChange(s)}
}

// trimmed returns the bundle without the authorities that are no longer needed. The current one and the issuer of the serving
// certificate are.
func (r *Rotator) trimmed(s state, now time.Time) []*x509.Certificate {
	issuer := s.issuer()
	var kept []*x509.Certificate
	for i, ca := range s.cas {
		if i == 0 || i == issuer || now.Before(r.outlived(s.cas, i)) {
			kept = append(kept, ca)
		}
	}
	return kept
}

// outlived is when no valid serving certificate can be by cas[i]: at its end, or a serving certificate's life after the authority that
// followed it was made, for then its key was gone.
func (r *Rotator) outlived(cas []*x509.Certificate, i int) time.Time {
	followed := cas[i-1].NotBefore.Add(backdate(r.CAValidity)) // a second too early at most
	last := followed.Add(r.CertValidity + r.Settle + time.Second)
	if end := cas[i].NotAfter; end.Before(last) {
		return end
	}
	return last
}

func (r *Rotator) nextChange(s state) time.Time {
	next := renewAt(s.cas[0])
	if t := renewAt(s.leaf); t.Before(next) {
		next = t
	}
	for i := 1; i < len(s.cas); i++ {
		if t := r.outlived(s.cas, i); t.Before(next) {
			next = t
		}
	}
	return next
}

// apply carries out a step on s and returns the Secret's keys that change.
func (r *Rotator) apply(a action, s state, now time.Time) (map[string][]byte, error) {
	who := r.subjects()
	out := map[string][]byte{}
	signer := s.authority
	switch a {
	case actTrim:
		out[KeyBundle] = encodeCertificates(r.trimmed(s, now)...)
		return out, nil
	case actAuthority, actReplace:
		ca, err := newAuthority(who, now, r.CAValidity)
		if err != nil {
			return nil, err
		}
		if out[KeyAuthorityKey], err = encodeKey(ca.key); err != nil {
			return nil, err
		}
		out[KeyBundle] = encodeCertificates(append([]*x509.Certificate{ca.cert}, unexpired(s, now)...)...)
		signer = func() *authority { return ca }
	}
	if a == actIssue || a == actReplace {
		leaf, key, err := signer().issue(who, now, r.CertValidity)
		if err != nil {
			return nil, err
		}
		out[KeyCertificate] = encodeCertificates(leaf)
		if out[KeyServingKey], err = encodeKey(key); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unexpired returns the authorities that stay behind a new one: those that may have signed what is served, now or a moment ago.
func unexpired(s state, now time.Time) []*x509.Certificate {
	issuer := s.issuer()
	var kept []*x509.Certificate
	for i, ca := range s.cas {
		if now.Before(ca.NotAfter) && (i == issuer || len(kept) < maxBundle-1) {
			kept = append(kept, ca)
		}
	}
	return kept
}

func reasons(a, b error) string {
	if a.Error() == b.Error() {
		return a.Error()
	}
	return a.Error() + "; " + b.Error()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
