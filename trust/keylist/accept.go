package keylist

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Slack is how far clocks may be apart.
const Slack = 5 * time.Minute

// MaxLifetime bounds how long the signatures of a key may count, from when the list that names it is accepted. It bounds what the thief of
// a list key can do to a cluster that gets no other list afterwards.
const MaxLifetime = 90 * 24 * time.Hour

// Seen is what a cluster remembers of the lists that it accepted. Each list key has a counter of its own, so that the thief of one cannot
// keep the other from being heard.
type Seen map[string]Last // by the fingerprint of the list key

// Last is the newest list of a list key.
type Last struct {
	Version int64  `json:"version"`
	SHA256  string `json:"sha256"` // of the list's bytes, in hexadecimal
}

// Refusal is why a list that is signed is not accepted.
type Refusal string

// Refusals.
const (
	Expired     Refusal = "Expired"     // someone keeps newer lists back, or none is made
	Future      Refusal = "Future"      // issued later than now: a clock is wrong, or someone wants to use versions up
	RolledBack  Refusal = "RolledBack"  // older than one that was accepted
	Forked      Refusal = "Forked"      // another list of the same version was accepted
	NoKeys      Refusal = "NoKeys"      // accepting it would leave nothing that can run
	TooLongLife Refusal = "TooLongLife" // a key would count for longer than any should
)

// NotAccepted is the error of Accept.
type NotAccepted struct {
	Refusal Refusal
	Message string
}

func (e *NotAccepted) Error() string { return "the key list is not accepted: " + e.Message }

// Accept decides whether a list replaces what a cluster has, and returns what to remember once it does. It changes nothing. The same list
// again is accepted.
func (s Seen) Accept(o *Opened, now time.Time) (Seen, error) {
	sum := sha256.Sum256(o.Raw)
	last, hash := s[o.By], hex.EncodeToString(sum[:])
	refuse := func(why Refusal, format string, args ...any) (Seen, error) {
		return nil, &NotAccepted{why, fmt.Sprintf(format, args...)}
	}
	switch {
	case o.Version < last.Version:
		return refuse(RolledBack, "its version is %d, and %d was accepted before", o.Version, last.Version)
	case o.Version == last.Version && hash != last.SHA256:
		return refuse(Forked, "another list of the version %d was accepted before", o.Version)
	case o.Issued.After(now.Add(Slack)):
		return refuse(Future, "it was issued at %s, and it is %s now", stamp(o.Issued), stamp(now))
	case !now.Before(o.Expires):
		return refuse(Expired, "it expired at %s: there may be a newer one that does not get here", stamp(o.Expires))
	case len(o.Usable(now)) == 0:
		return refuse(NoKeys, "none of its %d keys counts at %s", len(o.Keys), stamp(now))
	}
	for _, k := range o.Keys {
		if k.NotAfter.After(now.Add(MaxLifetime + Slack)) {
			return refuse(TooLongLife, "signatures by the key %s would count until %s, which is more than %.0f days away", k.ID, stamp(k.NotAfter), MaxLifetime.Hours()/24)
		}
	}
	next := Seen{o.By: {o.Version, hash}}
	for by, l := range s {
		if by != o.By {
			next[by] = l
		}
	}
	return next, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
