package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func store(t testing.TB) *Tokens {
	t.Helper()
	return storeAt(t, filepath.Join(t.TempDir(), "tokens.json"))
}

func storeAt(t testing.TB, path string) *Tokens {
	t.Helper()
	s, err := OpenTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t testing.TB, s *Tokens, name string, lifetime time.Duration) string {
	t.Helper()
	secret, err := s.Add(name, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

func rotate(t testing.TB, s *Tokens, name string, overlap time.Duration) string {
	t.Helper()
	secret, err := s.Rotate(name, overlap)
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

// known says whether a secret is taken, and fails the test when it is neither taken nor refused.
func known(t testing.TB, s *Tokens, secret string) bool {
	t.Helper()
	_, err := s.Check(secret)
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Status != http.StatusUnauthorized) {
		t.Fatalf("checking a token: %v", err)
	}
	if err != nil && len(secret) > 20 && (strings.Contains(err.Error(), secret) || strings.Contains(e.Client, secret)) {
		t.Error("the error holds the token")
	}
	return err == nil
}

func TestATokenIsItsNameUntilItIsRevoked(t *testing.T) {
	s := store(t)
	secret, other := add(t, s, "ci", 0), add(t, s, "nightly", 0)
	if len(secret) != 4+52 || !strings.HasPrefix(secret, "hft_") || secret == other {
		t.Errorf("the tokens are %q and %q", secret, other)
	}
	id, err := s.Check(secret)
	if err != nil || id.Kind != Token || id.Name != "ci" || id.Credential == "" {
		t.Errorf("the token is %+v, %v", id, err)
	}
	for _, wrong := range []string{"", "hft_", secret[:55], secret + "a", secret[:55] + "!", strings.ToUpper(secret), "hft_" + strings.Repeat("a", 52)} {
		if known(t, s, wrong) {
			t.Errorf("%q is taken", wrong)
		}
	}
	if err := s.Revoke("ci"); err != nil {
		t.Fatal(err)
	}
	if known(t, s, secret) || !known(t, s, other) {
		t.Error("the revoked token is taken, or the other is not")
	}
	if err := s.Revoke("nightli"); err == nil || !strings.Contains(err.Error(), `did you mean "nightly"?`) {
		t.Errorf("revoking what is not there: %v", err)
	}
}

func TestRotationLetsTheOldSecretLiveForTheOverlap(t *testing.T) {
	s := store(t)
	now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	s.Now = func() time.Time { return now }
	first := add(t, s, "ci", 30*24*time.Hour)
	second := rotate(t, s, "ci", time.Hour)
	if !known(t, s, first) || !known(t, s, second) {
		t.Error("one of the two is not taken in the overlap")
	}
	now = now.Add(time.Hour - 1)
	if !known(t, s, first) {
		t.Error("the old one is not taken at the end of the overlap")
	}
	now = now.Add(1)
	if known(t, s, first) || !known(t, s, second) {
		t.Error("the old one is taken after the overlap, or the new one is not")
	}
	third := rotate(t, s, "ci", 0)
	if known(t, s, second) || !known(t, s, third) {
		t.Error("with no overlap the old one is taken, or the new one is not")
	}
	rotate(t, s, "ci", 1000*24*time.Hour)
	now = now.Add(30 * 24 * time.Hour)
	if known(t, s, third) {
		t.Error("an overlap made a secret live longer than it would have")
	}
	fifth := rotate(t, s, "ci", 0) // all have expired; the name still rotates
	if !known(t, s, fifth) {
		t.Error("a token whose secrets expired cannot be rotated")
	}
	for range maxSecrets - 1 {
		rotate(t, s, "ci", time.Hour)
	}
	if _, err := s.Rotate("ci", time.Hour); err == nil || !strings.Contains(err.Error(), "overlap of 0") {
		t.Errorf("a token got more than %d secrets: %v", maxSecrets, err)
	}
	last := rotate(t, s, "ci", 0)
	if known(t, s, fifth) || !known(t, s, last) {
		t.Error("rotating without overlap does not end all secrets before")
	}
}

func TestATokenExpires(t *testing.T) {
	s := store(t)
	now := time.Now()
	s.Now = func() time.Time { return now }
	secret := add(t, s, "ci", time.Hour)
	now = now.Add(time.Hour)
	_, err := s.Check(secret)
	var e *Error
	if !errors.As(err, &e) || e.Client != "the token has expired" || !strings.Contains(err.Error(), "of the token ci expired at") {
		t.Errorf("an expired token: %v", err)
	}
}

func TestARunningServiceHonoursWhatAnotherProcessChangesWithinASecond(t *testing.T) {
	s := store(t)
	other := storeAt(t, s.path)
	within := func(what string, is func() bool) {
		t.Helper()
		for start := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Since(start) > time.Second {
				t.Fatalf("%s is not honoured after a second", what)
			}
		}
	}
	secret := add(t, other, "ci", 0)
	within("a new token", func() bool { return known(t, s, secret) })
	for range 3 {
		old := secret
		secret = rotate(t, other, "ci", 0)
		within("a rotation", func() bool { return known(t, s, secret) && !known(t, s, old) })
	}
	if err := other.Revoke("ci"); err != nil {
		t.Fatal(err)
	}
	within("a revocation", func() bool { return !known(t, s, secret) })
}

func TestAStoreThatCannotBeReadLetsNobodyIn(t *testing.T) {
	s := store(t)
	secret := add(t, s, "ci", 0)
	for what, spoil := range map[string]func() error{
		"a store that is no JSON":       func() error { return os.WriteFile(s.path, []byte("{"), 0o600) },
		"a store of another version":    func() error { return os.WriteFile(s.path, []byte(`{"type":"holdfast-tokens/2","tokens":[]}`), 0o600) },
		"a store that is too long":      func() error { return os.WriteFile(s.path, make([]byte, maxTokensFile+1), 0o600) },
		"a store that others can write": func() error { return os.Chmod(s.path, 0o622) },
	} {
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s.file.forget()
		_, err = s.Check(secret)
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := s.Add("x", 0); err == nil {
			t.Errorf("%s was written over", what)
		}
		if _, err := OpenTokens(s.path); err == nil {
			t.Errorf("%s was opened", what)
		}
		if err := errors.Join(os.WriteFile(s.path, text, 0o600), os.Chmod(s.path, 0o600)); err != nil {
			t.Fatal(err)
		}
		s.file.forget()
		if !known(t, s, secret) {
			t.Errorf("after %s was mended the token is not taken", what)
		}
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	s.file.forget()
	if known(t, s, secret) {
		t.Error("a token of a file that is gone is taken")
	}
}

func TestTheFileAndTheListHoldNoSecrets(t *testing.T) {
	s := store(t)
	secret := add(t, s, "ci", time.Hour)
	text, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.List()
	if err != nil || len(list) != 1 || list[0].Name != "ci" || !list[0].Alive || !list[0].Newest || list[0].Expires.Sub(list[0].Created) != time.Hour {
		t.Errorf("the list is %+v, %v", list, err)
	}
	if strings.Contains(string(text)+fmt.Sprintf("%+v", list), secret[4:]) {
		t.Error("the token is in it")
	}
	if stat, err := os.Stat(s.path); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", stat.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(s.path), ".*")); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestASecretShowsItselfToRevealOnly(t *testing.T) {
	secret := newSecret()
	wrapped := struct {
		Public  Secret
		private Secret
		pointer *Secret
	}{secret, secret, &secret}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "wrapped", wrapped)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "wrapped", wrapped)
	marshalled, err := json.Marshal(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	text := log.String() + string(marshalled) + fmt.Sprintf("%v %+v %#v %s %q %x %v %+v %#v", secret, secret, secret, secret, secret, secret, wrapped, wrapped, wrapped)
	if strings.Contains(text, secret.Reveal()[4:]) || strings.Contains(text, fmt.Sprintf("%x", secret.Reveal()[4:])) {
		t.Errorf("the secret is in %s", text)
	}
	if (Secret{}).Reveal() != "" {
		t.Error("no secret reveals something")
	}
}

// TestEveryHashIsComparedWhateverTheTokenIs is about time: the comparisons must not depend on which token matches, or whether one does.
func TestEveryHashIsComparedWhateverTheTokenIs(t *testing.T) {
	s := store(t)
	var secrets []string
	for i := range 5 {
		secrets = append(secrets, add(t, s, fmt.Sprint("t", i), 0))
	}
	secrets = append(secrets, "hft_"+strings.Repeat("a", secretChars))
	compare := s.compare
	for i, secret := range secrets {
		calls := 0
		s.compare = func(a, b []byte) int {
			calls++
			if len(a) != 32 || len(b) != 32 {
				t.Errorf("%d and %d bytes are compared, and hashes have 32", len(a), len(b))
			}
			return compare(a, b)
		}
		if got := known(t, s, secret); got != (i < 5) {
			t.Errorf("token %d is taken: %v", i, got)
		}
		if calls != 5 {
			t.Errorf("token %d took %d comparisons, and there are 5 hashes", i, calls)
		}
	}
}

func TestNamesAndTimesOfTokensAreChecked(t *testing.T) {
	s := store(t)
	add(t, s, "ci", 0)
	for _, name := range []string{"", "ci", "-x", "a b", "a/b", "ä", strings.Repeat("a", 64), "a\n"} {
		if _, err := s.Add(name, 0); err == nil {
			t.Errorf("%q was added", name)
		}
	}
	for _, d := range []time.Duration{-1, maxLifetime + 1} {
		if _, err := s.Add("x", d); err == nil {
			t.Errorf("a token lives for %v", d)
		}
		if _, err := s.Rotate("ci", d); err == nil {
			t.Errorf("an overlap is %v", d)
		}
	}
	if _, err := s.Rotate("x", 0); err == nil {
		t.Error("a token that is not there was rotated")
	}
}

// changer names the file that this program adds tokens to as another process.
const changer = "ACCESS_TEST_TOKENS"

func TestMain(m *testing.M) {
	path := os.Getenv(changer)
	if path == "" {
		os.Exit(m.Run())
	}
	s, err := OpenTokens(path)
	if err == nil {
		err = addMany(s, fmt.Sprint("p", os.Getpid()))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func addMany(s *Tokens, prefix string) error {
	for i := range 10 {
		name := fmt.Sprintf("%s-%d", prefix, i)
		if _, err := s.Add(name, 0); err != nil {
			return err
		}
		if _, err := s.Rotate(name, time.Hour); err != nil {
			return err
		}
	}
	return nil
}

func TestProcessesThatChangeTheStoreAtTheSameTimeLoseNothing(t *testing.T) {
	s := store(t)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), changer+"="+s.path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, out)
			}
			if err := addMany(s, fmt.Sprint("g", i)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, err := s.List()
	if err != nil || len(list) != 4*2*10*2 {
		t.Errorf("there are %d secrets, %v; 160 are wanted", len(list), err)
	}
}

func FuzzTokens(f *testing.F) {
	f.Add([]byte(`{"type":"holdfast-tokens/1","tokens":[{"name":"ci","secrets":[{"id":"a","sha256":"` + strings.Repeat("00", 32) + `","created":"2026-01-05T10:00:00Z"}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseStored(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			return // a time with a zone that JSON cannot hold
		}
		if _, err := parseStored(again); err != nil {
			t.Errorf("%q was read, and what it is written as is not: %v", text, err)
		}
	})
}

func BenchmarkTokenCheck(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d tokens", n), func(b *testing.B) {
			s := store(b)
			var secret string
			for i := range n {
				secret = add(b, s, fmt.Sprint("t", i), 0)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Check(secret); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
