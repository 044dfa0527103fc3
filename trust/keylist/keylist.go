// Package keylist is the list of public keys that clusters accept signatures by: its text, its envelope with the signature of the list
// key, and the rules by which a cluster accepts a newer one. FORMAT.md describes the bytes.
//
// The package does not fetch, and does not decide when keys change.
package keylist

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Type is what a list says that it is.
const Type = "holdfast-keylist/1"

// Bounds of a list.
const (
	MaxKeys    = 16
	MaxSources = 32
	maxSource  = 255 // bytes
	// Ahead is by how much a version may exceed the seconds since 1970 at which its list was issued.
	Ahead = 300
)

// State is what a key is for.
type State string

// States, in the order in which a key has them.
const (
	Next     State = "next"     // published, so that clusters know it before it signs
	Active   State = "active"   // signs
	Retiring State = "retiring" // signs no more; its signatures count until NotAfter
)

var states = []State{Next, Active, Retiring}

// Key is one of the list.
type Key struct {
	ID     key.ID
	Public *ecdsa.PublicKey
	// Signatures by the key count from NotBefore until NotAfter. Both are whole seconds.
	NotBefore, NotAfter time.Time
	State               State
}

// List is what a list says.
type List struct {
	// Version is larger than that of every list before. It is the seconds since 1970 at which the list was issued, or one more than
	// the version before where that is larger: so it goes on when everything that was known of earlier lists is lost.
	Version         int64
	Issued, Expires time.Time // whole seconds
	// Keys are in the order of their versions.
	Keys []Key
	// Sources are the repositories, as HOST/PATH, that hold signatures of images that others publish.
	Sources []string
}

// NextVersion is the version of a list that is issued now and follows the one with the version before, which is 0 for the first.
func NextVersion(before int64, now time.Time) int64 { return max(before+1, now.Unix()) }

// text is how a list is written.
type text struct {
	Type    string    `json:"type"`
	Version int64     `json:"version"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	Keys    []textKey `json:"keys"`
	Sources []string  `json:"sources"`
}

type textKey struct {
	ID        key.ID    `json:"id"`
	PEM       string    `json:"pem"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	State     State     `json:"state"`
}

// Marshal writes a list that is valid.
func (l *List) Marshal() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	t := text{Type: Type, Version: l.Version, Issued: l.Issued.UTC(), Expires: l.Expires.UTC(), Keys: []textKey{}, Sources: append([]string{}, l.Sources...)}
	for _, k := range l.Keys {
		pem, err := key.MarshalPEM(k.Public)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		t.Keys = append(t.Keys, textKey{ID: k.ID, PEM: string(pem), NotBefore: k.NotBefore.UTC(), NotAfter: k.NotAfter.UTC(), State: k.State})
	}
	return json.Marshal(t)
}

// Parse reads a list, which must be valid in all of its parts: a list that is partly understood is not.
func Parse(raw []byte) (*List, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var t text
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("reading the key list: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading the key list: there is something after it")
	}
	if t.Type != Type {
		return nil, fmt.Errorf("the key list is of the type %.40q: %q is wanted", t.Type, Type)
	}
	l := &List{Version: t.Version, Issued: t.Issued, Expires: t.Expires, Sources: t.Sources}
	if len(t.Keys) > MaxKeys {
		return nil, tooMany("keys", len(t.Keys), MaxKeys)
	}
	for _, k := range t.Keys {
		public, err := key.ParsePEM([]byte(k.PEM))
		if err != nil {
			return nil, fmt.Errorf("key %s of the key list: %w", k.ID, err)
		}
		l.Keys = append(l.Keys, Key{ID: k.ID, Public: public, NotBefore: k.NotBefore, NotAfter: k.NotAfter, State: k.State})
	}
	return l, l.check()
}

func tooMany(what string, n, most int) error {
	return fmt.Errorf("the key list has %d %s: at most %d are allowed", n, what, most)
}

// check says what is wrong with a list by itself.
func (l *List) check() error {
	switch {
	case l.Version < 1:
		return fmt.Errorf("the key list has the version %d", l.Version)
	case !whole(l.Issued) || !whole(l.Expires) || !l.Expires.After(l.Issued):
		return fmt.Errorf("the key list was issued at %v and expires at %v: whole seconds are wanted, and the second after the first", l.Issued, l.Expires)
	case l.Version > l.Issued.Unix()+Ahead:
		return fmt.Errorf("the key list has the version %d, which is more than %d above the time %d at which it was issued", l.Version, Ahead, l.Issued.Unix())
	case len(l.Keys) > MaxKeys:
		return tooMany("keys", len(l.Keys), MaxKeys)
	case len(l.Sources) > MaxSources:
		return tooMany("sources", len(l.Sources), MaxSources)
	}
	active := 0
	for i, k := range l.Keys {
		if err := k.check(); err != nil {
			return fmt.Errorf("key %s of the key list: %w", k.ID, err)
		}
		for _, other := range l.Keys[:i] {
			if other.ID.Name != k.ID.Name || other.ID.Version >= k.ID.Version {
				return fmt.Errorf("key %s of the key list follows %s: versions of one key are wanted, in their order", k.ID, other.ID)
			}
			if other.Public.Equal(k.Public) {
				return fmt.Errorf("keys %s and %s of the key list are the same key", other.ID, k.ID)
			}
		}
		if k.State == Active {
			active++
		}
	}
	if active > 1 {
		return fmt.Errorf("the key list has %d active keys: only one can be", active)
	}
	for i, s := range l.Sources {
		if err := CheckSource(s); err != nil {
			return err
		}
		if slices.Contains(l.Sources[:i], s) {
			return fmt.Errorf("the key list has the source %s twice", s)
		}
	}
	return nil
}

func (k Key) check() error {
	if k.Public == nil {
		return errors.New("there is no public key")
	}
	if !whole(k.NotBefore) || !whole(k.NotAfter) || !k.NotAfter.After(k.NotBefore) {
		return fmt.Errorf("it counts from %v until %v: whole seconds are wanted, and the second after the first", k.NotBefore, k.NotAfter)
	}
	if !slices.Contains(states, k.State) {
		return fmt.Errorf("it has the state %.20q: %q are known", k.State, states)
	}
	if k.ID.Version < 1 {
		return errors.New("its version is not above 0")
	}
	return key.CheckName(k.ID.Name)
}

func whole(t time.Time) bool { return t.Nanosecond() == 0 && t.Year() >= 1970 && t.Year() <= 9999 }

// CheckSource says whether a repository can hold signatures. A host alone is refused: policy-controller takes it and then cannot read any
// of its policies.
func CheckSource(source string) error {
	r, err := name.NewRepository(source, name.StrictValidation)
	if err != nil || len(source) > maxSource || r.Name() != source {
		return fmt.Errorf("the source %.100q is no HOST/PATH of a repository", source)
	}
	return nil
}

// Usable are the keys whose signatures count at a time, and later: those that have not ended.
func (l *List) Usable(now time.Time) (usable []Key) {
	for _, k := range l.Keys {
		if now.Before(k.NotAfter) {
			usable = append(usable, k)
		}
	}
	return usable
}
