//go:build e2e

package trust_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	sigs "github.com/holdfast-telemetry/holdfast/trust/signature"
)

// forge returns signatures in whose payloads one digest is replaced by another. The signatures over the payloads stay.
func forge(signatures *remote.Descriptor, digest, by string) (v1.Image, error) {
	image, err := signatures.Image()
	if err != nil {
		return nil, err
	}
	m, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	forged := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, descriptor := range m.Layers {
		layer, err := image.LayerByDigest(descriptor.Digest)
		if err != nil {
			return nil, err
		}
		content, err := layer.Compressed()
		if err != nil {
			return nil, err
		}
		payload, err := io.ReadAll(content)
		if err != nil {
			return nil, err
		}
		payload = bytes.ReplaceAll(payload, []byte(digest), []byte(by))
		forged, err = mutate.Append(forged, mutate.Addendum{Layer: static.NewLayer(payload, descriptor.MediaType), Annotations: descriptor.Annotations})
		if err != nil {
			return nil, err
		}
	}
	return forged, nil
}

// alter returns an image with one more layer.
func alter(image v1.Image) (v1.Image, error) {
	return mutate.AppendLayers(image, static.NewLayer([]byte("something else"), types.DockerLayer))
}

// signBy signs an image by a private key that no store has.
func signBy(t *testing.T, private *ecdsa.PrivateKey, id key.ID, image name.Digest) {
	t.Helper()
	client, err := sigs.NewClient(sigs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	order := sigs.Order{Key: key.Public{ID: id, Key: &private.PublicKey}, Sign: func(_ context.Context, hashes []key.Hash) (all [][]byte, err error) {
		for _, h := range hashes {
			signed, err := ecdsa.SignASN1(rand.Reader, private, h[:])
			if err != nil {
				return nil, err
			}
			all = append(all, signed)
		}
		return all, nil
	}}
	if _, err := (&sigs.Legacy{Client: client}).Write(t.Context(), sigs.Target{Image: image}, order); err != nil {
		t.Fatal(err)
	}
}
