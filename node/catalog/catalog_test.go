package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type fixture struct {
	*Catalog
	path  string
	clock *clock
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{path: filepath.Join(t.TempDir(), "catalog.db"), clock: &clock{now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}}
	f.reopen(t)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) reopen(t *testing.T) {
	t.Helper()
	if f.Catalog != nil {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Open(f.path, Options{PasswordCost: bcrypt.MinCost, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	f.Catalog = c
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t *testing.T, err error, code Code, message string) {
	t.Helper()
	if err == nil || CodeOf(err) != code || message != "" && err.Error() != message {
		t.Errorf("error %v (code %q), want %q (code %q)", err, codeOrNone(err), message, code)
	}
}

func codeOrNone(err error) Code {
	if err == nil {
		return "none"
	}
	return CodeOf(err)
}

func setUp(t *testing.T, f *fixture) SetupResult {
	t.Helper()
	return must[SetupResult](t)(f.Setup(SetupRequest{Username: "admin", Org: "o", Bucket: "b", Password: "password1", Token: "operator-token"}))
}

func TestSetupGivesTheReservedIdentifiersAfterReopen(t *testing.T) {
	f := open(t)
	reserved := f.Reserved()
	if reserved.Org == 0 || reserved.Bucket == 0 {
		t.Fatal("no reserved identifiers")
	}
	f.reopen(t)
	if f.Reserved() != reserved {
		t.Fatalf("reserved %v after reopen, was %v", f.Reserved(), reserved)
	}
	s := setUp(t, f)
	if s.Org.ID != reserved.Org || s.Bucket.ID != reserved.Bucket || s.Bucket.OrgID != reserved.Org {
		t.Errorf("set-up made org %s and bucket %s, want %v", s.Org.ID, s.Bucket.ID, reserved)
	}
	f.reopen(t)
	if p := must[*Principal](t)(f.Authenticate("operator-token")); !p.Allows(Write, BucketsType, reserved.Org, reserved.Bucket) {
		t.Error("the operator's token does not allow to write after reopen")
	}
}

func TestSetupHappensOnce(t *testing.T) {
	f := open(t)
	if !must[bool](t)(f.SetupAllowed()) {
		t.Fatal("set-up is not allowed on a new catalog")
	}
	setUp(t, f)
	if must[bool](t)(f.SetupAllowed()) {
		t.Error("set-up is still allowed")
	}
	_, err := f.Setup(SetupRequest{Username: "x", Org: "x", Bucket: "x"})
	wantCode(t, err, Conflict, "onboarding has already been completed")
}

func TestConcurrentSetupsMakeOne(t *testing.T) {
	f := open(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for i := range 8 {
		wg.Go(func() {
			_, err := f.Setup(SetupRequest{Username: fmt.Sprint("u", i), Org: fmt.Sprint("o", i), Bucket: "b"})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				done++
			} else if CodeOf(err) != Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if users := must[[]User](t)(f.Users()); done != 1 || len(users) != 1 {
		t.Errorf("%d set-ups were acknowledged and %d users made, want 1 and 1", done, len(users))
	}
}

func TestSetupThatFailsLeavesNothing(t *testing.T) {
	f := open(t)
	_, err := f.Setup(SetupRequest{Username: "u"})
	wantCode(t, err, Unprocessable, "missing required fields: org, bucket")
	_, err = f.Setup(SetupRequest{Username: "u", Org: "o", Bucket: "_b"})
	wantCode(t, err, Invalid, "bucket name _b is invalid. Buckets may not start with underscore")
	if !must[bool](t)(f.SetupAllowed()) {
		t.Error("a failed set-up closed the door")
	}
	setUp(t, f)
}

func TestSetupMakesSystemBuckets(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	want := map[string]time.Duration{"_tasks": 72 * time.Hour, "_monitoring": 168 * time.Hour}
	for name, retention := range want {
		b := must[Bucket](t)(f.ResolveBucket(s.Org.ID, name))
		if b.Type != SystemBucket || b.Retention != retention {
			t.Errorf("bucket %s is %s with retention %s", name, b.Type, b.Retention)
		}
		wantCode(t, f.DeleteBucket(b.ID), Invalid, "system buckets cannot be deleted")
		other := "other"
		_, err := f.UpdateBucket(b.ID, BucketUpdate{Name: &other})
		wantCode(t, err, Invalid, "system buckets cannot be renamed")
	}
}

func TestFilesAreTheirOwnersOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	f := open(t)
	if err := os.Chmod(f.path, 0o644); err != nil {
		t.Fatal(err)
	}
	f.reopen(t)
	for _, path := range []string{f.path, f.path + ".key"} {
		st := must[fs.FileInfo](t)(os.Stat(path))
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
	}
}

func TestFileHoldsNoSecretInTheClear(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	auth := must[Authorization](t)(f.CreateAuthorization(Authorization{OrgID: s.Org.ID, UserID: s.User.ID, Permissions: OperatorPermissions()}))
	must[Remote](t)(f.CreateRemote(Remote{OrgID: s.Org.ID, Name: "r", URL: "http://h:1"}, "remote-secret"))
	secret, _, err := f.CreateSession(s.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	raw := must[[]byte](t)(os.ReadFile(f.path))
	f.Catalog = nil
	f.reopen(t)
	for _, s := range []string{auth.Token, "operator-token", "remote-secret", "password1", secret} {
		if bytes.Contains(raw, []byte(s)) {
			t.Errorf("the file holds the secret %.8s…", s)
		}
	}
	if !bytes.Contains(raw, []byte("admin's Token")) {
		t.Error("the file does not hold what is no secret: the test looks in the wrong place")
	}
}

func TestSecondProcessIsToldThatTheCatalogIsInUse(t *testing.T) {
	f := open(t)
	_, err := Open(f.path, Options{})
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("in use by another process")) {
		t.Errorf("error %v", err)
	}
}

func TestUnknownFormatVersionIsRefused(t *testing.T) {
	f := open(t)
	err := f.update(func(t *change) error { return t.Bucket([]byte(metaTable)).Put([]byte("version"), []byte("2")) })
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := Open(f.path, Options{}); err == nil {
		t.Error("opened", c.Close())
	}
	f.Catalog = must[*Catalog](t)(Open(filepath.Join(t.TempDir(), "other.db"), Options{}))
}

func TestDamagedKeyFileIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := os.WriteFile(path+".key", []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Open(path, Options{}); err == nil {
		t.Error("opened", c.Close())
	}
}

func TestNamesAreUnique(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	_, err := f.CreateOrg("o", "", 0)
	wantCode(t, err, Conflict, "organization with name o already exists")
	_, err = f.CreateUser("admin", "")
	wantCode(t, err, Conflict, "user with name admin already exists")
	_, err = f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: "b"})
	wantCode(t, err, Conflict, "bucket with name b already exists")
	_, err = f.CreateAuthorization(Authorization{OrgID: s.Org.ID, UserID: s.User.ID, Permissions: OperatorPermissions(), Token: "operator-token"})
	wantCode(t, err, Conflict, "token already exists")

	second := must[Org](t)(f.CreateOrg("o2", "", 0))
	must[Bucket](t)(f.CreateBucket(Bucket{OrgID: second.ID, Name: "b"}))
	taken := "o"
	_, err = f.UpdateOrg(second.ID, OrgUpdate{Name: &taken})
	wantCode(t, err, Conflict, "organization with name o already exists")
}

func TestRenameFreesTheOldName(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	renamed := "renamed"
	must[Bucket](t)(f.UpdateBucket(s.Bucket.ID, BucketUpdate{Name: &renamed}))
	if _, err := f.ResolveBucket(s.Org.ID, "b"); CodeOf(err) != NotFound {
		t.Errorf("the old name gives %v", err)
	}
	must[Bucket](t)(f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: "b"}))
	if b := must[Bucket](t)(f.ResolveBucket(s.Org.ID, renamed)); b.ID != s.Bucket.ID {
		t.Error("the new name gives another bucket")
	}
}

func TestChangesAreToldInOrder(t *testing.T) {
	f := open(t)
	var told []Change
	stop := f.Watch(func(c Change) { told = append(told, c) })
	s := setUp(t, f)
	if len(told) != 3 || told[2] != (Change{BucketsType, s.Bucket.ID, Created}) {
		t.Fatalf("set-up told %v", told)
	}
	told = nil
	r := must[Remote](t)(f.CreateRemote(Remote{OrgID: s.Org.ID, Name: "r", URL: "http://h:1"}, "t"))
	p := must[Replication](t)(f.CreateReplication(Replication{OrgID: s.Org.ID, Name: "p", RemoteID: r.ID, LocalBucketID: s.Bucket.ID, RemoteBucketName: "x"}))
	if _, err := f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: "b"}); err == nil {
		t.Fatal("made a bucket twice")
	}
	if err := f.DeleteBucket(s.Bucket.ID); err != nil {
		t.Fatal(err)
	}
	want := []Change{{RemotesType, r.ID, Created}, {ReplicationsType, p.ID, Created}, {ReplicationsType, p.ID, Deleted}, {BucketsType, s.Bucket.ID, Deleted}}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %v, want %v", told, want)
	}
	stop()
	must[Bucket](t)(f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: "later"}))
	if len(told) != len(want) {
		t.Error("told after stop")
	}
}

func TestConcurrentChangesAreAllKept(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range 10 {
				b, err := f.CreateBucket(Bucket{OrgID: s.Org.ID, Name: fmt.Sprintf("b-%d-%d", i, k)})
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := f.ResolveBucket(s.Org.ID, b.Name); err != nil || got.ID != b.ID {
					t.Errorf("bucket %s reads back as %v, %v", b.Name, got.ID, err)
				}
			}
		})
	}
	wg.Wait()
	f.reopen(t)
	if n := len(must[[]Bucket](t)(f.Buckets(s.Org.ID))); n != 43 {
		t.Errorf("%d buckets, want 43", n)
	}
}

func TestNoAnswerIsRememberedPastAChange(t *testing.T) {
	f := open(t)
	s := setUp(t, f)
	_, err := recall(&f.memory, func(m *memory) map[bucketName]Bucket { return m.buckets }, bucketName{s.Org.ID, "b"}, func() (Bucket, error) {
		return s.Bucket, f.DeleteBucket(s.Bucket.ID) // the change comes between reading and remembering
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ResolveBucket(s.Org.ID, "b"); CodeOf(err) != NotFound {
		t.Errorf("the deleted bucket still resolves: %v", err)
	}
}

func TestErrorsOfTheFileAreInternal(t *testing.T) {
	if CodeOf(errors.New("x")) != Internal || CodeOf(fmt.Errorf("w: %w", Errorf(NotFound, "n"))) != NotFound {
		t.Error("wrong codes")
	}
	if _, err := id.Parse("x"); CodeOf(err) != Internal {
		t.Error("a foreign error has a code")
	}
}
