package signature

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// imageManifest is the manifest of an image with one layer, an archive that is not compressed.
func imageManifest(config, layer []byte) ([]byte, error) {
	text, err := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(config)), Digest: digestOf(config)},
		Layers: []v1.Descriptor{{MediaType: types.OCIUncompressedLayer, Size: int64(len(layer)), Digest: digestOf(layer)}}})
	if err != nil {
		return nil, fmt.Errorf("encoding a manifest: %w", err)
	}
	return text, nil
}

// ImageDigest names the image that PutImage makes.
func ImageDigest(repository name.Repository, config, layer []byte) (name.Digest, error) {
	text, err := imageManifest(config, layer)
	return repository.Digest(digestOf(text).String()), err
}

// PutImage makes an image with one layer, unless the tag names it already. It is for images that are to be signed and hold nothing.
func (c *Client) PutImage(ctx context.Context, tag name.Tag, config, layer []byte) (name.Digest, error) {
	text, err := imageManifest(config, layer)
	if err != nil {
		return name.Digest{}, err
	}
	digest := tag.Context().Digest(digestOf(text).String())
	there, err := c.manifest(ctx, tag, push)
	if err == nil && bytes.Equal(there, text) {
		return digest, nil
	}
	if err != nil && !errors.Is(err, errNothing) && !tooLong(err) {
		return name.Digest{}, err
	}
	for _, blob := range [][]byte{config, layer} {
		if err := c.putBlob(ctx, tag.Context(), blob); err != nil {
			return name.Digest{}, err
		}
	}
	return digest, c.putManifest(ctx, tag, text)
}
