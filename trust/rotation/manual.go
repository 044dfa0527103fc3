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

// Hasten publishes the next key, when there is none yet, and has it sign as soon as clusters know it. It is the orderly way to replace a key
// before its time.
func (r *Rotation) Hasten(ctx context.Context) (*Record, error) {
	return r.change(ctx, func(rec *revision, now time.Time) (bool, error) {
		next := rec.Next()
		if next == nil {
			public, err := r.rotate(ctx, rec.Highest)
			if err != nil {
				return false, err
			}
			if err := r.list(&rec.Record, public, now); err != nil {
				return false, err
			}
			next = rec.Next()
		} else if next.Hasten {
			return false, nil
		}
		next.Hasten = true
		return true, nil
	})
}

// ErrNoListKey says that nothing has signed a list yet.
var ErrNoListKey = errors.New("there is no list key yet: run serve once")

// ListKey is the public half of the key that signs the lists.
func (r *Rotation) ListKey(ctx context.Context) (key.Public, error) {
	id, all, err := r.listKeys(ctx)
	if err != nil {
		return key.Public{}, err
	}
	i := slices.IndexFunc(all, func(p key.Public) bool { return p.ID == id })
	if i < 0 {
		return key.Public{}, fmt.Errorf("the list key %s: %w: it is lost; make the next one by keys pin --next (see docs/runbooks/list-key-lost.md)", id, key.ErrNoVersion)
	}
	return all[i], nil
}

// NextListKey is the version of the list key after the one that signs the lists. It is made when it is not there. In a store that has lost the
// key, versions begin anew: those that were before are passed over, for clusters have known other keys by their names.
func (r *Rotation) NextListKey(ctx context.Context) (key.Public, error) {
	id, all, err := r.listKeys(ctx)
	if err != nil {
		return key.Public{}, err
	}
	after := func(p key.Public) bool { return p.ID.Version > id.Version }
	for !slices.ContainsFunc(all, after) {
		made, err := r.Lists.Rotate(ctx)
		if err != nil {
			return key.Public{}, fmt.Errorf("making a list key: %w", err)
		}
		all = append(all, made)
	}
	return all[slices.IndexFunc(all, after)], nil
}

// listKeys is which list key signs, and those that the store has.
func (r *Rotation) listKeys(ctx context.Context) (signs key.ID, all []key.Public, err error) {
	rec, err := r.Current(ctx)
	if err != nil {
		return signs, nil, err
	}
	if rec.ListKey.Version == 0 {
		return signs, nil, ErrNoListKey
	}
	if all, err = r.Lists.Keys(ctx); err != nil {
		return signs, nil, fmt.Errorf("reading the list key: %w", err)
	}
	return rec.ListKey, all, nil
}

// Relist has another version of the list key sign the lists from now on, or the next one when the version is 0. Clusters that have not pinned
// it refuse them.
func (r *Rotation) Relist(ctx context.Context, version int) (*Record, error) {
	signs, all, err := r.listKeys(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(p key.Public) bool {
		return p.ID.Version == version || version == 0 && p.ID.Version > signs.Version
	})
	if i < 0 && version == 0 {
		return nil, fmt.Errorf("there is no list key after %s: make it by keys pin --next, and have clusters pin it first: %w", signs, key.ErrNoVersion)
	}
	if i < 0 {
		return nil, fmt.Errorf("version %d of the list key: %w", version, key.ErrNoVersion)
	}
	return r.change(ctx, func(rec *revision, _ time.Time) (bool, error) {
		if rec.ListKey == all[i].ID {
			return false, nil
		}
		rec.ListKey = all[i].ID
		return true, nil
	})
}

// ErrNotListed is for a key that is not on the list.
var ErrNotListed = errors.New("the key is not on the list")

// Revoke takes keys off the list at once: clusters refuse what they signed as soon as they have the new list. When nothing else would sign,
// a new key is made and signs at once, although no cluster knows it yet: nothing that waiting would save runs anyway.
func (r *Rotation) Revoke(ctx context.Context, ids ...key.ID) (*Record, error) {
	return r.change(ctx, func(rec *revision, now time.Time) (bool, error) {
		for _, id := range ids {
			if rec.Find(id) == nil {
				return false, fmt.Errorf("revoking %s: %w", id, ErrNotListed)
			}
		}
		rec.remove(func(e Entry) bool { return slices.Contains(ids, e.ID) })
		if rec.Active() != nil {
			return true, nil
		}
		// A key that is next may have been seen by whoever saw the revoked one: it goes with it.
		rec.remove(func(e Entry) bool { return e.State == keylist.Next })
		public, err := r.rotate(ctx, rec.Highest)
		if err != nil {
			return false, err
		}
		if err := r.list(&rec.Record, public, now); err != nil {
			return false, err
		}
		next := rec.Next()
		next.State, next.Activated, next.NotAfter = keylist.Active, now, now.Add(r.Timing.Lifetime)
		return true, nil
	})
}

// Current returns the record, at most Fresh old.
func (r *Rotation) Current(ctx context.Context) (*Record, error) {
	r.mu.Lock()
	last, read := r.last, r.read
	r.mu.Unlock()
	if age := r.Now().Sub(read); last != nil && age >= 0 && age < r.Fresh {
		return &last.Record, nil
	}
	at := r.Now()
	rec, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	r.remember(rec, at)
	return &rec.Record, nil
}
