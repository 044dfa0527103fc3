package rotation_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// memory is a key store that all processes of a test share.
type memory struct {
	name string
	now  func() time.Time

	mu   sync.Mutex
	low  int // lowest version that is left
	keys []*ecdsa.PrivateKey
	made []time.Time
}

func (m *memory) Keys(context.Context) (all []key.Public, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for v := max(m.low, 1); v <= len(m.keys); v++ {
		all = append(all, m.public(v))
	}
	return all, nil
}

func (m *memory) public(v int) key.Public {
	return key.Public{ID: key.ID{Name: m.name, Version: v}, Key: &m.keys[v-1].PublicKey, Created: m.made[v-1]}
}

func (m *memory) Rotate(context.Context) (key.Public, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return key.Public{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys, m.made = append(m.keys, private), append(m.made, m.now())
	return m.public(len(m.keys)), nil
}

func (m *memory) Sign(_ context.Context, version int, hashes []key.Hash) (sigs [][]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version < m.low || version < 1 || version > len(m.keys) {
		return nil, key.ErrNoVersion
	}
	for _, h := range hashes {
		sig, err := ecdsa.SignASN1(rand.Reader, m.keys[version-1], h[:])
		if err != nil {
			return nil, err
		}
		sigs = append(sigs, sig)
	}
	return sigs, nil
}

func (m *memory) Retire(_ context.Context, least int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if least > len(m.keys) {
		return errors.New("all versions would go")
	}
	m.low = max(m.low, least)
	return nil
}

// world is what processes of the service share, with a clock.
type world struct {
	testing.TB
	clock         time.Time
	images, lists *memory
	state         state.Store
	timing        rotation.Timing
}

func newWorld(t testing.TB) *world {
	w := &world{TB: t, clock: time.Date(2026, 1, 1, 0, 0, 0, 300, time.UTC), timing: rotation.DefaultTiming(), state: &state.File{Path: filepath.Join(t.TempDir(), "state.json")}}
	w.images, w.lists = &memory{name: "images", now: w.now}, &memory{name: "keylist", now: w.now}
	return w
}

func (w *world) now() time.Time { return w.clock }

// process is a new one, which serves.
func (w *world) process() *rotation.Rotation {
	r := w.idle()
	r.Serve()
	return r
}

// idle is a new process that does not serve, such as a command.
func (w *world) idle() *rotation.Rotation {
	r := rotation.New(w.images, w.lists, w.state)
	r.Timing, r.Now, r.Sources = w.timing, w.now, []string{"sigs.example/third-party"}
	return r
}

func (w *world) step(r *rotation.Rotation) (*rotation.Record, time.Time) {
	w.Helper()
	rec, due, err := r.Step(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return rec, due
}

// open reads the list that is served.
func (w *world) open(rec *rotation.Record) *keylist.Opened {
	w.Helper()
	all, err := w.lists.Keys(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	o, err := keylist.Open(rec.Envelope, all[0].Key)
	if err != nil {
		w.Fatal(err)
	}
	return o
}

func (w *world) sign(r *rotation.Rotation) (key.ID, error) {
	by, err := r.Signer(w.Context())
	if err != nil {
		return key.ID{}, err
	}
	return by.ID, w.signBy(by)
}

func (w *world) signBy(by *rotation.Signer) error {
	hash := sha256.Sum256([]byte("payload"))
	sigs, err := by.Sign(w.Context(), []key.Hash{hash})
	if err != nil {
		return err
	}
	public, err := key.ParsePEM([]byte(by.PEM))
	if err != nil || !key.Verify(public, hash, sigs[0]) {
		w.Fatalf("the signature by %s is not: %v", by.ID, err)
	}
	return nil
}

func states(rec *rotation.Record) string {
	var all []string
	for _, e := range rec.Keys {
		all = append(all, fmt.Sprintf("%d %s", e.ID.Version, e.State))
	}
	return strings.Join(all, ", ")
}

func TestTheFirstKeySignsWhenClustersKnowIt(t *testing.T) {
	w := newWorld(t)
	r := w.process()
	rec, due := w.step(r)
	if got := states(rec); got != "1 next" {
		t.Fatalf("the keys are %s", got)
	}
	var none *rotation.NoKey
	if _, err := w.sign(r); !errors.As(err, &none) || none.Until.Before(w.clock.Add(w.timing.Lead()-time.Second)) {
		t.Fatalf("before it is published for long enough: %v", err)
	}
	w.clock = w.clock.Add(w.timing.Lead() - time.Second)
	if rec, _ := w.step(r); states(rec) != "1 next" {
		t.Fatalf("a second too early the keys are %s", states(rec))
	}
	if w.clock = later(w.clock, due).Add(2 * time.Second); states(first(w.step(r))) != "1 active" {
		t.Fatal("the key does not sign in time")
	}
	if id, err := w.sign(r); err != nil || id.Version != 1 {
		t.Errorf("signed by %v, %v", id, err)
	}
}

func first(rec *rotation.Record, _ time.Time) *rotation.Record { return rec }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func TestKeysFollowEachOther(t *testing.T) {
	w := newWorld(t)
	r := w.process()
	seen := []string{""}
	for begin := w.clock; w.clock.Before(begin.Add(5 * 7 * 24 * time.Hour)); {
		rec, due := w.step(r)
		if s := states(rec); s != seen[len(seen)-1] {
			seen = append(seen, s)
		}
		w.clock = later(due, w.clock.Add(time.Second))
	}
	want := []string{"", "1 next", "1 active", "1 active, 2 next", "1 retiring, 2 active", "1 retiring, 2 active, 3 next", "1 retiring, 2 retiring, 3 active",
		"1 retiring, 2 retiring, 3 active, 4 next", "2 retiring, 3 retiring, 4 active", "2 retiring, 3 retiring, 4 active, 5 next", "3 retiring, 4 retiring, 5 active"}
	if !slices.Equal(seen, want) {
		t.Errorf("the keys were %q", seen)
	}
	if w.images.low < 3 {
		t.Errorf("versions from %d on are in the store", w.images.low)
	}
}

// A process that has just been started does not know whether anyone served the list before.
func TestANewProcessServesAKeyBeforeItSigns(t *testing.T) {
	w := newWorld(t)
	w.step(w.process())
	w.clock = w.clock.Add(time.Hour)
	r := w.process()
	if rec, _ := w.step(r); states(rec) != "1 next" {
		t.Errorf("the keys are %s", states(rec))
	}
	if rec, _ := w.step(w.idle()); states(rec) != "1 next" {
		t.Errorf("a command that serves nothing makes them %s", states(rec))
	}
	w.clock = w.clock.Add(w.timing.Lead() + time.Second)
	if rec, _ := w.step(r); states(rec) != "1 active" {
		t.Errorf("the keys are %s", states(rec))
	}
}

func TestAKeyIsServedForLongEnoughHoweverLongItsPublicationTook(t *testing.T) {
	w := newWorld(t)
	r := w.process()
	r.Fault = func(point string) error {
		if point == "save" {
			w.clock = w.clock.Add(w.timing.Lead())
		}
		return nil
	}
	w.step(r)
	if rec, _ := w.step(r); states(rec) != "1 next" {
		t.Errorf("when it has just been saved the keys are %s", states(rec))
	}
	r.Fault = nil
	w.clock = w.clock.Add(w.timing.Lead() + time.Second)
	if rec, _ := w.step(r); states(rec) != "1 active" {
		t.Errorf("the keys are %s", states(rec))
	}
}

// signing returns a world whose first key signs.
func signing(t testing.TB) (*world, *rotation.Rotation) {
	w := newWorld(t)
	r := w.process()
	w.step(r)
	w.clock = w.clock.Add(w.timing.Lead() + time.Second)
	w.step(r)
	return w, r
}

// half is a key store that a process ended in the middle of Retire of: the versions cannot be used, and are still there.
type half struct {
	*memory
	left int // lowest version that is there
}

func (h *half) Retire(ctx context.Context, least int) error {
	if err := h.memory.Retire(ctx, least); err != nil {
		return err
	}
	if h.left == 0 {
		h.left = 1
		return errKilled
	}
	h.left = least
	return nil
}

func TestVersionsThatAreHalfDestroyedAreDestroyed(t *testing.T) {
	w, r := signing(t)
	store := &half{memory: w.images}
	r.Images = store
	if _, err := r.Revoke(t.Context(), key.ID{Name: "images", Version: 1}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	other := w.process()
	other.Images = store
	if w.step(other); store.left != 2 {
		t.Errorf("versions from %d on are there", store.left)
	}
}

// during is a store in which something happens between the reading of a record and its use.
type during struct {
	state.Store
	once func()
}

func (d *during) Load(ctx context.Context) ([]byte, string, error) {
	raw, at, err := d.Store.Load(ctx)
	if do := d.once; do != nil {
		d.once = nil
		do()
	}
	return raw, at, err
}

func TestAListIsNotServedAfterANewerOne(t *testing.T) {
	w, r := signing(t)
	w.clock = w.clock.Add(w.timing.List / 3)
	newest := int64(0)
	r.State = &during{r.State, func() {
		w.clock = w.clock.Add(time.Millisecond)
		rec, _ := w.step(r)
		newest = rec.ListVersion
		w.clock = w.clock.Add(time.Millisecond)
	}}
	if _, err := r.Current(t.Context()); err != nil { // its record is outdated when it has it
		t.Fatal(err)
	}
	if rec, err := r.Current(t.Context()); err != nil || newest == 0 || rec.ListVersion != newest {
		t.Errorf("the list %d is served after %d: %v", rec.ListVersion, newest, err)
	}
}

func TestWhoServesNoListsLeavesItToOthersThatAKeySigns(t *testing.T) {
	w := newWorld(t)
	serves, signs := w.process(), w.idle()
	w.step(signs)
	w.clock = w.clock.Add(10 * w.timing.Lead())
	rec, due := w.step(signs)
	if rec.Active() != nil {
		t.Errorf("the keys are %s", states(rec))
	}
	if !due.After(w.clock) {
		t.Errorf("it looks again at %v, and it is %v", due, w.clock)
	}
	w.step(serves)
	w.clock = w.clock.Add(w.timing.Lead() + time.Second)
	if rec, _ = w.step(serves); rec.Active() == nil {
		t.Errorf("the keys are %s", states(rec))
	}
	if _, err := w.sign(signs); err != nil {
		t.Errorf("who serves no lists does not sign: %v", err)
	}
}

func TestAHastenedKeyReplacesTheOldOneInOrder(t *testing.T) {
	w, r := signing(t)
	rec, err := w.idle().Hasten(t.Context())
	if err != nil || states(rec) != "1 active, 2 next" {
		t.Fatalf("%v, %v", rec, err)
	}
	if again, err := w.idle().Hasten(t.Context()); err != nil || states(again) != states(rec) || again.ListVersion != rec.ListVersion {
		t.Errorf("asked twice: %v, %v", again, err)
	}
	w.clock = w.clock.Add(r.Fresh)
	if _, err := r.Current(t.Context()); err != nil { // it is served from now on
		t.Fatal(err)
	}
	w.clock = w.clock.Add(w.timing.Lead() - 2*time.Second)
	if rec, _ := w.step(r); states(rec) != "1 active, 2 next" {
		t.Errorf("too early: %s", states(rec))
	}
	w.clock = w.clock.Add(3 * time.Second)
	if rec, _ := w.step(r); states(rec) != "1 retiring, 2 active" {
		t.Errorf("in time: %s", states(rec))
	}
}

func TestARevokedKeyIsGoneAtOnce(t *testing.T) {
	w, r := signing(t)
	before := w.open(first(w.step(r)))
	old, err := r.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec, err := w.idle().Revoke(t.Context(), key.ID{Name: "images", Version: 1})
	if err != nil || states(rec) != "2 active" {
		t.Fatalf("%v, %v", rec, err)
	}
	if l := w.open(rec); l.Version <= before.Version || len(l.Keys) != 1 {
		t.Errorf("the list is %+v", l.List)
	}
	// The other process follows when its record is no longer fresh.
	w.clock = w.clock.Add(r.Fresh)
	if id, err := w.sign(r); err != nil || id.Version != 2 {
		t.Errorf("the other process signs by %v, %v", id, err)
	}
	if err := w.signBy(old); !errors.Is(err, rotation.ErrChanged) {
		t.Errorf("work that began before signs on by the revoked key: %v", err)
	}
	if _, err := w.idle().Revoke(t.Context(), key.ID{Name: "images", Version: 1}); !errors.Is(err, rotation.ErrNotListed) {
		t.Errorf("revoked again: %v", err)
	}
}

func TestARetiringKeyIsRevokedAlone(t *testing.T) {
	w, r := signing(t)
	if _, err := r.Hasten(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clock = w.clock.Add(w.timing.Lead() + time.Second)
	w.step(r)
	rec, err := r.Revoke(t.Context(), key.ID{Name: "images", Version: 1})
	if err != nil || states(rec) != "2 active" || w.images.low != 2 {
		t.Errorf("%s, %v; versions from %d on are left", states(rec), err, w.images.low)
	}
}

func TestALostRecordIsNotGuessed(t *testing.T) {
	w, r := signing(t)
	rec, _ := w.step(r)
	w.state = &state.File{Path: filepath.Join(t.TempDir(), "state.json")}
	w.clock = w.clock.Add(time.Minute)
	r = w.process()
	if _, _, err := r.Step(t.Context()); !errors.Is(err, rotation.ErrLost) {
		t.Fatalf("without a record: %v", err)
	}
	if _, err := r.Adopt(t.Context(), []byte(`{"payloadType":"`+keylist.PayloadType+`","payload":"","signatures":[]}`)); !errors.Is(err, keylist.ErrSignature) {
		t.Fatalf("a list by nobody is adopted: %v", err)
	}
	if _, err := r.Adopt(t.Context(), rec.Envelope); err != nil {
		t.Fatal(err)
	}
	again, _ := w.step(r)
	if states(again) != "1 active" || again.ListVersion < rec.ListVersion || !again.Keys[0].NotAfter.Equal(rec.Keys[0].NotAfter) {
		t.Errorf("the record is %+v", again)
	}
	if id, err := w.sign(r); err != nil || id.Version != 1 {
		t.Errorf("signed by %v, %v", id, err)
	}
}

func TestListsAreSignedByAnotherKeyWhenAsked(t *testing.T) {
	w, r := signing(t)
	made, err := w.lists.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.clock = w.clock.Add(w.timing.List)
	if rec, _ := w.step(r); rec.ListKey.Version != 1 {
		t.Errorf("a version that nobody has pinned signs lists: %v", rec.ListKey)
	}
	if _, err := r.Relist(t.Context(), 3); !errors.Is(err, key.ErrNoVersion) {
		t.Errorf("a version that is not there: %v", err)
	}
	rec, err := r.Relist(t.Context(), 2)
	if err != nil || rec.ListKey.Version != 2 {
		t.Fatalf("%+v, %v", rec, err)
	}
	if _, err := keylist.Open(rec.Envelope, made.Key); err != nil {
		t.Error(err)
	}
	if again, err := r.Relist(t.Context(), 2); err != nil || again.ListVersion != rec.ListVersion {
		t.Errorf("asked twice: %+v, %v", again, err)
	}
}

func TestTheNextListKeyHasANameThatNoneHad(t *testing.T) {
	w, r := signing(t)
	first, err := r.ListKey(t.Context())
	if err != nil || first.ID.Version != 1 {
		t.Fatalf("%v, %v", first.ID, err)
	}
	if _, err := r.Relist(t.Context(), 0); !errors.Is(err, key.ErrNoVersion) {
		t.Errorf("there is no next one yet: %v", err)
	}
	next, err := r.NextListKey(t.Context())
	if err != nil || next.ID.Version != 2 {
		t.Fatalf("%v, %v", next.ID, err)
	}
	if again, err := r.NextListKey(t.Context()); err != nil || again.ID != next.ID {
		t.Errorf("asked twice: %v, %v", again.ID, err)
	}
	if rec, err := r.Relist(t.Context(), 0); err != nil || rec.ListKey != next.ID {
		t.Fatalf("%+v, %v", rec, err)
	}
	// The store loses both, and its versions begin anew.
	w.lists = &memory{name: "keylist", now: w.now}
	r = w.process()
	if _, err := r.ListKey(t.Context()); !errors.Is(err, key.ErrNoVersion) {
		t.Errorf("the list key is gone: %v", err)
	}
	third, err := r.NextListKey(t.Context())
	if err != nil || third.ID.Version != 3 {
		t.Fatalf("%v, %v", third.ID, err)
	}
	rec, err := r.Relist(t.Context(), 0)
	if err != nil || rec.ListKey != third.ID {
		t.Fatalf("%+v, %v", rec, err)
	}
	if _, err := keylist.Open(rec.Envelope, third.Key); err != nil {
		t.Error(err)
	}
}

func TestALostStoreIsFollowedByAnother(t *testing.T) {
	w, r := signing(t)
	if _, err := r.Renew(t.Context()); !errors.Is(err, rotation.ErrNotLost) {
		t.Fatalf("with its keys: %v", err)
	}
	w.images, w.lists = &memory{name: "images", now: w.now}, &memory{name: "keylist", now: w.now}
	r = w.process()
	w.step(r)
	if _, err := r.Renew(t.Context()); !errors.Is(err, key.ErrNoVersion) {
		t.Errorf("no list can be issued yet: %v", err)
	}
	if _, err := r.NextListKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Relist(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	rec, err := r.Renew(t.Context())
	if err != nil || states(rec) != "1 active, 2 next" {
		t.Fatalf("%s, %v", states(rec), err)
	}
	if again, err := r.Renew(t.Context()); err != nil || states(again) != "1 active, 2 next" || again.ListVersion != rec.ListVersion {
		t.Errorf("asked twice: %s, %v", states(again), err)
	}
	w.clock = w.clock.Add(w.timing.Lead() + time.Second)
	if rec, _ := w.step(r); states(rec) != "1 retiring, 2 active" {
		t.Errorf("when clusters know it: %s", states(rec))
	}
	if id, err := w.sign(r); err != nil || id.Version != 2 {
		t.Errorf("signed by %v, %v", id, err)
	}
	if _, err := r.Renew(t.Context()); !errors.Is(err, rotation.ErrNotLost) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAnotherStoreIsNoticed(t *testing.T) {
	w, _ := signing(t)
	w.images = &memory{name: "images", now: w.now}
	r := w.process()
	if _, err := r.Hasten(t.Context()); err == nil || !strings.Contains(err.Error(), "another store") {
		t.Errorf("a store that begins again at version 1: %v", err)
	}
}

func TestTimesThatContradictEachOtherAreNamed(t *testing.T) {
	if err := rotation.DefaultTiming().Validate(); err != nil {
		t.Error(err)
	}
	for word, change := range map[string]func(*rotation.Timing){
		"active is":   func(o *rotation.Timing) { o.Active = 2 * time.Minute },
		"lifetime is": func(o *rotation.Timing) { o.Lifetime = o.Active },
		"for longer":  func(o *rotation.Timing) { o.Lifetime = 90 * 24 * time.Hour },
		"keys":        func(o *rotation.Timing) { o.Active = 24 * time.Hour },
		"list is":     func(o *rotation.Timing) { o.List = time.Minute },
		"poll is":     func(o *rotation.Timing) { o.Poll = 0 },
	} {
		o := rotation.DefaultTiming()
		if change(&o); o.Validate() == nil || !strings.Contains(o.Validate().Error(), word) {
			t.Errorf("%s: %v", word, o.Validate())
		}
	}
}

// errKilled ends a process at a fault point.
var errKilled = errors.New("killed")

// TestPromisesHoldWhateverHappens runs processes that are started and ended at random, also between any two lasting effects, while a command
// hastens and revokes. It holds what they serve and sign against the promises of the package.
func TestPromisesHoldWhateverHappens(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, mathrand.New(mathrand.NewPCG(seed, 1))) })
	}
}

func simulate(t *testing.T, random *mathrand.Rand) {
	w := newWorld(t)
	w.timing = rotation.Timing{Active: 2 * time.Hour, Lifetime: 8 * time.Hour, Poll: time.Minute, Slack: 30 * time.Second, Resign: time.Hour, List: 30 * time.Minute}
	if err := w.timing.Validate(); err != nil {
		t.Fatal(err)
	}
	lists := map[int64]string{}       // by version: its bytes
	served := map[int]time.Duration{} // by version of a key: for how long its list was served
	urgent := map[int]bool{}          // keys that a revocation made sign at once
	activated := map[int]bool{}       // keys that have signed
	revoked := map[int]time.Time{}    // when
	highest, killed, steps := int64(0), 0, 0
	processes := []*rotation.Rotation{nil, nil}
	points := map[string]int{}
	fault := func(point string) error {
		points[point]++
		if random.IntN(12) == 0 {
			return errKilled
		}
		return nil
	}
	look := func(rec *rotation.Record) {
		l := w.open(rec)
		if len(l.Keys) == 0 {
			t.Fatal("the list is empty")
		}
		if before, ok := lists[l.Version]; ok && before != string(l.Raw) {
			t.Fatalf("the version %d is used for two lists", l.Version)
		}
		lists[l.Version] = string(l.Raw)
		if l.Version < highest {
			t.Fatalf("the list %d is served after %d", l.Version, highest)
		}
		highest = l.Version
		for _, k := range l.Keys {
			if at, ok := revoked[k.ID.Version]; ok {
				t.Fatalf("%v, revoked at %v, is on the list at %v", k.ID, at, w.clock)
			}
		}
	}
	for range 1500 {
		steps++
		gap := time.Duration(random.Int64N(int64(3 * time.Minute)))
		if random.IntN(100) == 0 {
			gap = time.Duration(random.Int64N(int64(20 * time.Hour)))
			processes[0], processes[1] = nil, nil
		}
		up := false
		for _, p := range processes {
			up = up || p != nil
		}
		if up { // whoever is up serves what is saved
			rec, err := w.idle().Current(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range rec.Keys {
				served[e.ID.Version] += gap
			}
		}
		w.clock = w.clock.Add(gap)
		i := random.IntN(len(processes))
		if processes[i] == nil {
			processes[i] = w.process()
			processes[i].Fault = fault
		}
		p := processes[i]
		rec, _, err := p.Step(t.Context())
		if errors.Is(err, errKilled) {
			killed++
			processes[i] = nil
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		look(rec)
		if id, err := w.sign(p); err == nil {
			v := id.Version
			if served[v] < w.timing.Lead()-time.Second && !urgent[v] {
				t.Fatalf("%v signs after it was served for %v", id, served[v])
			}
			activated[v] = true
			for other := range activated {
				if other > v {
					t.Fatalf("%v signs after version %d has", id, other)
				}
			}
			if left := rec.Find(id).NotAfter.Sub(w.clock); left < w.timing.Lifetime-w.timing.Active-24*time.Hour || left <= 0 {
				t.Fatalf("a signature by %v counts for %v", id, left)
			}
		}
		if got := w.images.low; got > rec.Keys[0].ID.Version {
			t.Fatalf("versions below %d are destroyed, and %v is on the list", got, rec.Keys[0].ID)
		}
		switch random.IntN(200) {
		case 0:
			if _, err := w.idle().Hasten(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 1:
			id := rec.Keys[random.IntN(len(rec.Keys))].ID
			after, err := w.idle().Revoke(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			revoked[id.Version] = w.clock
			urgent[after.Highest] = true
			look(after)
			w.clock = w.clock.Add(2 * time.Second) // until every process's record is old
		}
	}
	for _, point := range []string{"save", "saved", "issued", "rotate", "rotated", "retire", "retired"} {
		if points[point] == 0 {
			t.Errorf("the point %q was never passed", point)
		}
	}
	t.Logf("%d steps, %d processes ended at a point, %d lists, %d keys signed, %d revoked", steps, killed, len(lists), len(activated), len(revoked))
}

// Two processes that step at the same moment make one list.
func TestTwoProcessesAreOneService(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(), w.process()
	for range 20 {
		var wait sync.WaitGroup
		for _, r := range []*rotation.Rotation{a, b} {
			wait.Go(func() {
				if _, _, err := r.Step(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		w.clock = w.clock.Add(w.timing.Active / 3)
	}
	rec, _ := w.step(a)
	if rec.Active() == nil || len(rec.Keys) < 3 {
		t.Errorf("the keys are %s", states(rec))
	}
}
