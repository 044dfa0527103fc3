// Package signature writes, reads and deletes signatures of container images in registries, in the form that cosign and policy-controller
// verify with a public key. FORMAT.md describes the bytes.
//
// # What it promises
//
// A signature needs the digest of an image and nothing else: the image is not read, and where the signature goes into another repository
// the registry of the image is not contacted at all. Only the tag sha256-HEX.sig of the repository that is asked for is ever written, and
// always whole: a signature replaces the earlier ones, but for one by another key that still counts. Inside a process, one at a time
// writes a tag. Nothing is written that its own public key does not verify.
//
// Every request, answer and wait is bounded. A registry that cannot be asked is never taken for one that has no signature: see
// [ErrUnchecked] and [ErrNotSigned].
//
// # What it does not do
//
// It holds no private key and decides neither when keys change nor which of them count. It does not resolve tags. Two processes that sign
// one image at the same moment both succeed, and the signature of the one that was later stays: registries have no conditional writes.
// It does not read back what it wrote, but the digest that the registry answers with is compared.
package signature

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Target is an image and the place of its signature.
type Target struct {
	// Image names the image by a SHA-256 digest. For an image of several platforms that is the digest of its index.
	Image name.Digest
	// Into is the repository that holds the signature; the zero value is the image's own.
	Into name.Repository
}

// suffix ends the tags of signatures.
const suffix = ".sig"

// hash is the digest of the image.
func (t Target) hash() (v1.Hash, error) { return imageHash(t.Image.DigestStr()) }

func imageHash(digest string) (v1.Hash, error) {
	h, err := v1.NewHash(digest)
	if err != nil || h.Algorithm != "sha256" || h.Hex != strings.ToLower(h.Hex) {
		return v1.Hash{}, fmt.Errorf("%q is no digest of an image: sha256: and 64 lower-case hexadecimal digits are wanted", digest)
	}
	return h, nil
}

// Tag is where the signature is.
func (t Target) Tag() (name.Tag, error) {
	h, err := t.hash()
	if err != nil {
		return name.Tag{}, err
	}
	into := t.Into
	if into == (name.Repository{}) {
		into = t.Image.Context()
	}
	return into.Tag(h.Algorithm + "-" + h.Hex + suffix), nil
}

// Signer signs hashes with one version of a key: ECDSA in ASN.1 DER, in the order of the hashes, or an error and no signature.
type Signer func(ctx context.Context, hashes []key.Hash) ([][]byte, error)

// Order says by whom a signature is made, and which of the earlier ones still count.
type Order struct {
	// Key is the version that Sign signs with. It verifies each signature before that is written.
	Key  key.Public
	Sign Signer
	// Keep are the keys that still count. Of the earlier signatures, the newest by one of them other than Key is kept.
	Keep []key.Public
	// Fresh leaves everything as it is where a signature by Key is that was issued less than this ago. Zero always signs.
	Fresh time.Duration
}

// Result is what became of an order.
type Result struct {
	Tag name.Tag
	// Written is false where a fresh signature was there.
	Written bool
	// Manifest is the digest of what the tag names now.
	Manifest v1.Hash
	// Issued is when the signature was made, in whole seconds.
	Issued time.Time
	// Kept is the other key whose signature was kept; zero is none.
	Kept key.ID
}

// Writer writes signatures of one form. It may be called from several goroutines.
type Writer interface {
	// Write signs an image as ordered, and puts the signature where the verifiers of that form look for it.
	Write(ctx context.Context, target Target, order Order) (Result, error)
}

// ErrUnchecked is in an error when a registry could not be asked: it is out of reach, refuses the credentials, or is overloaded. It says
// nothing about the signature.
var ErrUnchecked = errors.New("the signature could not be checked")

// ErrNotSigned is in an error when the registry was asked, and has no signature of the image by a key that counts.
var ErrNotSigned = errors.New("not signed by a key that counts")

// ErrNoImage is in an error when the registry was asked, and does not have the image itself.
var ErrNoImage = errors.New("the image is not in its registry")

// Reasons for which a layer is no signature.
var (
	ErrMalformed  = errors.New("is no signature of this form")
	ErrOtherKey   = errors.New("is by no key that was given")
	ErrOtherImage = errors.New("is of another image")
	ErrMissing    = errors.New("its content is not in the registry")
)
