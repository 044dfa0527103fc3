package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// ErrNotLost says that the store has the keys, so that there is nothing to begin anew.
var ErrNotLost = errors.New("the store has the key that signs: nothing is lost, rotate it instead")

// Renew goes on with a store that does not have the keys of the record, because the one that did is lost. It publishes a new key, which signs as
// soon as clusters know it. The others stay on the list, and what they signed counts as before; their names are not given to other keys.
func (r *Rotation) Renew(ctx context.Context) (*Record, error) {
	return r.change(ctx, func(rec *revision, now time.Time) (bool, error) {
		public, err := r.renewed(ctx, &rec.Record)
		if err != nil {
			return false, err
		}
		if next := rec.Next(); next != nil && next.ID == public.ID { // asked again
			return false, nil
		}
		rec.remove(func(e Entry) bool { return e.State == keylist.Next }) // it is lost, and has signed nothing
		if err := r.list(&rec.Record, public, now); err != nil {
			return false, err
		}
		rec.Next().Hasten = true
		return true, nil
	})
}

// renewed returns the key of the store that is to sign next: one above all that were listed, or the one that Renew has listed already.
func (r *Rotation) renewed(ctx context.Context, rec *Record) (key.Public, error) {
	all, err := r.Images.Keys(ctx)
	if err != nil {
		return key.Public{}, fmt.Errorf("reading the signing keys: %w", err)
	}
	for _, e := range rec.Keys {
		public, err := e.Public()
		if err != nil {
			return key.Public{}, err
		}
		i := slices.IndexFunc(all, func(p key.Public) bool { return p.ID == e.ID && p.Key.Equal(public.Key) })
		switch {
		case i < 0:
		case rec.Next() != nil && e.ID == rec.Next().ID && e.Hasten:
			return all[i], nil
		default:
			return key.Public{}, fmt.Errorf("%s: %w", e.ID, ErrNotLost)
		}
	}
	for n := len(all); n == 0 || all[n-1].ID.Version <= rec.Highest; n = len(all) {
		made, err := r.Images.Rotate(ctx)
		if err != nil {
			return key.Public{}, fmt.Errorf("making a signing key: %w", err)
		}
		all = append(all, made)
	}
	return all[len(all)-1], nil
}
