package signature

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// ahead is by how much the clock of whoever signed may be ahead of this one's, for a signature to be fresh.
const ahead = 5 * time.Minute

// Legacy writes signatures as images with one layer for each, named by a tag that follows from the digest of what is signed: what
// policy-controller verifies with a key.
type Legacy struct {
	Client *Client
	// Now is the clock that signatures are dated by; time.Now by default.
	Now func() time.Time
}

var _ Writer = (*Legacy)(nil)

// Write signs an image as ordered. See [Writer].
func (w *Legacy) Write(ctx context.Context, target Target, order Order) (Result, error) {
	tag, err := target.Tag()
	if err != nil {
		return Result{}, err
	}
	if order.Key.Key == nil || order.Sign == nil {
		return Result{}, fmt.Errorf("signing %s: there is no key to sign with", target.Image)
	}
	release, err := writing.acquire(ctx, tag.Name())
	if err != nil {
		return Result{}, fmt.Errorf("waiting for another signature of %s: %w", target.Image, err)
	}
	defer release()
	write := &write{Client: w.Client, tag: tag, target: target, order: order, now: time.Now}
	if w.Now != nil {
		write.now = w.Now
	}
	result, err := write.run(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("signing %s: %w", target.Image, err)
	}
	return result, nil
}

// write is the making of one signature.
type write struct {
	*Client
	tag    name.Tag
	target Target
	order  Order
	image  v1.Hash
	now    func() time.Time

	kept   *v1.Descriptor
	keptBy key.ID
}

func (w *write) run(ctx context.Context) (Result, error) {
	var err error
	if w.image, err = w.target.hash(); err != nil {
		return Result{}, err
	}
	result := Result{Tag: w.tag}
	if w.order.Fresh > 0 || len(w.others()) > 0 {
		fresh, manifest, err := w.look(ctx)
		if err != nil {
			return Result{}, err
		}
		if fresh != nil {
			result.Manifest, result.Issued = manifest, fresh.Issued
			return result, nil
		}
	}
	payload := Payload{Reference: w.target.Image.Context().Name(), Digest: w.image, Issued: w.now().UTC().Truncate(time.Second), Key: w.order.Key.ID}
	text, err := payload.Marshal()
	if err != nil {
		return Result{}, err
	}
	signature, err := w.sign(ctx, sha256.Sum256(text))
	if err != nil {
		return Result{}, err
	}
	if result.Manifest, err = w.put(ctx, text, writeLayer(text, signature, payload.Issued)); err != nil {
		return Result{}, err
	}
	result.Written, result.Issued, result.Kept = true, payload.Issued, w.keptBy
	return result, nil
}

// others are the keys that still count, besides the one that signs now.
func (w *write) others() (keys []key.Public) {
	for _, k := range w.order.Keep {
		if !k.Key.Equal(w.order.Key.Key) {
			keys = append(keys, k)
		}
	}
	return keys
}

// look finds what is there: a signature that is fresh, or else one to keep. What makes no sense is overwritten.
func (w *write) look(ctx context.Context) (fresh *Payload, digest v1.Hash, err error) {
	text, err := w.manifest(ctx, w.tag, push)
	if err != nil {
		if errors.Is(err, errNothing) || tooLong(err) {
			err = nil // nothing is there, or more than a signature has
		}
		return nil, digest, err
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, digest, nil
	}
	if r, err := w.registry(w.tag.Registry); err == nil {
		for _, c := range configs[1:] {
			if d := digestOf(c).String(); d == m.Config.Digest {
				r.remember(w.tag.Context(), d, true)
			}
		}
	}
	fresh, err = w.weigh(ctx, m)
	return fresh, digestOf(text), err
}

func (w *write) weigh(ctx context.Context, m *manifest) (*Payload, error) {
	var newest time.Time
	others := w.others()
	now := w.now()
	for _, l := range m.Layers[:min(len(m.Layers), MaxLayers)] {
		by, h, err := l.signer(append([]key.Public{w.order.Key}, others...))
		if err != nil {
			continue
		}
		p, err := w.payload(ctx, l, by.ID, h)
		if errors.Is(err, ErrUnchecked) {
			return nil, err
		}
		if err != nil {
			continue
		}
		if by.Key.Equal(w.order.Key.Key) {
			if age := now.Sub(p.Issued); age < w.order.Fresh && age > -ahead {
				return &p, nil
			}
		} else if (w.kept == nil || p.Issued.After(newest)) && l.annotationBytes() <= maxKept {
			kept := l.kept(h)
			w.kept, w.keptBy, newest = &kept, by.ID, p.Issued
		}
	}
	return nil, nil
}

// payload is what a layer is over. What this package wrote follows from what is known, without a request.
func (w *write) payload(ctx context.Context, l layer, by key.ID, h key.Hash) (Payload, error) {
	if p, ok := l.guess(w.target.Image.Context().Name(), w.image, by, h); ok {
		return p, nil
	}
	return w.Client.payload(ctx, w.tag.Context(), push, l, w.image, h)
}

// sign asks for one signature, and does not believe it.
func (w *write) sign(ctx context.Context, h key.Hash) ([]byte, error) {
	signatures, err := w.order.Sign(ctx, []key.Hash{h})
	if err != nil {
		return nil, fmt.Errorf("by %s: %w", w.order.Key.ID, err)
	}
	if len(signatures) != 1 || !key.Verify(w.order.Key.Key, h, signatures[0]) {
		return nil, fmt.Errorf("what the key store gave as a signature by %s is none; nothing was written", w.order.Key.ID)
	}
	return signatures[0], nil
}

// put writes the image of signatures. What it consists of has to be there before.
func (w *write) put(ctx context.Context, payload []byte, layer v1.Descriptor) (v1.Hash, error) {
	for attempt := 1; ; attempt++ {
		layers := []v1.Descriptor{layer}
		if w.kept != nil {
			layers = append(layers, *w.kept)
		}
		digest, err := w.putOnce(ctx, payload, layers)
		switch {
		case !blobUnknown(err) || attempt == 3:
			return digest, err
		case attempt == 2: // it is not what was just uploaded, so the content of what was to be kept is lost
			w.kept, w.keptBy = nil, key.ID{}
		}
	}
}

func (w *write) putOnce(ctx context.Context, payload []byte, layers []v1.Descriptor) (v1.Hash, error) {
	text, err := writeManifest(layers...)
	if err != nil {
		return v1.Hash{}, err
	}
	r, err := w.registry(w.tag.Registry)
	if err != nil {
		return v1.Hash{}, err
	}
	repo, config := w.tag.Context(), configs[len(layers)]
	if of := digestOf(config).String(); !r.has(repo, of) {
		if err := w.putBlob(ctx, repo, config); err != nil {
			return v1.Hash{}, err
		}
		r.remember(repo, of, true)
	}
	if err := w.putBlob(ctx, repo, payload); err != nil {
		return v1.Hash{}, err
	}
	err = w.putManifest(ctx, w.tag, text)
	if blobUnknown(err) { // it was there once
		r.remember(repo, digestOf(config).String(), false)
	}
	return digestOf(text), err
}
