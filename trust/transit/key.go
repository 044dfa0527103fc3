package transit

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

const (
	keyType = "ecdsa-p256"
	// batch is how many hashes one request asks to sign: some 20 KiB, and some 40 KiB of answer.
	batch = 256
	// maxTries of a rotation whose outcome was not known, and of a retirement that others got in the way of.
	maxTries = 5
	// maxVersions bounds the versions in one answer.
	maxVersions = 10_000
)

// Key is a named key in a transit engine. It is a key.Store.
type Key struct {
	c           *Client
	mount, name string

	mu   sync.Mutex
	seen map[int]*ecdsa.PublicKey // every version that Vault listed since this was made
}

var _ key.Store = (*Key)(nil)

// Key returns the store of a key, by the path where its engine is mounted and its name. Vault is not asked.
func (c *Client) Key(mount, name string) (*Key, error) {
	if err := checkMount(mount); err != nil {
		return nil, err
	}
	if err := key.CheckName(name); err != nil {
		return nil, err
	}
	return &Key{c: c, mount: mount, name: name, seen: map[int]*ecdsa.PublicKey{}}, nil
}

// Settings are what Vault has set for a key.
type Settings struct {
	Exportable           bool
	AllowPlaintextBackup bool
	DeletionAllowed      bool
	Imported             bool          // the private half was made elsewhere
	AutoRotate           time.Duration // 0 for never
	Latest               int           // version
	MinDecryption        int           // versions; 0 for not set
	MinEncryption        int
	MinAvailable         int
}

// Warnings say which settings are dangerous for a key that signs images, and what they mean. There should be none.
func (s Settings) Warnings() []string {
	var all []string
	for _, w := range []struct {
		set  bool
		text string
	}{
		{s.Exportable, "exportable is set, and cannot be unset: whoever may read transit/export has the private key; use a new key"},
		{s.AllowPlaintextBackup, "allow_plaintext_backup is set, and cannot be unset: whoever may read transit/backup has the private key; use a new key"},
		{s.Imported, "the key was imported: its private half has been outside of Vault; use a new key"},
		{s.DeletionAllowed, "deletion_allowed is set: one request can delete the key; set it to false"},
		{s.AutoRotate > 0, fmt.Sprintf("auto_rotate_period is %v: Vault makes versions that nobody has published; set it to 0", s.AutoRotate)},
	} {
		if w.set {
			all = append(all, w.text)
		}
	}
	return all
}

// state is what Vault says of a key.
type state struct {
	settings Settings
	versions []key.Public // all that are listed, the oldest first
}

// usable are the versions that can sign.
func (s *state) usable() []key.Public {
	least := max(s.settings.MinDecryption, s.settings.MinEncryption, s.settings.MinAvailable)
	i, _ := slices.BinarySearchFunc(s.versions, least, func(p key.Public, n int) int { return p.ID.Version - n })
	return s.versions[i:]
}

func (s *state) newest() key.Public { return s.versions[len(s.versions)-1] }

// Settings asks for the settings of the key. The error wraps ErrNoKey when there is none.
func (k *Key) Settings(ctx context.Context) (Settings, error) {
	s, err := k.read(ctx)
	if err != nil {
		return Settings{}, err
	}
	if s == nil {
		return Settings{}, fmt.Errorf("%s/keys/%s: %w", k.mount, k.name, ErrNoKey)
	}
	return s.settings, nil
}

// Keys returns the versions that can sign: those that are not below one of the key's minimum versions.
func (k *Key) Keys(ctx context.Context) ([]key.Public, error) {
	s, err := k.read(ctx)
	if err != nil || s == nil {
		return nil, err
	}
	return s.usable(), nil
}

// Rotate makes a version, and the key when there is none. When another process rotates at the same moment, each gets a version that is
// newer than those before; with a release that does not answer a rotation with the key, both may get the newer one.
//
// After an error that is no refusal, a version may have been made.
func (k *Key) Rotate(ctx context.Context) (key.Public, error) {
	before, err := k.read(ctx)
	if err != nil {
		return key.Public{}, err
	}
	latest := 0
	if before != nil {
		latest = before.settings.Latest
	}
	for try := 1; ; try++ {
		made, err := k.make(ctx, latest)
		if err != nil && !unsure(err) || err == nil && made != nil {
			return value(made), err
		}
		// Whether there is a new version, the key tells. That it is not seen yet, after a success, is a standby that has not caught up.
		after, readErr := k.read(ctx)
		if readErr != nil {
			return key.Public{}, errors.Join(err, readErr)
		}
		if after != nil && after.settings.Latest > latest {
			return after.newest(), nil
		}
		for caught := 1; err == nil && caught < maxTries; caught++ {
			if err := sleep(ctx, k.c.ctx, firstPause<<caught); err != nil {
				return key.Public{}, k.failed("rotate", err)
			}
			if after, readErr = k.read(ctx); readErr == nil && after != nil && after.settings.Latest > latest {
				return after.newest(), nil
			}
		}
		if err == nil {
			return key.Public{}, fmt.Errorf("rotate the key %s: Vault says that it did, and lists no version after %d", k.name, latest)
		}
		if try == maxTries {
			return key.Public{}, err
		}
		wait := firstPause << try
		if answered := (*Error)(nil); errors.As(err, &answered) {
			wait = max(wait, answered.RetryAfter)
		}
		if wait > k.c.o.Patience {
			return key.Public{}, err
		}
		if err := sleep(ctx, k.c.ctx, wait); err != nil {
			return key.Public{}, k.failed("rotate", err)
		}
	}
}

// make has Vault make a version, once. It returns none when the answer does not tell which.
func (k *Key) make(ctx context.Context, latest int) (*key.Public, error) {
	r := request{doing: "rotate the key " + k.name, method: http.MethodPost, path: k.mount + "/keys/" + k.name + "/rotate", body: struct{}{}, once: true}
	if latest == 0 {
		r.doing, r.path, r.once = "make the key "+k.name, k.mount+"/keys/"+k.name, false // making it again is harmless
		r.body = map[string]any{"type": keyType, "exportable": false, "allow_plaintext_backup": false}
	}
	e, err := k.c.do(ctx, r, "update")
	if err != nil || latest == 0 || e.Data == nil {
		return nil, err
	}
	s, err := k.accept(e.Data)
	if err != nil || s.settings.Latest <= latest {
		return nil, nil // it was made; reading the key tells what it is, or what is wrong
	}
	made := s.newest()
	return &made, nil
}

func value(p *key.Public) key.Public {
	if p == nil {
		return key.Public{}
	}
	return *p
}

// unsure says whether a request may have been carried out although it failed.
func unsure(err error) bool {
	var away *UnavailableError
	var answered *Error
	return errors.As(err, &away) && !lasting(err) || errors.As(err, &answered) && transient(answered.Status)
}

// public returns the public half of a version that Vault lists or, unless it must be known to be so now, has listed.
func (k *Key) public(ctx context.Context, version int, now bool) (key.Public, error) {
	id := key.ID{Name: k.name, Version: version}
	k.mu.Lock()
	public := k.seen[version]
	k.mu.Unlock()
	if public != nil && !now {
		return key.Public{ID: id, Key: public}, nil
	}
	s, err := k.read(ctx)
	if err != nil {
		return key.Public{}, err
	}
	if s != nil {
		for _, p := range s.usable() {
			if p.ID == id {
				return p, nil
			}
		}
	}
	return key.Public{}, fmt.Errorf("%s: %w", id, key.ErrNoVersion)
}

// refused adds ErrNoVersion to a refusal when the version is not there any more. Vault says so by 400 and a text, which differs from
// release to release, so the key is asked.
func (k *Key) refused(ctx context.Context, id key.ID, err error) error {
	var answered *Error
	if !errors.As(err, &answered) || answered.Status != http.StatusBadRequest && answered.Status != http.StatusNotFound {
		return err
	}
	if _, gone := k.public(ctx, id.Version, true); errors.Is(gone, key.ErrNoVersion) {
		return fmt.Errorf("%w: %w", gone, err)
	}
	return err
}

// Retire raises the key's minimum versions to least where they are below, and then destroys the versions below. Done again, it does
// nothing.
func (k *Key) Retire(ctx context.Context, least int) error {
	path := k.mount + "/keys/" + k.name
	var last error
	for range maxTries {
		s, err := k.read(ctx)
		if err != nil {
			return err
		}
		if s == nil || least <= 1 || s.retired(least) {
			return nil
		}
		if least > s.settings.Latest {
			return fmt.Errorf("the newest version of the key %s is %d: retiring all below %d would leave none; rotate first", k.name, s.settings.Latest, least)
		}
		// Another process may have raised a minimum since it was read; were it lowered by this, that one sees it when its trim is refused.
		if s.settings.MinDecryption < least || s.settings.MinEncryption < least {
			decryption := max(least, s.settings.MinDecryption)
			encryption := max(decryption, s.settings.MinEncryption) // Vault wants it not to be lower
			raised := map[string]int{"min_decryption_version": decryption, "min_encryption_version": encryption}
			r := request{doing: fmt.Sprintf("retire the versions of %s below %d", k.name, least), method: http.MethodPost, path: path + "/config", body: raised}
			_, last = k.c.do(ctx, r, "update")
		} else {
			last = nil
		}
		if last == nil {
			r := request{doing: fmt.Sprintf("destroy the versions of %s below %d", k.name, least), method: http.MethodPost, path: path + "/trim",
				body: map[string]int{"min_available_version": least}}
			_, last = k.c.do(ctx, r, "update")
		}
		// 400 is what a process is told that others were faster than.
		if answered := (*Error)(nil); last != nil && (!errors.As(last, &answered) || answered.Status != http.StatusBadRequest) {
			return last
		}
	}
	return errors.Join(fmt.Errorf("retire the versions of %s below %d: Vault does not show it as done", k.name, least), last)
}

// retired says whether the versions below least are destroyed, and stay so.
func (s *state) retired(least int) bool {
	return min(s.settings.MinDecryption, s.settings.MinEncryption, s.settings.MinAvailable) >= least
}

func (k *Key) failed(doing string, err error) error {
	return fmt.Errorf("%s the key %s: %w", doing, k.name, err)
}

// read asks for the key. There is no state when there is no key.
func (k *Key) read(ctx context.Context) (*state, error) {
	r := request{doing: "read the key " + k.name, method: http.MethodGet, path: k.mount + "/keys/" + k.name}
	e, err := k.c.do(ctx, r, "read")
	var answered *Error
	if errors.As(err, &answered) && answered.Status == http.StatusNotFound && len(answered.Messages) == 0 {
		return nil, nil // with a message it is the mount that is not there
	}
	if err != nil {
		return nil, err
	}
	s, err := k.accept(e.Data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.doing, err)
	}
	return s, nil
}

// accept reads a key's state, and compares it with what was seen of the key before.
func (k *Key) accept(data json.RawMessage) (*state, error) {
	s, err := parseState(data, k.name)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range s.versions {
		if seen := k.seen[p.ID.Version]; seen != nil && !seen.Equal(p.Key) {
			return nil, fmt.Errorf("%s: %w", p.ID, ErrReplaced)
		}
	}
	for _, p := range s.versions {
		k.seen[p.ID.Version] = p.Key
	}
	return s, nil
}
