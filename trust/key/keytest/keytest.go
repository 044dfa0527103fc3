// Package keytest holds what every key.Store must do, as tests. The embedded store, the fake of Vault and a real Vault run the same ones.
//
// It tests what a caller sees. How a store behaves when its disk, its network or its other side fails is for the store's own tests.
package keytest

import (
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// patience of one test, which a Vault on a busy machine may need.
const patience = time.Minute

// Test runs the conformance tests. open gives a store without any version, another one at each call.
func Test(t *testing.T, open func(t *testing.T) key.Store) {
	for _, c := range []struct {
		claim string
		test  func(t *testing.T, ctx context.Context, store key.Store)
	}{
		{"a store without a version lists none", listsNone},
		{"versions count from one and each is newer", countsUp},
		{"every version signs for itself", everyVersionSigns},
		{"signatures are in the order of many hashes", keepsOrder},
		{"no hashes make no signatures", signsNothing},
		{"a version that is not there does not sign", refusesOtherVersions},
		{"retired versions are gone for good", retires},
		{"retiring again or less changes nothing", retiresOnce},
		{"retiring every version is refused", keepsTheLast},
		{"there is nothing to retire where nothing is", retiresNothing},
		{"what it returned is the caller's to change", returnsCopies},
		{"an ended context ends every call and changes nothing", heedsContexts},
		{"rotations and signatures go on side by side", worksConcurrently},
	} {
		t.Run(c.claim, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c.test(t, ctx, open(t))
		})
	}
}

// TestShared tests that two handles on one store, as two processes have them, see each other's changes. open gives two handles on a
// store without any version.
func TestShared(t *testing.T, open func(t *testing.T) (one, other key.Store)) {
	t.Run("the other sees a rotation and a retirement at once", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		one, other := open(t)
		for i := range 3 {
			made := rotate(t, ctx, one)
			signsWith(t, ctx, other, made)
			if got := versions(t, ctx, other); len(got) != i+1 {
				t.Fatalf("after rotation %d the other lists %v", i+1, got)
			}
			one, other = other, one
		}
		if err := one.Retire(ctx, 3); err != nil {
			t.Fatal(err)
		}
		if got := versions(t, ctx, other); !slices.Equal(got, []int{3}) {
			t.Errorf("after a retirement below 3 the other lists %v", got)
		}
		if _, err := other.Sign(ctx, 2, hashes(1)); !errors.Is(err, key.ErrNoVersion) {
			t.Errorf("the other signs with a retired version: %v", err)
		}
	})
	t.Run("both rotate at once and nothing is lost", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		one, other := open(t)
		first := rotate(t, ctx, one)
		const each = 5
		made := make(chan key.Public, 2*each)
		var both sync.WaitGroup
		for _, store := range []key.Store{one, other} {
			both.Go(func() {
				last := first.ID.Version
				for range each {
					public, err := store.Rotate(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					if public.ID.Version <= last {
						t.Errorf("version %d was made after version %d was there", public.ID.Version, last)
					}
					last = public.ID.Version
					made <- public
				}
			})
		}
		both.Wait()
		close(made)
		if got := versions(t, ctx, one); len(got) != 1+2*each {
			t.Errorf("%d rotations after the first left the versions %v", 2*each, got)
		}
		for public := range made {
			signsWith(t, ctx, one, public)
			signsWith(t, ctx, other, public)
		}
	})
}

func listsNone(t *testing.T, ctx context.Context, store key.Store) {
	if got := versions(t, ctx, store); len(got) != 0 {
		t.Errorf("it lists %v", got)
	}
	if _, err := store.Sign(ctx, 1, hashes(1)); !errors.Is(err, key.ErrNoVersion) {
		t.Errorf("Sign says %v", err)
	}
}

func countsUp(t *testing.T, ctx context.Context, store key.Store) {
	var made []key.Public
	for i := range 3 {
		public := rotate(t, ctx, store)
		if public.ID.Version != i+1 {
			t.Fatalf("rotation %d made version %d", i+1, public.ID.Version)
		}
		if err := key.CheckName(public.ID.Name); err != nil || i > 0 && public.ID.Name != made[0].ID.Name {
			t.Errorf("the name is %q, %v", public.ID.Name, err)
		}
		if public.Key.Curve != elliptic.P256() || public.Created.IsZero() {
			t.Errorf("%s is %v, created %v", public.ID, public.Key.Curve, public.Created)
		}
		made = append(made, public)
		listed, err := store.Keys(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(listed, made, samePublic) {
			t.Fatalf("made were %v, listed are %v", made, listed)
		}
	}
	for i, public := range made {
		if i > 0 && (public.Key.Equal(made[i-1].Key) || public.Created.Before(made[i-1].Created)) {
			t.Errorf("%s has the key of %s, or was made before it", public.ID, made[i-1].ID)
		}
	}
}

func everyVersionSigns(t *testing.T, ctx context.Context, store key.Store) {
	made := []key.Public{rotate(t, ctx, store), rotate(t, ctx, store), rotate(t, ctx, store)}
	hash := hashes(1)
	for _, public := range made {
		signatures, err := store.Sign(ctx, public.ID.Version, hash)
		if err != nil || len(signatures) != 1 {
			t.Fatalf("%s: %d signatures, %v", public.ID, len(signatures), err)
		}
		for _, other := range made {
			if got := key.Verify(other.Key, hash[0], signatures[0]); got != (other.ID == public.ID) {
				t.Errorf("a signature by %s is one by %s: %v", public.ID, other.ID, got)
			}
		}
	}
}

func keepsOrder(t *testing.T, ctx context.Context, store key.Store) {
	public := rotate(t, ctx, store)
	many := hashes(600)
	many[1] = many[0] // two of the same are two signatures
	signatures, err := store.Sign(ctx, public.ID.Version, many)
	if err != nil || len(signatures) != len(many) {
		t.Fatalf("%d hashes are answered with %d signatures, %v", len(many), len(signatures), err)
	}
	for i, hash := range many {
		if !key.Verify(public.Key, hash, signatures[i]) {
			t.Fatalf("signature %d is not over hash %d", i, i)
		}
	}
}

func signsNothing(t *testing.T, ctx context.Context, store key.Store) {
	public := rotate(t, ctx, store)
	if got, err := store.Sign(ctx, public.ID.Version, nil); len(got) != 0 || err != nil {
		t.Errorf("%d signatures, %v", len(got), err)
	}
}

func refusesOtherVersions(t *testing.T, ctx context.Context, store key.Store) {
	rotate(t, ctx, store)
	for _, version := range []int{-1, 0, 2, math.MaxInt32, math.MinInt} {
		if got, err := store.Sign(ctx, version, hashes(2)); !errors.Is(err, key.ErrNoVersion) || got != nil {
			t.Errorf("version %d: %d signatures, %v", version, len(got), err)
		}
	}
}

func retires(t *testing.T, ctx context.Context, store key.Store) {
	for range 4 {
		rotate(t, ctx, store)
	}
	if err := store.Retire(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if got := versions(t, ctx, store); !slices.Equal(got, []int{3, 4}) {
		t.Fatalf("left are %v", got)
	}
	for version := 1; version <= 4; version++ {
		got, err := store.Sign(ctx, version, hashes(1))
		if gone := errors.Is(err, key.ErrNoVersion); gone != (version < 3) || (got != nil) != (err == nil) {
			t.Errorf("version %d: %d signatures, %v", version, len(got), err)
		}
	}
	if public := rotate(t, ctx, store); public.ID.Version != 5 {
		t.Errorf("the next version is %d", public.ID.Version)
	}
}

func retiresOnce(t *testing.T, ctx context.Context, store key.Store) {
	for range 4 {
		rotate(t, ctx, store)
	}
	for _, least := range []int{3, 3, 2, 1, 0, -1} {
		if err := store.Retire(ctx, least); err != nil {
			t.Errorf("Retire(%d): %v", least, err)
		}
		if got := versions(t, ctx, store); !slices.Equal(got, []int{3, 4}) {
			t.Fatalf("Retire(%d) leaves %v", least, got)
		}
	}
}

func keepsTheLast(t *testing.T, ctx context.Context, store key.Store) {
	rotate(t, ctx, store)
	public := rotate(t, ctx, store)
	for _, least := range []int{3, math.MaxInt} {
		if err := store.Retire(ctx, least); err == nil {
			t.Errorf("Retire(%d) is accepted", least)
		}
		if got := versions(t, ctx, store); !slices.Equal(got, []int{1, 2}) {
			t.Fatalf("a refused Retire(%d) leaves %v", least, got)
		}
	}
	signsWith(t, ctx, store, public)
	if err := store.Retire(ctx, 2); err != nil {
		t.Errorf("all but the newest: %v", err)
	}
	signsWith(t, ctx, store, public)
}

func retiresNothing(t *testing.T, ctx context.Context, store key.Store) {
	for _, least := range []int{0, 1, 2} {
		if err := store.Retire(ctx, least); err != nil {
			t.Errorf("Retire(%d): %v", least, err)
		}
	}
	if public := rotate(t, ctx, store); public.ID.Version != 1 {
		t.Errorf("the first version is %d", public.ID.Version)
	}
}

func returnsCopies(t *testing.T, ctx context.Context, store key.Store) {
	rotate(t, ctx, store)
	public := rotate(t, ctx, store)
	listed, err := store.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	listed[0], listed[1] = listed[1], key.Public{}
	hash := hashes(1)
	signatures, err := store.Sign(ctx, public.ID.Version, hash)
	if err != nil {
		t.Fatal(err)
	}
	clear(signatures[0])
	if got := versions(t, ctx, store); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("it lists %v", got)
	}
	signsWith(t, ctx, store, public)
}

func heedsContexts(t *testing.T, ctx context.Context, store key.Store) {
	rotate(t, ctx, store)
	rotate(t, ctx, store)
	ended, end := context.WithCancel(ctx)
	end()
	_, keys := store.Keys(ended)
	_, made := store.Rotate(ended)
	_, signed := store.Sign(ended, 1, hashes(1))
	for call, err := range map[string]error{"Keys": keys, "Rotate": made, "Sign": signed, "Retire": store.Retire(ended, 2)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s says %v", call, err)
		}
	}
	if got := versions(t, ctx, store); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("left are %v", got)
	}
}

func worksConcurrently(t *testing.T, ctx context.Context, store key.Store) {
	first := rotate(t, ctx, store)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 3 {
				public, err := store.Rotate(ctx)
				if err == nil {
					err = signs(ctx, store, public)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for range 6 {
				if err := signs(ctx, store, first); err != nil {
					t.Error(err)
				}
				if _, err := store.Keys(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := versions(t, ctx, store); len(got) != 13 || got[12] != 13 {
		t.Errorf("12 rotations after the first left the versions %v", got)
	}
}

func rotate(t *testing.T, ctx context.Context, store key.Store) key.Public {
	t.Helper()
	public, err := store.Rotate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func versions(t *testing.T, ctx context.Context, store key.Store) []int {
	t.Helper()
	listed, err := store.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, public := range listed {
		all = append(all, public.ID.Version)
	}
	if !slices.IsSorted(all) {
		t.Errorf("versions are listed as %v", all)
	}
	return all
}

func signsWith(t *testing.T, ctx context.Context, store key.Store, public key.Public) {
	t.Helper()
	if err := signs(ctx, store, public); err != nil {
		t.Error(err)
	}
}

// signs returns an error when a version does not sign, or signs with another key than it was made with.
func signs(ctx context.Context, store key.Store, public key.Public) error {
	two := hashes(2)
	signatures, err := store.Sign(ctx, public.ID.Version, two)
	if err != nil {
		return err
	}
	if len(signatures) != 2 || !key.Verify(public.Key, two[0], signatures[0]) || !key.Verify(public.Key, two[1], signatures[1]) {
		return fmt.Errorf("%s signs with another key, or not in order", public.ID)
	}
	return nil
}

func samePublic(a, b key.Public) bool {
	return a.ID == b.ID && a.Key.Equal(b.Key) && a.Created.Equal(b.Created)
}

// hashes returns n hashes, each another one.
func hashes(n int) []key.Hash {
	all := make([]key.Hash, n)
	for i := range all {
		all[i] = sha256.Sum256(fmt.Appendf(nil, "payload %d", i))
	}
	return all
}
