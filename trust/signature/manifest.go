package signature

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Names of the form.
const (
	// PayloadMediaType is that of the layers.
	PayloadMediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	// SignatureAnnotation is what carries the signature of a layer.
	SignatureAnnotation = "dev.cosignproject.cosign/signature"
	// createdAnnotation says when a layer was signed, as the payload does. Nobody has to believe it: with it, who knows an image and a
	// key can write the payload down, and sees from its hash whether the layer is just that.
	createdAnnotation = "org.opencontainers.image.created"
)

// Bounds of a manifest.
const (
	// MaxManifest is how many bytes it may have: what registries have to accept.
	MaxManifest = 4 << 20
	// MaxLayers is how many of its layers are looked at, as many as cosign does.
	MaxLayers = 1000
	// maxSignature bounds a signature in base64, in bytes. One on P-256 has at most 96.
	maxSignature = 1024
	// maxKept bounds the annotations of a layer that is kept, in bytes.
	maxKept = 64 << 10
)

// layer is one of a manifest, as it is there.
type layer struct {
	MediaType   string            `json:"mediaType"`
	Size        int64             `json:"size"`
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// manifest is what is needed of one.
type manifest struct {
	Config struct {
		Digest string `json:"digest"`
	} `json:"config"`
	Layers []layer `json:"layers"`
}

// parseManifest reads a manifest. A layer that makes no sense does not spoil the others.
func parseManifest(text []byte) (*manifest, error) {
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("the manifest is no JSON of its form: %w", err)
	}
	return &m, nil
}

// configs are the configurations of images with one and with two layers. They say of each layer only that it is there, so that they are
// the same for all signatures and are uploaded once: verifiers ignore them, and Quay counts the history.
var configs = [...][]byte{nil, config(1), config(2)}

func config(layers int) []byte {
	history := strings.TrimSuffix(strings.Repeat(`{"created":"0001-01-01T00:00:00Z"},`, layers), ",")
	return []byte(`{"architecture":"","created":"0001-01-01T00:00:00Z","history":[` + history + `],"os":"","rootfs":{"type":"layers","diff_ids":[]},"config":{}}`)
}

// writeManifest makes the manifest of layers, of which there are one or two.
func writeManifest(layers ...v1.Descriptor) ([]byte, error) {
	c := configs[len(layers)]
	text, err := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: layers,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(c)), Digest: digestOf(c)}})
	if err != nil {
		return nil, fmt.Errorf("encoding a manifest: %w", err)
	}
	return text, nil
}

// writeLayer makes the layer of a payload and its signature.
func writeLayer(payload, signature []byte, issued time.Time) v1.Descriptor {
	return v1.Descriptor{MediaType: PayloadMediaType, Size: int64(len(payload)), Digest: digestOf(payload), Annotations: map[string]string{
		SignatureAnnotation: base64.StdEncoding.EncodeToString(signature),
		createdAnnotation:   issued.UTC().Format(time.RFC3339),
	}}
}

// kept is the layer as it is written again.
func (l layer) kept(h key.Hash) v1.Descriptor {
	return v1.Descriptor{MediaType: PayloadMediaType, Size: l.Size, Digest: digest(h), Annotations: l.Annotations}
}

func (l layer) annotationBytes() (n int) {
	for name, value := range l.Annotations {
		n += len(name) + len(value)
	}
	return n
}

// signer says which key signed a layer. The payload is not needed for it: what is signed is its hash, and so is what names the layer.
func (l layer) signer(keys []key.Public) (key.Public, key.Hash, error) {
	h, signature, err := l.signed()
	if err != nil {
		return key.Public{}, h, err
	}
	for _, k := range keys {
		if key.Verify(k.Key, h, signature) {
			return k, h, nil
		}
	}
	return key.Public{}, h, ErrOtherKey
}

// signed is what the layer says to be signed, and the signature.
func (l layer) signed() (h key.Hash, signature []byte, err error) {
	encoded := l.Annotations[SignatureAnnotation]
	digest, err := imageHash(l.Digest)
	switch {
	case l.MediaType != PayloadMediaType:
		return h, nil, fmt.Errorf("%w: its media type is %.80q", ErrMalformed, l.MediaType)
	case err != nil:
		return h, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case l.Size < 1 || l.Size > MaxPayload:
		return h, nil, fmt.Errorf("%w: its payload has %d bytes, and may have %d", ErrMalformed, l.Size, MaxPayload)
	case encoded == "" || len(encoded) > maxSignature:
		return h, nil, fmt.Errorf("%w: its annotation %s has %d bytes", ErrMalformed, SignatureAnnotation, len(encoded))
	}
	if signature, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		return h, nil, fmt.Errorf("%w: its annotation %s is no base64", ErrMalformed, SignatureAnnotation)
	}
	_, err = hex.Decode(h[:], []byte(digest.Hex))
	return h, signature, err
}

// guess is the payload, where it is what this package writes for an image and a key.
func (l layer) guess(reference string, image v1.Hash, id key.ID, h key.Hash) (Payload, bool) {
	issued, err := time.Parse(time.RFC3339, l.Annotations[createdAnnotation])
	if err != nil {
		return Payload{}, false
	}
	p := Payload{Reference: reference, Digest: image, Issued: issued.UTC().Truncate(time.Second), Key: id}
	text, err := p.Marshal()
	return p, err == nil && int64(len(text)) == l.Size && sha256.Sum256(text) == h
}

// payload reads what a layer is over, and holds it against the image.
func (l layer) payload(text []byte, image v1.Hash, h key.Hash) (Payload, error) {
	if sha256.Sum256(text) != h {
		return Payload{}, fmt.Errorf("%w: the registry answers with other content than %s", ErrMalformed, digest(h))
	}
	p, err := ParsePayload(text)
	if err != nil {
		return Payload{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if p.Digest != image {
		return p, fmt.Errorf("%w: %s", ErrOtherImage, p.Digest)
	}
	return p, nil
}

func digestOf(content []byte) v1.Hash { return digest(sha256.Sum256(content)) }

func digest(h key.Hash) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h[:])} }
