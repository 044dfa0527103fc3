package catalog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

// consistent checks that every unique table says what its table says.
func consistent[T any](t *testing.T, c *Catalog, tab table[T]) {
	t.Helper()
	err := c.view(func(tx *bolt.Tx) error {
		all, err := tab.list(tx, nil)
		if err != nil {
			return err
		}
		for i := range all {
			raw := tx.Bucket([]byte(tab.name + indexSuffix)).Get([]byte(tab.unique(&all[i])))
			if raw == nil || id.ID(binary.BigEndian.Uint64(raw)) != tab.id(&all[i]) {
				t.Errorf("%s %s is not found by what makes it unique", tab.name, tab.id(&all[i]))
			}
		}
		if n := tx.Bucket([]byte(tab.name + indexSuffix)).Stats().KeyN; n != len(all) {
			t.Errorf("%d %s and %d unique values", len(all), tab.name, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func allConsistent(t *testing.T, c *Catalog) {
	t.Helper()
	consistent(t, c, orgs)
	consistent(t, c, users)
	consistent(t, c, buckets)
	consistent(t, c, authorizations)
	consistent(t, c, legacyAuthorizations)
	consistent(t, c, dbrps)
	consistent(t, c, remotes)
	consistent(t, c, replications)
}

// TestBucketsMatchAModelUnderRandomChanges compares the catalog with a map through creations, renames, deletions and reopenings.
func TestBucketsMatchAModelUnderRandomChanges(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	r := rand.New(rand.NewPCG(1, 2))
	model := map[string]id.ID{"b": s.Bucket.ID}
	name := func() string { return fmt.Sprint("n", r.IntN(12)) }
	for range 150 {
		a, b := name(), name()
		held, known := model[a]
		_, taken := model[b]
		switch r.IntN(8) {
		case 0, 1, 2:
			made, err := f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: a})
			if known != (CodeOf(err) == Conflict && err != nil) {
				t.Fatalf("create %s: %v", a, err)
			}
			if !known {
				model[a] = made.ID
			}
		case 3, 4, 5:
			if !known {
				continue
			}
			_, err := f.UpdateBucket(held, BucketUpdate{Name: &b})
			if (err != nil) != (taken && a != b) {
				t.Fatalf("rename %s to %s: %v", a, b, err)
			}
			if err == nil {
				delete(model, a)
				model[b] = held
			}
		case 6:
			if known {
				if err := f.DeleteBucket(held); err != nil {
					t.Fatal(err)
				}
				delete(model, a)
			}
		case 7:
			if r.IntN(5) == 0 {
				f.reopen(t)
			}
		}
		got, err := f.ResolveBucket(s.Org.ID, b)
		if want, ok := model[b]; ok != (err == nil) || got.ID != want {
			t.Fatalf("bucket %s is %s (%v), want %s", b, got.ID, err, want)
		}
	}
	if all := must[[]Bucket](t)(f.Buckets(s.Org.ID)); len(all) != len(model)+2 {
		t.Errorf("%d buckets, want %d and 2 of the system", len(all), len(model))
	}
	allConsistent(t, f.Catalog)
}

// populate makes one of everything that belongs to an organisation and a user.
func populate(t *testing.T, f *fixture) (Org, User, Bucket, Replication) {
	t.Helper()
	u := must[User](t)(f.CreateUser("u", ""))
	o := must[Org](t)(f.CreateOrg("o2", "", u.ID))
	b := must[Bucket](t)(f.CreateBucket(Bucket{OrgID: o.ID, Name: "b"}))
	must[Authorization](t)(f.CreateAuthorization(Authorization{OrgID: o.ID, UserID: u.ID, Permissions: OperatorPermissions(), Token: "second"}))
	l := must[Authorization](t)(f.CreateLegacyAuthorization(Authorization{Name: "v1", OrgID: o.ID, UserID: u.ID, Permissions: OperatorPermissions()}))
	must[DBRP](t)(f.CreateDBRP(DBRP{Database: "d", RetentionPolicy: "r", OrgID: o.ID, BucketID: b.ID}))
	r := must[Remote](t)(f.CreateRemote(Remote{OrgID: o.ID, Name: "r", URL: "http://h:1"}, "t"))
	p := must[Replication](t)(f.CreateReplication(Replication{OrgID: o.ID, Name: "p", RemoteID: r.ID, LocalBucketID: b.ID, RemoteBucketName: "x"}))
	if err := f.SetPassword(u.ID, "password1"); err != nil {
		t.Fatal(err)
	}
	if err := f.SetLegacyPassword(l.ID, "password1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.CreateSession(u.ID); err != nil {
		t.Fatal(err)
	}
	return o, u, b, p
}

// counts returns the number of records of each table.
func counts(t *testing.T, f *fixture) map[string]int {
	t.Helper()
	n := map[string]int{}
	err := f.view(func(tx *bolt.Tx) error {
		for _, name := range tables {
			n[name] = tx.Bucket([]byte(name)).Stats().KeyN
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDeletedOrganisationAndUserLeaveNothing(t *testing.T) {
	f := open(t)
	setUp(t, f)
	before := counts(t, f)
	o, u, b, p := populate(t, f)
	var told []Change
	f.Watch(func(c Change) { told = append(told, c) })
	if err := f.DeleteOrg(o.ID); err != nil {
		t.Fatal(err)
	}
	var gone []id.ID
	for _, c := range told {
		if c.Op == Deleted {
			gone = append(gone, c.ID)
		}
	}
	if len(gone) != 5 { // the replication, the remote, and three buckets with the two of the system
		t.Errorf("told %v", told)
	}
	for _, want := range []id.ID{b.ID, p.ID} {
		if !strings.Contains(fmt.Sprint(gone), want.String()) {
			t.Errorf("the end of %s was not told", want)
		}
	}
	if err := f.DeleteUser(u.ID); err != nil {
		t.Fatal(err)
	}
	if after := counts(t, f); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("left %v, before %v", after, before)
	}
	allConsistent(t, f.Catalog)
	_, err := f.Authenticate("second")
	wantCode(t, err, Unauthorized, "unauthorized access")
	_, err = f.AuthenticateLegacy("v1", "password1")
	wantCode(t, err, Unauthorized, "")
	wantCode(t, f.DeleteOrg(o.ID), NotFound, "organization not found")
	wantCode(t, f.DeleteUser(u.ID), NotFound, "user not found")
}

func TestDeletedBucketTakesItsReplicationsAndMappings(t *testing.T) {
	f := open(t)
	setUp(t, f)
	o, _, b, p := populate(t, f)
	other := must[Bucket](t)(f.CreateBucket(Bucket{OrgID: o.ID, Name: "other"}))
	kept := must[DBRP](t)(f.CreateDBRP(DBRP{Database: "d", RetentionPolicy: "kept", OrgID: o.ID, BucketID: other.ID}))
	must[DBRP](t)(f.CreateDBRP(DBRP{Database: "d", RetentionPolicy: "gone-too", OrgID: o.ID, BucketID: b.ID}))
	if err := f.DeleteBucket(b.ID); err != nil {
		t.Fatal(err)
	}
	_, err := f.Replication(p.ID)
	wantCode(t, err, NotFound, "replication not found")
	if d := must[DBRP](t)(f.DBRP(o.ID, kept.ID)); !d.Default {
		t.Error("the database lost its default")
	}
	_, err = f.ResolveDBRP(o.ID, "d", "r")
	wantCode(t, err, NotFound, "no dbrp mapping found")
	allConsistent(t, f.Catalog)
}

func TestBucketNameOfALegacyPolicyMaps(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	make := func(name string) Bucket {
		return must[Bucket](t)(f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: name}))
	}
	plain, weekly, doubled, lone := make("db"), make("db/weekly"), make("db/autogen"), make("solo/rp")
	for _, c := range []struct {
		db, rp string
		want   id.ID // 0 for none
	}{
		{"db", "", plain.ID}, {"db", "autogen", plain.ID}, {"db", "weekly", weekly.ID}, {"db", "other", 0}, {"solo", "rp", lone.ID}, {"solo", "", 0},
	} {
		b, err := f.ResolveDBRP(s.Org.ID, c.db, c.rp)
		if b.ID != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%s/%s is %v, %v", c.db, c.rp, b.Name, err)
		}
	}
	_, err := f.DBRP(s.Org.ID, doubled.ID)
	wantCode(t, err, NotFound, "")
	must[DBRP](t)(f.CreateDBRP(DBRP{Database: "db", RetentionPolicy: "autogen", OrgID: s.Org.ID, BucketID: lone.ID}))
	if b := must[Bucket](t)(f.ResolveDBRP(s.Org.ID, "db", "")); b.ID != lone.ID {
		t.Errorf("a kept mapping does not win: %s", b.Name)
	}
	if d := must[DBRP](t)(f.DBRP(s.Org.ID, weekly.ID)); d.Default || !d.Virtual {
		t.Errorf("mapping %+v", d)
	}
	_, err = f.UpdateDBRP(s.Org.ID, weekly.ID, DBRPUpdate{})
	wantCode(t, err, Invalid, "")
	wantCode(t, f.DeleteDBRP(s.Org.ID, weekly.ID), Invalid, "")
	wantCode(t, f.DeleteDBRP(s.Org.ID, 1), NotFound, "unable to find DBRP")
}

func TestMappingStaysInItsOrganisation(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	o := must[Org](t)(f.CreateOrg("o2", "", 0))
	_, err := f.CreateDBRP(DBRP{Database: "d", RetentionPolicy: "r", OrgID: o.ID, BucketID: s.Bucket.ID})
	wantCode(t, err, Invalid, "")
	d := must[DBRP](t)(f.CreateDBRP(DBRP{Database: "d", RetentionPolicy: "r", OrgID: s.Org.ID, BucketID: s.Bucket.ID}))
	_, err = f.UpdateDBRP(o.ID, d.ID, DBRPUpdate{})
	wantCode(t, err, NotFound, "")
	_, err = f.ResolveDBRP(o.ID, "d", "r")
	wantCode(t, err, NotFound, "no dbrp mapping found")
}

func TestReplicationStaysInItsOrganisation(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	o, _, b, p := populate(t, f)
	for _, r := range []Replication{
		{OrgID: s.Org.ID, Name: "x", RemoteID: p.RemoteID, LocalBucketID: s.Bucket.ID, RemoteBucketName: "x"},
		{OrgID: o.ID, Name: "x", RemoteID: p.RemoteID, LocalBucketID: s.Bucket.ID, RemoteBucketName: "x"},
	} {
		_, err := f.CreateReplication(r)
		wantCode(t, err, Invalid, "")
	}
	must[Replication](t)(f.CreateReplication(Replication{OrgID: o.ID, Name: "x", RemoteID: p.RemoteID, LocalBucketID: b.ID, RemoteBucketName: "x"}))
}

func TestSessionLivesWhileItIsUsed(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	secret, expires, err := f.CreateSession(s.User.ID)
	if err != nil || !expires.Equal(f.clock.Now().Add(time.Hour)) {
		t.Fatalf("ends %v, %v", expires, err)
	}
	for range 4 {
		f.clock.add(40 * time.Minute)
		must[*Principal](t)(f.AuthenticateSession(secret))
		f.reopen(t)
	}
	f.clock.add(61 * time.Minute)
	_, err = f.AuthenticateSession(secret)
	wantCode(t, err, Unauthorized, "unauthorized access")
	f.reopen(t)
	if n := counts(t, f)[sessionsTable]; n != 0 {
		t.Errorf("%d ended sessions are kept", n)
	}
}

func TestInactiveUserHasNoSession(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	secret, _, err := f.CreateSession(s.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	inactive := Inactive
	must[User](t)(f.UpdateUser(s.User.ID, UserUpdate{Status: &inactive}))
	_, err = f.AuthenticateSession(secret)
	wantCode(t, err, Forbidden, "User is inactive")
	_, err = f.VerifyPassword("admin", "password1")
	wantCode(t, err, Forbidden, "User is inactive")
	_, err = f.VerifyPassword("admin", "wrong")
	wantCode(t, err, Unauthorized, "unauthorized access")
}

func TestUserWithoutPasswordCannotSignIn(t *testing.T) {
	f := open(t)
	must[SetupResult](t)(f.Setup(SetupRequest{Username: "admin", Org: "o", Bucket: "b"}))
	for _, password := range []string{"", "password1"} {
		_, err := f.VerifyPassword("admin", password)
		wantCode(t, err, Unauthorized, "unauthorized access")
	}
}

func TestRemoteTokenNeedsItsKeyAndItsRemote(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	a := must[Remote](t)(f.CreateRemote(Remote{OrgID: s.Org.ID, Name: "a", URL: "http://h:1"}, "token-a"))
	b := must[Remote](t)(f.CreateRemote(Remote{OrgID: s.Org.ID, Name: "b", URL: "http://h:1"}, "token-b"))
	f.reopen(t)
	if got := must[string](t)(f.RemoteToken(a.ID)); got != "token-a" {
		t.Errorf("token %q", got)
	}
	next := "token-c"
	must[Remote](t)(f.UpdateRemote(a.ID, RemoteUpdate{Token: &next}))
	if got := must[string](t)(f.RemoteToken(a.ID)); got != next {
		t.Errorf("token %q", got)
	}
	renamed := "a2"
	must[Remote](t)(f.UpdateRemote(a.ID, RemoteUpdate{Name: &renamed}))
	if got := must[string](t)(f.RemoteToken(a.ID)); got != next {
		t.Errorf("a change of the name changed the token to %q", got)
	}
	err := f.update(func(c *change) error { // the token of one remote under another's identifier
		from, err := remotes.get(c.Tx, b.ID)
		if err != nil {
			return err
		}
		to, err := remotes.get(c.Tx, a.ID)
		to.Sealed = from.Sealed
		if err != nil {
			return err
		}
		return remotes.put(c.Tx, &to)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.RemoteToken(a.ID); err == nil {
		t.Errorf("another remote's token was taken: %q", got)
	}
	if err := os.WriteFile(f.path+".key", bytes.Repeat([]byte{7}, keyLength), 0o600); err != nil {
		t.Fatal(err)
	}
	f.reopen(t)
	if _, err := f.RemoteToken(b.ID); err == nil || strings.Contains(err.Error(), "token-b") {
		t.Errorf("error %v", err)
	}
	must[*Principal](t)(f.Authenticate("operator-token")) // the key file does not lock anyone out
}

func TestRemoteAddressIsChecked(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	for _, address := range []string{"", "h:1", "ftp://h", "http://", "http://u:hidden-secret@h:1", "u:hidden-secret@h", "http://h:1?x=1", "http://h:1#f", "://"} {
		_, err := f.CreateRemote(Remote{OrgID: s.Org.ID, Name: "r", URL: address}, "t")
		wantCode(t, err, Invalid, "")
		if err != nil && strings.Contains(err.Error(), "hidden-secret") {
			t.Errorf("the error tells a password: %v", err)
		}
	}
	must[Remote](t)(f.CreateRemote(Remote{OrgID: s.Org.ID, Name: "r", URL: "https://h/prefix"}, "t"))
}

func TestSpecIsWhatTheSenderTakes(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	r := must[Remote](t)(f.CreateRemote(Remote{OrgID: s.Org.ID, Name: "r", URL: "https://h:1", RemoteOrgID: 10, AllowInsecureTLS: true}, "t"))
	p := must[Replication](t)(f.CreateReplication(Replication{OrgID: s.Org.ID, Name: "p", RemoteID: r.ID, LocalBucketID: s.Bucket.ID, RemoteBucketID: 11,
		MaxAgeSeconds: 60, Paused: true, BytesPerSecond: 5, Order: replicate.NewestFirst, Backfill: true, DropNonRetryableData: true}))
	got := must[replicate.Spec](t)(f.Spec(p))
	want := replicate.Spec{ID: p.ID, Name: "p", Bucket: s.Bucket.ID, RemoteBucketID: "000000000000000b", MaxQueueBytes: replicate.DefaultQueueBytes, MaxAge: time.Minute,
		Remote:           replicate.Remote{URL: "https://h:1", Token: "t", OrgID: "000000000000000a", InsecureTLS: true},
		DropNonRetryable: true, Paused: true, Order: replicate.NewestFirst, Backfill: true, BytesPerSecond: 5}
	if got != want {
		t.Errorf("spec %+v, want %+v", got, want)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
}

func TestShardDurationFollowsRetention(t *testing.T) {
	for retention, want := range map[time.Duration]time.Duration{0: 7 * day, time.Hour: time.Hour, 2*day - 1: time.Hour, 2 * day: day, 180*day - 1: day,
		180 * day: 7 * day, 400 * day: 7 * day} {
		if got := DefaultShardDuration(retention); got != want {
			t.Errorf("%s for %s, want %s", got, retention, want)
		}
	}
}

func TestNamesAreChecked(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	for _, name := range []string{"", "  ", "a\nb", "a\x00b", "\xff", strings.Repeat("x", 1025)} {
		_, err := f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: name})
		wantCode(t, err, Invalid, "")
		_, err = f.CreateUser(name, "")
		wantCode(t, err, Invalid, "")
	}
	must[Bucket](t)(f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: "Übersicht/ρ"}))
}

func TestRightPasswordIsRemembered(t *testing.T) {
	f := open(t)
	setUp(t, f)
	_, _, _, _ = populate(t, f)
	first := must[*Principal](t)(f.AuthenticateLegacy("v1", "password1"))
	if second := must[*Principal](t)(f.AuthenticateLegacy("v1", "password1")); first != second {
		t.Error("the password was hashed twice")
	}
	for i := range 2 * maxRemembered {
		must[*Principal](t)(f.AuthenticateLegacy(fmt.Sprint("u", i), "second"))
	}
	if n := len(f.memory.principals); n > maxRemembered {
		t.Errorf("%d principals are remembered", n)
	}
}
