// Package key is what all rooms of holdfast-trust say of signing keys: their names, their public halves, and the store that holds the
// private halves.
//
// Keys are ECDSA on the curve P-256, sign SHA-256 hashes, and rotate by version: a store holds one named key in several versions, as the
// transit engine of Vault and OpenBao does.
package key

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ID names a version of a key, written NAME/VERSION: images/7.
type ID struct {
	Name    string
	Version int // from 1
}

func (id ID) String() string { return id.Name + "/" + strconv.Itoa(id.Version) }

// ParseID reads what String writes, and nothing else.
func ParseID(text string) (ID, error) {
	name, version, ok := strings.Cut(text, "/")
	n, err := strconv.Atoi(version)
	id := ID{name, n}
	if !ok || err != nil || n < 1 || id.String() != text {
		return ID{}, fmt.Errorf("%q is no key: NAME/VERSION is wanted, as in images/7", text)
	}
	return id, CheckName(name)
}

// maxName bounds the name of a key, in bytes.
const maxName = 63

// CheckName says whether a key can have this name. It is part of paths and of the names of authorities.
func CheckName(name string) error {
	ok := name != "" && len(name) <= maxName && name[0] != '-' && name[len(name)-1] != '-'
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("%q cannot be the name of a key: lower-case letters, digits and inner hyphens are wanted, at most %d", name, maxName)
	}
	return nil
}

// MarshalText writes NAME/VERSION.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads NAME/VERSION.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// Public is the public half of a version.
type Public struct {
	ID      ID
	Key     *ecdsa.PublicKey
	Created time.Time
}

// Hash is what is signed: the SHA-256 of the bytes that a signature is over.
type Hash = [sha256.Size]byte

// Verify says whether a signature, ECDSA in ASN.1 DER, is by this key over a hash.
func Verify(public *ecdsa.PublicKey, hash Hash, signature []byte) bool {
	return ecdsa.VerifyASN1(public, hash[:], signature)
}

// ErrNoVersion is for a version that a store does not have, or has no longer.
var ErrNoVersion = errors.New("the store has no such version of the key")

// Store holds the versions of one key. Private halves never leave it. Its methods may be called from several goroutines, and several
// processes may use one store.
type Store interface {
	// Keys returns the versions that can sign, the oldest first. A store without any version returns none, and no error.
	Keys(ctx context.Context) ([]Public, error)
	// Rotate makes a version, newer than all others, and returns it. It also makes the first.
	Rotate(ctx context.Context) (Public, error)
	// Sign signs each hash with a version, which need not be the newest. Signatures are ASN.1 DER, in the order of the hashes. When one
	// of them cannot be made, there is an error and no signature. ErrNoVersion is in it when the version is not there.
	Sign(ctx context.Context, version int, hashes []Hash) ([][]byte, error)
	// Retire destroys the versions below least for good. There being none is no error; destroying all of them is.
	Retire(ctx context.Context, least int) error
}

const pemType = "PUBLIC KEY"

// MarshalPEM writes a public key as PEM of its SubjectPublicKeyInfo, as cosign and policy-controller read it.
func MarshalPEM(public *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding a public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ParsePEM reads one public key, with nothing after it.
func ParsePEM(text []byte) (*ecdsa.PublicKey, error) {
	public, rest, err := next(text)
	if err == nil && len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("there is something after the public key")
	}
	return public, err
}

// ParsePEMs reads public keys that follow one another: one or more.
func ParsePEMs(text []byte) (all []*ecdsa.PublicKey, err error) {
	for {
		public, rest, err := next(text)
		if err != nil {
			return nil, err
		}
		all = append(all, public)
		if text = bytes.TrimSpace(rest); len(text) == 0 {
			return all, nil
		}
	}
}

// next reads a public key and returns what comes after it.
func next(text []byte) (*ecdsa.PublicKey, []byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, nil, fmt.Errorf("there is no PEM block %q", pemType)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a public key: %w", err)
	}
	p256, ok := public.(*ecdsa.PublicKey)
	if !ok || p256.Curve != elliptic.P256() {
		return nil, nil, errors.New("the public key is not ECDSA on the curve P-256")
	}
	return p256, rest, nil
}
