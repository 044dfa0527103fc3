package signature

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Collector deletes signatures whose keys are gone. What it does not know to be by such a key it leaves alone: repositories also hold
// signatures that others made.
type Collector struct {
	Client *Client
	// Live are the keys that count, or will. An image with a signature by one of them is left alone, whatever else is there.
	Live []key.Public
	// Gone says of a key that it is gone. It decides about a signature that says in its payload to be by that key; that cannot be verified
	// when the public key is gone too, but nobody gains by it: what it makes to be deleted does not count.
	Gone func(key.ID) bool
	// Retired are the public halves of keys that are gone, as far as they are still known. They find signatures that do not say by which
	// key they are.
	Retired []key.Public
	// DryRun deletes nothing.
	DryRun bool
	// Workers bounds how many signatures are looked at at once; 4 by default.
	Workers int
	// Found is told of each signature, one at a time.
	Found func(Found)
}

// Verdict is what a collector thinks of the signatures of an image.
type Verdict string

// Verdicts.
const (
	Alive     Verdict = "alive"   // one is by a key that counts
	Dead      Verdict = "dead"    // all are by keys that are gone
	Foreign   Verdict = "foreign" // one is by a key that is not known, or is none of this form
	Undecided Verdict = "undecided"
)

// Found is the signatures of an image.
type Found struct {
	Tag      name.Tag
	Image    v1.Hash
	Manifest v1.Hash
	Verdict  Verdict
	Deleted  bool
	// Err is why there is no verdict, or why what is dead was not deleted.
	Err error
}

// Collected counts what was found.
type Collected struct {
	Alive, Dead, Foreign, Undecided, Deleted int
	// Errs are those of what is undecided or was not deleted, at most 100 of them.
	Errs []error
}

const maxErrs = 100

// Collect goes through the signatures in a repository. It has an error when the repository cannot be listed, or when the registry does not
// delete: then [ErrDeleteUnsupported] is in it. What was found until then is counted.
func (c *Collector) Collect(ctx context.Context, repo name.Repository) (Collected, error) {
	if len(c.Live) == 0 || c.Gone == nil {
		return Collected{}, errors.New("nothing is collected without the keys that count: a list without keys is more often a mistake than the truth")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := &collection{Collector: c, repo: repo, stop: cancel}
	err := c.Client.tags(ctx, repo, func(tags []string) error {
		var mine []Found
		for _, tag := range tags {
			if image, ok := isSignature(tag); ok {
				mine = append(mine, Found{Tag: repo.Tag(tag), Image: image})
			}
		}
		each(orDefault(c.Workers, 4), len(mine), func(i int) {
			if ctx.Err() == nil {
				run.one(ctx, mine[i])
			}
		})
		return context.Cause(ctx)
	})
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		err = fmt.Errorf("collecting signatures in %s: %w", repo, err)
	}
	return run.counts, err
}

// collection is one run.
type collection struct {
	*Collector
	repo name.Repository
	stop context.CancelCauseFunc

	mu     sync.Mutex
	counts Collected
}

func (c *collection) one(ctx context.Context, f Found) {
	f.Manifest, f.Verdict, f.Err = c.judge(ctx, f)
	if errors.Is(f.Err, errNothing) { // someone else deleted it
		return
	}
	if f.Verdict == Dead && !c.DryRun {
		f.Err = c.Client.delete(ctx, c.repo, f.Manifest)
		f.Deleted = f.Err == nil
		if errors.Is(f.Err, ErrDeleteUnsupported) {
			c.stop(f.Err)
		}
	}
	c.count(f)
}

func (c *collection) count(f Found) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.Verdict {
	case Alive:
		c.counts.Alive++
	case Dead:
		c.counts.Dead++
	case Foreign:
		c.counts.Foreign++
	case Undecided:
		c.counts.Undecided++
	}
	if f.Deleted {
		c.counts.Deleted++
	}
	if f.Err != nil && len(c.counts.Errs) < maxErrs {
		c.counts.Errs = append(c.counts.Errs, f.Err)
	}
	if c.Found != nil {
		c.Found(f)
	}
}

// judge looks at all signatures of an image.
func (c *collection) judge(ctx context.Context, f Found) (v1.Hash, Verdict, error) {
	text, err := c.Client.manifest(ctx, f.Tag, pull)
	if tooLong(err) {
		return v1.Hash{}, Foreign, nil
	}
	if err != nil {
		return v1.Hash{}, Undecided, err
	}
	digest := digestOf(text)
	m, err := parseManifest(text)
	if err != nil || len(m.Layers) == 0 || len(m.Layers) > MaxLayers {
		return digest, Foreign, nil
	}
	var unknown []layer
	for _, l := range m.Layers {
		if _, _, err := l.signer(c.Live); err == nil {
			return digest, Alive, nil
		}
		if _, _, err := l.signer(c.Retired); err != nil {
			unknown = append(unknown, l)
		}
	}
	for _, l := range unknown {
		gone, err := c.saysGone(ctx, f.Image, l)
		if err != nil {
			return digest, Undecided, err
		}
		if !gone {
			return digest, Foreign, nil
		}
	}
	return digest, Dead, nil
}

// saysGone says whether a layer says to be by a key that is gone.
func (c *collection) saysGone(ctx context.Context, image v1.Hash, l layer) (bool, error) {
	h, _, err := l.signed()
	if err != nil {
		return false, nil
	}
	p, err := c.Client.payload(ctx, c.repo, pull, l, image, h)
	switch {
	case errors.Is(err, ErrUnchecked):
		return false, err
	case err != nil && !errors.Is(err, ErrOtherImage):
		return false, nil
	}
	return p.Key != (key.ID{}) && c.Gone(p.Key), nil
}
