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

// Reader reads and verifies signatures as the verifiers of a cluster do.
type Reader struct {
	Client *Client
}

// Report is what a registry has of the signatures of an image.
type Report struct {
	Target Target
	Tag    name.Tag
	// Manifest is the digest of the manifest that the signatures are in; zero where there is none.
	Manifest v1.Hash
	Layers   []Layer
	// More is how many layers there are that were not looked at.
	More int
	// Problem is why the manifest makes no sense, where it does not.
	Problem error
}

// Layer is one signature, or what is in the place of one.
type Layer struct {
	Digest string
	// Key made the signature; zero where it is none that counts.
	Key key.ID
	// Payload is what the signature is over, as far as it was read.
	Payload Payload
	// Err is why it does not count: [ErrMalformed], [ErrOtherKey], [ErrOtherImage], [ErrMissing] or [ErrUnchecked] is in it.
	Err error
}

// Read fetches the signatures of an image and verifies them by keys. It has an error when the registry cannot be asked, and that has
// [ErrUnchecked] in it; no signature, or none that counts, is no error of Read but of [Report.Err]. A target that can name no image is an
// error without it.
func (r *Reader) Read(ctx context.Context, target Target, keys []key.Public) (*Report, error) {
	tag, err := target.Tag()
	if err != nil {
		return nil, err
	}
	image, err := target.hash()
	if err != nil {
		return nil, err
	}
	report := &Report{Target: target, Tag: tag}
	text, err := r.Client.manifest(ctx, tag, pull)
	switch {
	case errors.Is(err, errNothing):
		return report, nil
	case tooLong(err): // it has answered, with what no verifier takes
		report.Problem = fmt.Errorf("%w: %w", ErrMalformed, err)
		return report, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	report.Manifest = digestOf(text)
	m, err := parseManifest(text)
	if err != nil {
		report.Problem = fmt.Errorf("%w: %w", ErrMalformed, err)
		return report, nil
	}
	looked := m.Layers[:min(len(m.Layers), MaxLayers)]
	report.More = len(m.Layers) - len(looked)
	for _, l := range looked {
		report.Layers = append(report.Layers, r.Client.read(ctx, tag.Context(), l, image, keys))
	}
	return report, report.unchecked()
}

// Exists is nil where the registry has an image, and has [ErrNoImage] in it where it has not: a signature alone lets nothing run. It has
// [ErrUnchecked] in it where the registry could not be asked.
func (r *Reader) Exists(ctx context.Context, image name.Digest) error {
	err := r.Client.head(ctx, image)
	if errors.Is(err, errNothing) {
		return fmt.Errorf("%w: %s", ErrNoImage, image)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	return nil
}

// read verifies one layer. Its content is fetched only where one of the keys has signed it.
func (c *Client) read(ctx context.Context, repo name.Repository, l layer, image v1.Hash, keys []key.Public) Layer {
	out := Layer{Digest: l.Digest}
	by, h, err := l.signer(keys)
	if err != nil {
		out.Err = err
		return out
	}
	if out.Payload, out.Err = c.payload(ctx, repo, pull, l, image, h); out.Err == nil {
		out.Key = by.ID
	}
	return out
}

// payload fetches what a layer is over.
func (c *Client) payload(ctx context.Context, repo name.Repository, scope string, l layer, image v1.Hash, h key.Hash) (Payload, error) {
	text, err := c.blob(ctx, repo, l.Digest, l.Size, scope)
	switch {
	case errors.Is(err, errNothing):
		return Payload{}, ErrMissing
	case tooLong(err):
		return Payload{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	case err != nil:
		return Payload{}, fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	return l.payload(text, image, h)
}

// By returns the newest signature by one of the keys, or false.
func (r *Report) By(ids ...key.ID) (newest Layer, found bool) {
	for _, l := range r.Layers {
		for _, id := range ids {
			if l.Err == nil && l.Key == id && (!found || l.Payload.Issued.After(newest.Payload.Issued)) {
				newest, found = l, true
			}
		}
	}
	return newest, found
}

// Signed says whether there is a signature that counts.
func (r *Report) Signed() bool {
	for _, l := range r.Layers {
		if l.Err == nil {
			return true
		}
	}
	return false
}

// Issued is when the newest signature that counts was made; zero where none says so.
func (r *Report) Issued() (newest time.Time) {
	for _, l := range r.Layers {
		if l.Err == nil && l.Payload.Issued.After(newest) {
			newest = l.Payload.Issued
		}
	}
	return newest
}

// unchecked is the error where nothing counts, and something that could not be fetched might.
func (r *Report) unchecked() error {
	if r.Signed() {
		return nil
	}
	for _, l := range r.Layers {
		if errors.Is(l.Err, ErrUnchecked) {
			return l.Err
		}
	}
	return nil
}

// maxReasons is how many layers an error speaks of.
const maxReasons = 5

// Err is nil where the image is signed, and has [ErrNotSigned] in it and the reasons where it is not.
func (r *Report) Err() error {
	if r.Signed() {
		return nil
	}
	if r.Problem != nil {
		return fmt.Errorf("%s is %w: %s: %w", r.Target.Image, ErrNotSigned, r.Tag, r.Problem)
	}
	if len(r.Layers) == 0 {
		return fmt.Errorf("%s is %w: there is no signature at %s", r.Target.Image, ErrNotSigned, r.Tag)
	}
	var reasons []string
	for _, l := range r.Layers[:min(len(r.Layers), maxReasons)] {
		reasons = append(reasons, fmt.Sprintf("layer %.80q %v", l.Digest, l.Err))
	}
	if more := len(r.Layers) - len(reasons) + r.More; more > 0 {
		reasons = append(reasons, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%s is %w: at %s, %s", r.Target.Image, ErrNotSigned, r.Tag, strings.Join(reasons, "; "))
}
