// Package rotation decides which key signs and which keys clusters accept, and changes that over time.
//
// It promises that a key signs only after the list that names it has been served for as long as clusters take to ask for it; that a list's
// version is never used twice; that the list never becomes empty; that what a key signed counts until its time is over, and no longer; and
// that ending at any point leaves a record from which another process goes on. Only Revoke breaks the first promise, on purpose.
//
// Everything is decided from the record and from the clock, never from what a process remembers of doing. Several processes may share a record: who
// saves first wins, and the others look again.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// Rotation holds the keys of one signing service.
type Rotation struct {
	// Images and Lists hold the keys that sign images and lists.
	Images, Lists key.Store
	State         state.Store
	Timing        Timing
	// Sources are the repositories, as HOST/PATH, with signatures of images that others publish.
	Sources []string
	// Fresh is how old the record may be that a signature is made by. Another process's change takes effect here within it.
	Fresh time.Duration
	Now   func() time.Time
	// Fault, when it is set, is called at every point between two lasting effects, with the point's name. An error ends the step there, as
	// the end of the process would. It is for tests.
	Fault func(point string) error

	mu      sync.Mutex
	serving time.Time // since when this process serves lists
	next    key.ID    // the key that is to sign next, of last
	since   time.Time // when this process first had a record with it
	last    *revision
	read    time.Time // when last was
	retired int       // the version below which this process has destroyed all
}

// New returns a rotation with the defaults.
func New(images, lists key.Store, record state.Store) *Rotation {
	return &Rotation{Images: images, Lists: lists, State: record, Timing: DefaultTiming(), Fresh: time.Second, Now: time.Now}
}

// skew is how far before its publication the signatures of a key count: clocks of clusters may be behind.
const skew = keylist.Slack

func (r *Rotation) fault(point string) error {
	if r.Fault == nil {
		return nil
	}
	return r.Fault(point)
}

// Serve says that from now on this process serves lists to clusters. Before, Step makes no key sign: nobody might know it.
func (r *Rotation) Serve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.serving.IsZero() {
		r.serving = r.Now()
	}
}

// serves says whether Serve was called.
func (r *Rotation) serves() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.serving.IsZero()
}

// served is since when this process serves lists with the key that is to sign next. That is not when it was published, which the record has
// from before it was saved: saving, and what comes before it, may have taken long.
func (r *Rotation) served(next key.ID) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != next {
		return r.Now()
	}
	return later(r.serving, r.since)
}

// attempts is how often a change is tried when others change the record meanwhile.
const attempts = 10

// change loads the record, has it changed, and saves it; again when another process was faster. The function says whether it changed it.
func (r *Rotation) change(ctx context.Context, do func(*revision, time.Time) (bool, error)) (*Record, error) {
	for range attempts {
		rec, err := r.load(ctx)
		if err != nil {
			return nil, err
		}
		// Lists speak of whole seconds.
		now := r.Now().UTC().Truncate(time.Second)
		changed, err := do(rec, now)
		if err != nil {
			return nil, err
		}
		if changed {
			if err = r.issue(ctx, rec, now); err == nil {
				err = r.save(ctx, rec)
			}
		}
		if errors.Is(err, state.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.remember(rec, r.Now())
		return &rec.Record, r.retire(ctx, &rec.Record)
	}
	return nil, fmt.Errorf("changing the keys: %w, %d times in a row", state.ErrConflict, attempts)
}

// remember has a record served that was there at a time. One that is older than what has come to be served since is not: a version would
// be served after a higher one.
func (r *Rotation) remember(rec *revision, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil && at.Before(r.read) && rec.ListVersion < r.last.ListVersion {
		return
	}
	r.last, r.read = rec, r.Now()
	if next := rec.Next(); next != nil && next.ID != r.next {
		r.next, r.since = next.ID, r.read
	}
}

// Step does what is due, and returns the record that holds afterwards and when something is due next. It may be called at any time, by any
// number of processes.
func (r *Rotation) Step(ctx context.Context) (*Record, time.Time, error) {
	if err := r.begin(ctx); err != nil {
		return nil, time.Time{}, err
	}
	rec, err := r.change(ctx, func(rec *revision, now time.Time) (bool, error) {
		ended := rec.remove(func(e Entry) bool { return !now.Before(e.NotAfter) })
		activated := r.activate(rec, now)
		published, err := r.publish(ctx, rec, now)
		old := !now.Before(rec.Issued.Add(r.Timing.List / 3))
		return ended || activated || published || old, err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return rec, r.due(rec), nil
}

// ErrLost says that there are signing keys and no record of them.
var ErrLost = errors.New("the store has signing keys, and the state that says which of them count is gone: restore it, or adopt the last list, which every cluster has")

// begin saves an empty record before anything is made, so that keys without a record are those of one that was lost.
func (r *Rotation) begin(ctx context.Context) error {
	rec, err := r.load(ctx)
	if err != nil || rec.at != "" {
		return err
	}
	all, err := r.Images.Keys(ctx)
	if err != nil {
		return fmt.Errorf("reading the signing keys: %w", err)
	}
	if len(all) > 0 {
		return ErrLost
	}
	if err := r.save(ctx, rec); !errors.Is(err, state.ErrConflict) {
		return err
	}
	return nil // another process has begun
}

// Adopt makes the record anew from the newest list that there is, of which the list key's signature says that it is ours.
func (r *Rotation) Adopt(ctx context.Context, envelope []byte) (*Record, error) {
	own, err := r.Lists.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the list key: %w", err)
	}
	for _, k := range own {
		l, err := keylist.Open(envelope, k.Key)
		if errors.Is(err, keylist.ErrSignature) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rec := &revision{Record: Record{ListKey: k.ID, ListVersion: l.Version, Issued: l.Issued, Expires: l.Expires, Envelope: envelope}}
		if err := r.entries(&rec.Record, l.List); err != nil {
			return nil, err
		}
		if err := r.save(ctx, rec); err != nil {
			return nil, err
		}
		return &rec.Record, nil
	}
	return nil, keylist.ErrSignature
}

// entries are the keys of a list. A list does not say when a key began to sign, but it says what follows from that.
func (r *Rotation) entries(rec *Record, l *keylist.List) error {
	for _, k := range l.Keys {
		pem, err := key.MarshalPEM(k.Public)
		if err != nil {
			return err
		}
		e := Entry{ID: k.ID, PEM: string(pem), State: k.State, Published: l.Issued, NotBefore: k.NotBefore, NotAfter: k.NotAfter}
		if k.State != keylist.Next {
			e.Activated = k.NotAfter.Add(-r.Timing.Lifetime)
		}
		rec.Keys, rec.Highest = append(rec.Keys, e), k.ID.Version
	}
	return nil
}

// activate has the next key sign, when it may and is due.
func (r *Rotation) activate(rec *revision, now time.Time) bool {
	next := rec.Next()
	if next == nil || now.Before(r.activation(&rec.Record)) || !r.serves() {
		return false
	}
	if active := rec.Active(); active != nil {
		active.State = keylist.Retiring
	}
	next.State, next.Activated, next.Hasten = keylist.Active, now, false
	next.NotAfter = now.Add(r.Timing.Lifetime)
	return true
}

// activation is when the next key begins to sign. It was published, and served by this process, for long enough then.
func (r *Rotation) activation(rec *Record) time.Time {
	next, active := rec.Next(), rec.Active()
	at := later(next.Published, r.served(next.ID)).Add(r.Timing.Lead())
	if active != nil && !next.Hasten {
		at = later(at, active.Activated.Add(r.Timing.Active))
	}
	return at
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// publish puts the next key on the list, when it is time to.
func (r *Rotation) publish(ctx context.Context, rec *revision, now time.Time) (bool, error) {
	if rec.Next() != nil || now.Before(r.publication(&rec.Record)) {
		return false, nil
	}
	public, err := r.unlisted(ctx, rec.Highest)
	if err != nil {
		return false, err
	}
	return true, r.list(&rec.Record, public, now)
}

// publication is when the next key is to be published.
func (r *Rotation) publication(rec *Record) time.Time {
	active := rec.Active()
	if active == nil {
		return time.Time{}
	}
	return active.Activated.Add(r.Timing.Active - r.Timing.Lead())
}

// unlisted returns a version that no list has had. There is one already when a process ended after it was made, or when another made it at
// the same moment: it has signed nothing, for only what is on a list signs.
func (r *Rotation) unlisted(ctx context.Context, highest int) (key.Public, error) {
	all, err := r.Images.Keys(ctx)
	if err != nil {
		return key.Public{}, fmt.Errorf("reading the signing keys: %w", err)
	}
	if n := len(all); n > 0 && all[n-1].ID.Version > highest {
		return all[n-1], nil
	}
	return r.rotate(ctx, highest)
}

// rotate makes a version.
func (r *Rotation) rotate(ctx context.Context, highest int) (key.Public, error) {
	if err := r.fault("rotate"); err != nil {
		return key.Public{}, err
	}
	made, err := r.Images.Rotate(ctx)
	if err != nil {
		return key.Public{}, fmt.Errorf("making a signing key: %w", err)
	}
	if made.ID.Version <= highest {
		return key.Public{}, fmt.Errorf("the store made version %d of the key %s, and version %d was on a list before: it is another store, or an old backup of it", made.ID.Version, made.ID.Name, highest)
	}
	return made, r.fault("rotated")
}

// list puts a key on the list, as the next one.
func (r *Rotation) list(rec *Record, public key.Public, now time.Time) error {
	pem, err := key.MarshalPEM(public.Key)
	if err != nil {
		return err
	}
	e := Entry{ID: public.ID, PEM: string(pem), State: keylist.Next, Published: now, NotBefore: now.Add(-skew)}
	rec.Keys = append(rec.Keys, e)
	rec.Highest = public.ID.Version
	rec.Next().NotAfter = r.activation(rec).Add(r.Timing.Lifetime).Truncate(time.Second)
	return nil
}

// retire destroys the versions that no list has any more. Every process does it again, and not only when the store shows such versions: one
// that ended in the middle of it may have made them unusable, and left them there.
func (r *Rotation) retire(ctx context.Context, rec *Record) error {
	if len(rec.Keys) == 0 {
		return nil
	}
	least := rec.Keys[0].ID.Version
	r.mu.Lock()
	done := r.retired
	r.mu.Unlock()
	if least <= max(done, 1) {
		return nil
	}
	if err := r.fault("retire"); err != nil {
		return err
	}
	if err := r.Images.Retire(ctx, least); err != nil {
		return fmt.Errorf("destroying the versions below %d: %w", least, err)
	}
	r.mu.Lock()
	r.retired = max(r.retired, least)
	r.mu.Unlock()
	return r.fault("retired")
}

// due is when Step has something to do.
func (r *Rotation) due(rec *Record) time.Time {
	at := []time.Time{rec.Issued.Add(r.Timing.List / 3)}
	for _, e := range rec.Keys {
		at = append(at, e.NotAfter)
	}
	if rec.Next() != nil {
		if r.serves() { // else another process has it sign
			at = append(at, r.activation(rec))
		}
	} else {
		at = append(at, r.publication(rec))
	}
	return slices.MinFunc(at, time.Time.Compare)
}
