package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// NoKey is the error of Sign as long as no key may sign.
type NoKey struct {
	// Until is when one will; zero when that is not known.
	Until time.Time
}

func (e *NoKey) Error() string {
	if e.Until.IsZero() {
		return "no key may sign yet: the first is not published"
	}
	return "no key may sign yet: the first is published, and signs when clusters have had the time to ask for it, at " + e.Until.UTC().Format(time.RFC3339)
}

// ErrChanged says that the key of a Signer signs no more: another does, or none.
var ErrChanged = errors.New("another key signs now")

// Signer is the key that signs now. It signs as long as that holds.
type Signer struct {
	Entry
	rotation *Rotation
}

// Signer returns the key that signs now.
func (r *Rotation) Signer(ctx context.Context) (*Signer, error) {
	rec, err := r.Current(ctx)
	if err != nil {
		return nil, err
	}
	active := rec.Active()
	if active == nil {
		e := &NoKey{}
		if rec.Next() != nil {
			e.Until = r.activation(rec)
		}
		return nil, e
	}
	if !r.Now().Before(active.NotAfter) {
		return nil, &NoKey{}
	}
	return &Signer{*active, r}, nil
}

// Sign signs hashes. ErrChanged is in the error when the key has been replaced since; then nothing is signed.
func (s *Signer) Sign(ctx context.Context, hashes []key.Hash) ([][]byte, error) {
	now, err := s.rotation.Signer(ctx)
	if err != nil {
		return nil, err
	}
	if now.ID != s.ID {
		return nil, fmt.Errorf("signing by %s: %w: %s", s.ID, ErrChanged, now.ID)
	}
	sigs, err := s.rotation.Images.Sign(ctx, s.ID.Version, hashes)
	if err != nil {
		return nil, fmt.Errorf("signing by %s: %w", s.ID, err)
	}
	return sigs, nil
}
