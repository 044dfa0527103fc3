package inventory

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

// Key is one that counts, and until when.
type Key struct {
	key.Public
	NotAfter time.Time
}

// Verifier says until when images are admitted.
type Verifier struct {
	Reader *signature.Reader
	Keys   []Key
	// Sources are the repositories with signatures of images that others publish.
	Sources []name.Repository
}

// Until says by which key an image is admitted for longest, wherever its signature is. The image's own repository is asked when own is set;
// without it, its registry is not contacted. Without a signature that counts, signature.ErrNotSigned is in the error; what could not be
// found out weighs more.
func (v *Verifier) Until(ctx context.Context, image name.Digest, own bool) (by key.ID, until time.Time, err error) {
	places := v.Sources
	if own {
		places = append([]name.Repository{{}}, places...)
	}
	var keys []key.Public
	for _, k := range v.Keys {
		keys = append(keys, k.Public)
	}
	failed := error(signature.ErrNotSigned)
	for _, into := range places {
		report, err := v.Reader.Read(ctx, signature.Target{Image: image, Into: into}, keys)
		if err == nil {
			err = report.Err()
		}
		if err != nil {
			if errors.Is(failed, signature.ErrNotSigned) {
				failed = err
			}
			continue
		}
		for _, k := range v.Keys {
			if _, ok := report.By(k.ID); ok && k.NotAfter.After(until) {
				by, until = k.ID, k.NotAfter
			}
		}
	}
	if by.Version > 0 {
		return by, until, nil
	}
	return by, until, failed
}
