package rotation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// Record is what the instances of the service know of the keys. It is saved before anything that it says is done, and the list in it is
// served by its bytes.
type Record struct {
	Keys []Entry `json:"keys"`
	// Highest is the highest version that was ever in a list.
	Highest int `json:"highest"`
	// ListKey signs the lists. Clusters have pinned it.
	ListKey key.ID `json:"list_key,omitzero"`
	// ListVersion and Envelope are those of the newest list.
	ListVersion int64     `json:"list_version"`
	Issued      time.Time `json:"issued"`
	Expires     time.Time `json:"expires"`
	Envelope    []byte    `json:"envelope"`
}

// Entry is a key of the list.
type Entry struct {
	ID    key.ID        `json:"id"`
	PEM   string        `json:"pem"`
	State keylist.State `json:"state"`
	// Published is when a list first had the key.
	Published time.Time `json:"published"`
	// Activated is when it began to sign; zero for one that has not.
	Activated time.Time `json:"activated,omitzero"`
	// Hasten has it sign as soon as it has been published for long enough, whatever the schedule says.
	Hasten    bool      `json:"hasten,omitempty"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// Active returns the key that signs.
func (r *Record) Active() *Entry { return r.in(keylist.Active) }

// Next returns the key that will.
func (r *Record) Next() *Entry { return r.in(keylist.Next) }

func (r *Record) in(s keylist.State) *Entry {
	for i := range r.Keys {
		if r.Keys[i].State == s {
			return &r.Keys[i]
		}
	}
	return nil
}

// Find returns the key of a name.
func (r *Record) Find(id key.ID) *Entry {
	for i := range r.Keys {
		if r.Keys[i].ID == id {
			return &r.Keys[i]
		}
	}
	return nil
}

// revision is a record with the revision that it was read at.
type revision struct {
	Record
	at string
}

func (r *Rotation) load(ctx context.Context) (*revision, error) {
	raw, at, err := r.State.Load(ctx)
	if err != nil {
		return nil, err
	}
	rec := &revision{at: at}
	if at == "" {
		return rec, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&rec.Record); err != nil {
		return nil, fmt.Errorf("the state cannot be read, and nothing is signed until it is mended or made anew (see docs/runbooks/list-key-lost.md): %w", err)
	}
	return rec, nil
}

// save writes a record, which has changed.
func (r *Rotation) save(ctx context.Context, rec *revision) error {
	raw, err := json.Marshal(rec.Record)
	if err != nil {
		return err
	}
	if err := r.fault("save"); err != nil {
		return err
	}
	at, err := r.State.Save(ctx, raw, rec.at)
	if err != nil {
		return err
	}
	rec.at = at
	return r.fault("saved")
}

// issue makes the next list of a record.
func (r *Rotation) issue(ctx context.Context, rec *revision, now time.Time) error {
	if rec.ListKey.Version == 0 {
		id, err := r.listKey(ctx)
		if err != nil {
			return err
		}
		rec.ListKey = id
	}
	l := &keylist.List{Version: keylist.NextVersion(rec.ListVersion, now), Issued: now, Expires: now.Add(r.Timing.List), Sources: r.Sources}
	for _, e := range rec.Keys {
		public, err := key.ParsePEM([]byte(e.PEM))
		if err != nil {
			return fmt.Errorf("key %s of the state: %w", e.ID, err)
		}
		l.Keys = append(l.Keys, keylist.Key{ID: e.ID, Public: public, NotBefore: e.NotBefore, NotAfter: e.NotAfter, State: e.State})
	}
	raw, err := l.Marshal()
	if err != nil {
		return err
	}
	sigs, err := r.Lists.Sign(ctx, rec.ListKey.Version, []key.Hash{keylist.HashOf(raw)})
	if err != nil {
		return fmt.Errorf("signing the key list by %s: %w", rec.ListKey, err)
	}
	if rec.Envelope, err = keylist.Seal(raw, rec.ListKey, sigs[0]); err != nil {
		return err
	}
	rec.ListVersion, rec.Issued, rec.Expires = l.Version, l.Issued, l.Expires
	return r.fault("issued")
}

// listKey is the oldest version of the list key: the one that clusters were told of first. It is made when there is none.
func (r *Rotation) listKey(ctx context.Context) (key.ID, error) {
	all, err := r.Lists.Keys(ctx)
	if err != nil {
		return key.ID{}, fmt.Errorf("reading the list key: %w", err)
	}
	if len(all) > 0 {
		return all[0].ID, nil
	}
	made, err := r.Lists.Rotate(ctx)
	if err != nil {
		return key.ID{}, fmt.Errorf("making the list key: %w", err)
	}
	return made.ID, nil
}

// remove takes keys out.
func (r *Record) remove(which func(Entry) bool) (removed bool) {
	n := len(r.Keys)
	r.Keys = slices.DeleteFunc(r.Keys, which)
	return len(r.Keys) < n
}

// Public is the key as the rooms of signatures know it.
func (e *Entry) Public() (key.Public, error) {
	public, err := key.ParsePEM([]byte(e.PEM))
	if err != nil {
		return key.Public{}, fmt.Errorf("key %s of the state: %w", e.ID, err)
	}
	return key.Public{ID: e.ID, Key: public, Created: e.Published}, nil
}
