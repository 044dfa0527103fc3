package keystore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/key/keytest"
)

// cheap keeps the many passphrases of these tests from costing a tenth of a second each.
var cheap = Cost{Passes: 1, Memory: 8, Threads: 1}

const phrase = "correct horse battery staple"

func openFolder(t testing.TB, dir string, secret Secret) *Folder {
	t.Helper()
	folder, err := Open(Options{Dir: dir, Secret: secret, Cost: cheap})
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func openKey(t testing.TB, dir string, secret Secret) *Key {
	t.Helper()
	k, err := openFolder(t, dir, secret).Key("images")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// withVersions makes a store of n versions and returns its folder and the file.
func withVersions(t testing.TB, n int) (dir, path string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "keys")
	k := openKey(t, dir, Passphrase(phrase))
	for range n {
		if _, err := k.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return dir, k.path
}

func keyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := WriteKeyFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheEmbeddedStoreIsAKeyStore(t *testing.T) {
	file := keyFile(t)
	for name, secret := range map[string]Secret{"passphrase": Passphrase(phrase), "key file": KeyFile(file)} {
		t.Run(name, func(t *testing.T) {
			keytest.Test(t, func(t *testing.T) key.Store { return openKey(t, filepath.Join(t.TempDir(), "keys"), secret) })
			keytest.TestShared(t, func(t *testing.T) (key.Store, key.Store) {
				dir := filepath.Join(t.TempDir(), "keys")
				return openKey(t, dir, secret), openKey(t, dir, secret)
			})
		})
	}
}

func TestAStoreThatIsOpenedAgainHasItsVersions(t *testing.T) {
	dir, _ := withVersions(t, 3)
	k := openKey(t, dir, Passphrase(phrase))
	if err := k.Retire(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	before, err := k.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	folder := openFolder(t, dir, Passphrase(phrase))
	if err := folder.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if names, err := folder.Names(); err != nil || !slices.Equal(names, []string{"images"}) {
		t.Errorf("the names are %v, %v", names, err)
	}
	again, err := folder.Key("images")
	if err != nil {
		t.Fatal(err)
	}
	after, err := again.Keys(t.Context())
	if err != nil || len(after) != 2 {
		t.Fatalf("%v, %v", after, err)
	}
	for i := range after {
		if after[i].ID != before[i].ID || !after[i].Key.Equal(before[i].Key) || !after[i].Created.Equal(before[i].Created) {
			t.Errorf("%v is read again as %v", before[i], after[i])
		}
	}
	if made, err := again.Rotate(t.Context()); err != nil || made.ID.Version != 4 {
		t.Errorf("the next is %v, %v", made.ID, err)
	}
}

func TestAWrongSecretOpensNothingAndChangesNothing(t *testing.T) {
	dir, path := withVersions(t, 2)
	before := read(t, path)
	for name, secret := range map[string]Secret{"another passphrase": Passphrase(phrase + " "), "a key": KeyFile(keyFile(t))} {
		t.Run(name, func(t *testing.T) {
			k := openKey(t, dir, secret)
			_, keys := k.Keys(t.Context())
			_, made := k.Rotate(t.Context())
			_, signed := k.Sign(t.Context(), 1, make([]key.Hash, 1))
			for call, err := range map[string]error{"Keys": keys, "Rotate": made, "Sign": signed, "Retire": k.Retire(t.Context(), 2),
				"Check": openFolder(t, dir, secret).Check(t.Context()), "Rewrap": openFolder(t, dir, secret).Rewrap(t.Context(), Passphrase("other"))} {
				if !errors.Is(err, ErrSecret) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s says %v", call, err)
				}
			}
			other, err := openFolder(t, dir, secret).Key("other")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Rotate(t.Context()); !errors.Is(err, ErrSecret) {
				t.Errorf("a second key is made under another secret than the first: %v", err)
			}
			if !bytes.Equal(read(t, path), before) {
				t.Error("the file changed")
			}
		})
	}
}

func TestAFileWithAnyByteFlippedIsRefused(t *testing.T) {
	dir, path := withVersions(t, 2)
	good := read(t, path)
	k := openKey(t, dir, Passphrase(phrase))
	refuses := func(text []byte, what string, secretToo bool) {
		t.Helper()
		write(t, path, text)
		k.held, k.text = nil, nil
		_, err := k.Keys(t.Context())
		var damaged *DamagedError
		if !errors.As(err, &damaged) && !(secretToo && errors.Is(err, ErrSecret)) {
			t.Fatalf("%s: %v", what, err)
		}
		if damaged != nil && damaged.Path != path {
			t.Errorf("%s: the error is about %q", what, damaged.Path)
		}
		if _, err := k.Rotate(t.Context()); err == nil {
			t.Fatalf("%s: it is written over", what)
		}
		if err := openFolder(t, dir, Passphrase(phrase)).Rewrap(t.Context(), Passphrase("new")); err == nil {
			t.Fatalf("%s: it is rewrapped", what)
		}
		if !bytes.Equal(read(t, path), text) {
			t.Fatalf("%s: it changed", what)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		refuses(bad, fmt.Sprintf("byte %d flipped", i), false)
		if i < len(bad)-sha256.Size { // as someone does who can write the file and knows the format, but not the secret
			sum := sha256.Sum256(bad[:len(bad)-sha256.Size])
			copy(bad[len(bad)-sha256.Size:], sum[:])
			refuses(bad, fmt.Sprintf("byte %d flipped and the checksum mended", i), true)
		}
	}
	for n := range good {
		refuses(good[:n], fmt.Sprintf("cut to %d bytes", n), false)
	}
	refuses(append(bytes.Clone(good), 0), "a byte longer", false)
	refuses(make([]byte, maxFile+10), "far too long", false)
	write(t, path, good)
	if got, err := k.Keys(t.Context()); err != nil || len(got) != 2 {
		t.Errorf("the good file is read as %v, %v", got, err)
	}
}

func TestAFileOfAnotherKeyOrFormatIsRefused(t *testing.T) {
	dir, path := withVersions(t, 1)
	write(t, filepath.Join(dir, "other.key"), read(t, path))
	other, err := openFolder(t, dir, Passphrase(phrase)).Key("other")
	if err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if _, err := other.Keys(t.Context()); !errors.As(err, &damaged) || !strings.Contains(err.Error(), `"images"`) {
		t.Errorf("a renamed file: %v", err)
	}
	newer := read(t, path)
	newer[7] = 2
	sum := sha256.Sum256(newer[:len(newer)-sha256.Size])
	copy(newer[len(newer)-sha256.Size:], sum[:])
	write(t, path, newer)
	if _, err := openKey(t, dir, Passphrase(phrase)).Keys(t.Context()); !errors.As(err, &damaged) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer format: %v", err)
	}
}

func TestFilesThatOthersMayUseAreRefused(t *testing.T) {
	dir, path := withVersions(t, 1)
	key32, phraseFile := keyFile(t), filepath.Join(t.TempDir(), "phrase")
	write(t, phraseFile, []byte(phrase+"\n"))
	if _, err := openKey(t, dir, PassphraseFile(phraseFile)).Keys(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys := func(dir string, secret Secret) error {
		folder, err := Open(Options{Dir: dir, Secret: secret, Cost: cheap})
		if err != nil {
			return err
		}
		k, err := folder.Key("images")
		if err == nil {
			_, err = k.Keys(t.Context())
		}
		return err
	}
	keyed := filepath.Join(t.TempDir(), "keys")
	if _, err := openKey(t, keyed, KeyFile(key32)).Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		dir    string
		secret Secret
		good   fs.FileMode
	}{
		{dir, dir, Passphrase(phrase), 0o700},
		{path, dir, Passphrase(phrase), 0o600},
		{phraseFile, dir, PassphraseFile(phraseFile), 0o400},
		{key32, keyed, KeyFile(key32), 0o400},
	} {
		for _, bit := range []fs.FileMode{0o040, 0o020, 0o010, 0o004, 0o002, 0o001} {
			if err := os.Chmod(c.path, c.good|bit); err != nil {
				t.Fatal(err)
			}
			var denied *PermissionError
			if err := keys(c.dir, c.secret); !errors.As(err, &denied) || denied.Path != c.path || denied.Mode != c.good|bit {
				t.Errorf("%s with mode %o: %v", c.path, c.good|bit, err)
			}
		}
		if err := os.Chmod(c.path, c.good); err != nil {
			t.Fatal(err)
		}
		if err := keys(c.dir, c.secret); err != nil {
			t.Errorf("%s with mode %o: %v", c.path, c.good, err)
		}
	}
	good := read(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path+".real", good)
	if err := os.Symlink(path+".real", path); err != nil {
		t.Fatal(err)
	}
	if err := keys(dir, Passphrase(phrase)); err == nil {
		t.Error("a symbolic link is followed")
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	var denied *PermissionError
	if err := keys(file, Passphrase(phrase)); !errors.As(err, &denied) {
		t.Errorf("a file in the folder's place: %v", err)
	}
}

func TestSecretsComeFromFilesAndCredentials(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if err := WriteKeyFile(filepath.Join(dir, "holdfast-keys")); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeyFile(filepath.Join(dir, "holdfast-keys")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key file is written over: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "holdfast-keys"), 0o440); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	if _, err := openKey(t, keys, Credential("holdfast-keys")).Rotate(t.Context()); err != nil {
		t.Error(err)
	}
	short := filepath.Join(dir, "short")
	write(t, short, make([]byte, 31))
	write(t, short+"-long", make([]byte, 33))
	empty := filepath.Join(dir, "empty")
	write(t, empty, []byte("\n"))
	endless := filepath.Join(dir, "endless")
	write(t, endless, bytes.Repeat([]byte("a"), 1<<20))
	for _, secret := range []Secret{Credential("none"), Credential("../" + filepath.Base(dir) + "/holdfast-keys"), Credential(""), KeyFile(short), KeyFile(short + "-long"),
		KeyFile(dir), PassphraseFile(empty), PassphraseFile(endless), PassphraseFile(filepath.Join(dir, "none")), Passphrase(""), Passphrase(strings.Repeat("a", 1025))} {
		if _, err := openKey(t, filepath.Join(t.TempDir(), "keys"), secret).Rotate(t.Context()); err == nil {
			t.Errorf("%v is accepted", secret)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := openKey(t, keys, Credential("holdfast-keys")).Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "LoadCredential=holdfast-keys") {
		t.Errorf("without credentials: %v", err)
	}
	if _, err := Open(Options{Dir: keys}); err == nil {
		t.Error("a store without a secret is opened")
	}
	if _, err := Open(Options{Dir: keys, Secret: Passphrase(phrase), Cost: Cost{Passes: 1, Memory: 4, Threads: 1}}); err == nil {
		t.Error("a cost out of bounds is accepted")
	}
}

func TestNothingOfAPrivateHalfIsInTheClear(t *testing.T) {
	dir, path := withVersions(t, 2)
	k := openKey(t, dir, Passphrase(phrase))
	if _, err := k.Keys(t.Context()); err != nil {
		t.Fatal(err)
	}
	listed, err := k.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, path)
	secret := Passphrase(phrase)
	printed := fmt.Sprintf("%v %+v %#v %v %+v %#v %v", listed, listed, listed, secret, secret, secret, k.folder.Check(t.Context()))
	for _, v := range k.held.versions {
		scalar, err := v.private.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for form, part := range map[string][]byte{"raw": scalar, "half": scalar[:16], "hex": []byte(hex.EncodeToString(scalar)), "base64": []byte(base64.StdEncoding.EncodeToString(scalar)[:40])} {
			if bytes.Contains(text, part) || strings.Contains(printed, string(part)) {
				t.Errorf("version %d is in the clear as %s", v.number, form)
			}
		}
		if strings.Contains(printed, new(big.Int).SetBytes(scalar).String()) {
			t.Errorf("version %d is printed as a number", v.number)
		}
	}
	if strings.Contains(printed, phrase) {
		t.Error("the passphrase is printed")
	}
}

func TestRetiredPrivateHalvesAreInOldCopiesOnly(t *testing.T) {
	dir, path := withVersions(t, 3)
	backup := read(t, path)
	k := openKey(t, dir, Passphrase(phrase))
	if err := k.Retire(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	p, err := parse(read(t, path), "images")
	if err != nil || len(p.versions) != 1 || p.versions[0].number != 3 {
		t.Fatalf("the file holds %v, %v", p, err)
	}
	if beside, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(beside) != 2 {
		t.Errorf("the folder holds %v, %v", beside, err)
	}
	old := filepath.Join(t.TempDir(), "keys")
	openFolder(t, old, Passphrase(phrase))
	write(t, filepath.Join(old, "images.key"), backup)
	if got, err := openKey(t, old, Passphrase(phrase)).Keys(t.Context()); err != nil || len(got) != 3 {
		t.Errorf("the copy holds %v, %v", got, err)
	}
}

func TestRewrapChangesTheSecretOfEveryFile(t *testing.T) {
	dir, path := withVersions(t, 2)
	folder := openFolder(t, dir, Passphrase(phrase))
	other, err := folder.Key("list")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	running := openKey(t, dir, Passphrase(phrase))
	before, err := running.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secret := KeyFile(keyFile(t))
	old := read(t, path)
	for _, secret := range []Secret{Passphrase("another one"), secret, secret} {
		if err := folder.Rewrap(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(folder.Check(t.Context()), openFolder(t, dir, secret).Check(t.Context())); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after, err := openKey(t, dir, secret).Keys(t.Context())
	if err != nil || len(after) != 2 || !after[1].Key.Equal(before[1].Key) {
		t.Errorf("the keys are %v, %v", after, err)
	}
	if _, err := running.Keys(t.Context()); !errors.Is(err, ErrSecret) {
		t.Errorf("a process with the old secret: %v", err)
	}
	// The old copy's data key must open nothing of the new file.
	if now := read(t, path); bytes.Equal(now[offWrapped:offNewest], old[offWrapped:offNewest]) || bytes.Equal(now[headerSize+77:headerSize+versionSize], old[headerSize+77:headerSize+versionSize]) {
		t.Error("the file has the data key or private halves of the old one")
	}
}

func TestAProcessWithAPassphraseFileFollowsItsChange(t *testing.T) {
	dir, _ := withVersions(t, 1)
	file := filepath.Join(t.TempDir(), "phrase")
	write(t, file, []byte(phrase))
	running := openKey(t, dir, PassphraseFile(file))
	if _, err := running.Keys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := openFolder(t, dir, Passphrase(phrase)).Rewrap(t.Context(), Passphrase("another one")); err != nil {
		t.Fatal(err)
	}
	if _, err := running.Keys(t.Context()); !errors.Is(err, ErrSecret) {
		t.Errorf("before the file changes: %v", err)
	}
	write(t, file, []byte("another one\r\n"))
	if _, err := running.Rotate(t.Context()); err != nil {
		t.Errorf("after it changed: %v", err)
	}
}

func TestAFileThatCannotFollowTheOneBeforeIsRefused(t *testing.T) {
	dir, path := withVersions(t, 2)
	older := read(t, path)
	k := openKey(t, dir, Passphrase(phrase))
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Keys(t.Context()); err != nil {
		t.Fatal(err)
	}
	newest := read(t, path)
	_, foreign := withVersions(t, 4)
	for name, text := range map[string][]byte{"an older copy": older, "another store's": read(t, foreign), "none": nil} {
		t.Run(name, func(t *testing.T) {
			if text == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, path, text)
			}
			_, keys := k.Keys(t.Context())
			_, made := k.Rotate(t.Context())
			_, signed := k.Sign(t.Context(), 2, make([]key.Hash, 1))
			for call, err := range map[string]error{"Keys": keys, "Rotate": made, "Sign": signed, "Retire": k.Retire(t.Context(), 2)} {
				if !errors.Is(err, ErrReplaced) {
					t.Errorf("%s says %v", call, err)
				}
			}
			write(t, path, newest)
			if got, err := k.Keys(t.Context()); err != nil || len(got) != 3 {
				t.Errorf("with the file put back: %v, %v", got, err)
			}
		})
	}
}

func TestAChangeWaitsForTheLockAsLongAsItsContext(t *testing.T) {
	dir, path := withVersions(t, 2)
	unlock, err := osFS{}.Lock(t.Context(), filepath.Join(dir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	k := openKey(t, dir, Passphrase(phrase))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := k.Rotate(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "locking") {
		t.Errorf("while another holds it: %v", err)
	}
	if _, err := k.Sign(t.Context(), 1, make([]key.Hash, 1)); err != nil {
		t.Errorf("signing waits for the lock: %v", err)
	}
	if !bytes.Equal(read(t, path), before) {
		t.Error("the file changed")
	}
	unlock()
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAFolderThatIsGoneIsNoEmptyStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	k := openKey(t, dir, Passphrase(phrase))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	_, keys := k.Keys(t.Context())
	_, made := k.Rotate(t.Context())
	for _, err := range []error{keys, made, k.Retire(t.Context(), 1)} {
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("it says %v", err)
		}
	}
}

func TestVersionsAreBounded(t *testing.T) {
	dir, path := withVersions(t, 1)
	k := openKey(t, dir, Passphrase(phrase))
	h, err := k.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	full := &held{newest: maxVersions}
	for i := range maxVersions {
		full.versions = append(full.versions, version{i + 1, h.versions[0].created, h.versions[0].private})
	}
	if err := k.folder.write(path, "images", full, Passphrase(phrase), []byte(phrase)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "retire") {
		t.Errorf("a version more than fit: %v", err)
	}
	if err := k.Retire(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Error(err)
	}
	last := &held{maxNumber, []version{{maxNumber, h.versions[0].created, h.versions[0].private}}}
	if err := k.folder.write(path, "images", last, Passphrase(phrase), []byte(phrase)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "another name") {
		t.Errorf("a version above all numbers: %v", err)
	}
}

func TestTimesNeverGoBack(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	folder, err := Open(Options{Dir: filepath.Join(t.TempDir(), "keys"), Secret: Passphrase(phrase), Cost: cheap, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	k, err := folder.Key("images")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		made, err := k.Rotate(t.Context())
		if err != nil || made.Created.Before(now) || made.Created.Year() != 2026 {
			t.Errorf("at %v a version was created %v, %v", now, made.Created, err)
		}
		now = now.Add(-time.Hour)
	}
}
