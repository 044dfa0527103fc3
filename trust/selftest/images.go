package selftest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

// Images are the two that a cluster is tested with. They are the same everywhere, so that their digests are known before they are made. They
// hold no file.
type Images struct {
	Repository name.Repository
	Registries *signature.Client
	Reader     *signature.Reader
}

// Names of the images: tags that keep a registry from clearing them away.
const (
	goodTag = "holdfast-selftest-good"
	badTag  = "holdfast-selftest-bad"
)

// layer is an archive without files: two empty blocks.
var layer = make([]byte, 1024)

// config is the configuration of an image.
func config(tag string) []byte {
	sum := sha256.Sum256(layer)
	return []byte(`{"architecture":"amd64","os":"linux","config":{"Labels":{"dev.holdfast.selftest":"` + tag + `"}},"rootfs":{"type":"layers","diff_ids":["sha256:` + hex.EncodeToString(sum[:]) + `"]}}`)
}

// References are the images of a repository.
func References(repository name.Repository) (good, bad string, err error) {
	of := func(tag string) string {
		if err != nil {
			return ""
		}
		var digest name.Digest
		digest, err = signature.ImageDigest(repository, config(tag), layer)
		return digest.Name()
	}
	return of(goodTag), of(badTag), err
}

// Keep makes what is missing of the images, has the good one signed, and sees to it that the bad one is signed by a key that nobody has.
func (i *Images) Keep(ctx context.Context, sign func(reference string) error) error {
	good, err := i.Registries.PutImage(ctx, i.Repository.Tag(goodTag), config(goodTag), layer)
	if err != nil {
		return fmt.Errorf("making the image of the self-test that is signed: %w", err)
	}
	if err := sign(good.Name()); err != nil {
		return fmt.Errorf("signing the image of the self-test: %w", err)
	}
	bad, err := i.Registries.PutImage(ctx, i.Repository.Tag(badTag), config(badTag), layer)
	if err != nil {
		return fmt.Errorf("making the image of the self-test that is not signed: %w", err)
	}
	if err := i.spoil(ctx, bad); err != nil {
		return fmt.Errorf("signing the other image of the self-test by a key that nobody has: %w", err)
	}
	return nil
}

// spoil signs an image by a key that is forgotten at once, unless there is a signature already: a cluster is to refuse a wrong key, and not
// only what has no signature.
func (i *Images) spoil(ctx context.Context, bad name.Digest) error {
	target := signature.Target{Image: bad}
	report, err := i.Reader.Read(ctx, target, nil)
	if err != nil || len(report.Layers) > 0 {
		return err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	order := signature.Order{Key: key.Public{ID: key.ID{Name: "nobody", Version: 1}, Key: &private.PublicKey}, Sign: func(_ context.Context, hashes []key.Hash) ([][]byte, error) {
		var all [][]byte
		for _, h := range hashes {
			s, err := ecdsa.SignASN1(rand.Reader, private, h[:])
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
		return all, nil
	}}
	_, err = (&signature.Legacy{Client: i.Registries}).Write(ctx, target, order)
	return err
}
