package keystore

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Key is the store of one named key. It is a key.Store.
type Key struct {
	folder *Folder
	name   string
	path   string

	mu   sync.Mutex
	text []byte // the file that held is from
	held *held
	// What this process has seen of the key: a file that contradicts it is another one.
	newest int
	seen   map[int][]byte // version to the uncompressed point
}

var _ key.Store = (*Key)(nil)

// held is an opened file.
type held struct {
	newest   int // version ever made
	versions []version
}

type version struct {
	number  int
	created time.Time
	private *ecdsa.PrivateKey
}

// Keys returns the versions in the file. There being no file is no error.
func (k *Key) Keys(ctx context.Context) ([]key.Public, error) {
	h, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]key.Public, len(h.versions))
	for i, v := range h.versions {
		all[i] = k.public(v)
	}
	return all, nil
}

// Sign signs hashes with a version.
func (k *Key) Sign(ctx context.Context, number int, hashes []key.Hash) ([][]byte, error) {
	h, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	i, ok := slices.BinarySearchFunc(h.versions, number, func(v version, number int) int { return v.number - number })
	if !ok || number < 1 {
		return nil, fmt.Errorf("%s: %w", key.ID{Name: k.name, Version: number}, key.ErrNoVersion)
	}
	signatures := make([][]byte, len(hashes))
	for j, hash := range hashes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if signatures[j], err = ecdsa.SignASN1(rand.Reader, h.versions[i].private, hash[:]); err != nil {
			return nil, fmt.Errorf("signing with %s/%d: %w", k.name, number, err)
		}
	}
	return signatures, nil
}

// Rotate makes a version, and the file when it is the first. It refuses a secret that does not open the other files of the folder.
func (k *Key) Rotate(ctx context.Context) (key.Public, error) {
	var made version
	err := k.change(ctx, func(h *held) (*held, error) {
		switch {
		case len(h.versions) == maxVersions:
			return nil, fmt.Errorf("the key %s has %d versions, and more cannot be held: retire old ones first", k.name, maxVersions)
		case h.newest >= maxNumber:
			return nil, fmt.Errorf("the key %s has used all its version numbers: use another name", k.name)
		}
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making a key: %w", err)
		}
		made = version{h.newest + 1, k.folder.now().UTC().Truncate(time.Microsecond), private}
		if n := len(h.versions); n > 0 && made.created.Before(h.versions[n-1].created) { // the clock went back
			made.created = h.versions[n-1].created
		}
		return &held{made.number, append(slices.Clip(h.versions), made)}, nil
	})
	if err != nil {
		return key.Public{}, err
	}
	return k.public(made), nil
}

// Retire drops the private halves of the versions below least from the file, and the public ones with them. Copies of the file that were
// made before still have them.
func (k *Key) Retire(ctx context.Context, least int) error {
	return k.change(ctx, func(h *held) (*held, error) {
		left := slices.DeleteFunc(slices.Clone(h.versions), func(v version) bool { return v.number < least })
		switch {
		case len(left) == len(h.versions):
			return nil, nil
		case len(left) == 0:
			return nil, fmt.Errorf("the newest version of the key %s is %d: retiring all below %d would leave none; rotate first", k.name, h.newest, least)
		}
		return &held{h.newest, left}, nil
	})
}

// change replaces the file by what next makes of the present one, which it must not alter. Nothing changes when next returns nil.
func (k *Key) change(ctx context.Context, next func(*held) (*held, error)) error {
	unlock, err := k.folder.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	h, err := k.current(ctx)
	if err != nil {
		return err
	}
	if h.newest == 0 {
		if err := k.folder.trySecret(ctx); err != nil {
			return err
		}
	}
	h, err = next(h)
	if err != nil || h == nil {
		return err
	}
	secret := k.folder.present()
	material, err := secret.read()
	if err != nil {
		return err
	}
	defer clear(material)
	if err := ctx.Err(); err != nil {
		return err
	}
	return k.folder.write(k.path, k.name, h, secret, material)
}

// trySecret returns an error when there are files and the secret opens none of them: a new file under a mistyped passphrase would be
// noticed at the next start only.
func (f *Folder) trySecret(ctx context.Context) error {
	names, err := f.Names()
	if err != nil {
		return err
	}
	var refused error
	for _, name := range names {
		k, err := f.Key(name)
		if err == nil {
			_, err = k.current(ctx)
		}
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrSecret) {
			refused = err
		}
	}
	return refused
}

// current returns what the file holds now. It reads it at every call, which costs less than a signature, and opens it when its bytes
// are others than before. The result is not to be altered.
func (k *Key) current(ctx context.Context) (*held, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	text, err := k.folder.read(k.path)
	if errors.Is(err, fs.ErrNotExist) && k.newest == 0 {
		return &held{}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is gone: %w", k.path, ErrReplaced)
	}
	if err != nil {
		return nil, err
	}
	if k.held != nil && bytes.Equal(text, k.text) {
		return k.held, nil
	}
	parsed, err := parse(text, k.name)
	if err != nil {
		return nil, at(k.path, err)
	}
	h, err := k.folder.present().open(parsed)
	if err != nil {
		return nil, at(k.path, err)
	}
	if err := k.follows(h); err != nil {
		return nil, err
	}
	k.text, k.held = text, h
	return h, nil
}

// follows takes over what a file says, if it can be the successor of what was seen before.
func (k *Key) follows(h *held) error {
	if h.newest < k.newest {
		return fmt.Errorf("%s ends with version %d, and version %d was there already: %w", k.path, h.newest, k.newest, ErrReplaced)
	}
	points := make([][]byte, len(h.versions))
	for i, v := range h.versions {
		point, err := v.private.PublicKey.Bytes()
		if err != nil {
			return fmt.Errorf("%s: version %d: %w", k.path, v.number, err)
		}
		if seen := k.seen[v.number]; seen != nil && !bytes.Equal(seen, point) {
			return fmt.Errorf("%s has another key as version %d than before: %w", k.path, v.number, ErrReplaced)
		}
		points[i] = point
	}
	for i, v := range h.versions {
		k.seen[v.number] = points[i]
	}
	k.newest = h.newest
	return nil
}

func (k *Key) public(v version) key.Public {
	return key.Public{ID: key.ID{Name: k.name, Version: v.number}, Key: &v.private.PublicKey, Created: v.created}
}
