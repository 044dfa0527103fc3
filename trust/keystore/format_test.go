package keystore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// What FORMAT.md says, with a file that was written when it was: later programs must read it.
func TestTheFirstFormatIsRead(t *testing.T) {
	text, err := hex.DecodeString(firstFormat)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "keys")
	k := openKey(t, dir, Passphrase(phrase))
	write(t, k.path, text)
	listed, err := k.Keys(t.Context())
	if err != nil || len(listed) != 1 || listed[0].ID.Version != 2 {
		t.Fatalf("%v, %v", listed, err)
	}
	hash := sha256.Sum256([]byte("payload"))
	signatures, err := k.Sign(t.Context(), 2, []key.Hash{hash})
	if err != nil || !key.Verify(listed[0].Key, hash, signatures[0]) {
		t.Error(err)
	}
}

func FuzzFile(f *testing.F) {
	good, err := hex.DecodeString(firstFormat) // the same in every process that looks for inputs
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, true)
	f.Add(good[:headerSize+trailerSize], true)
	f.Add([]byte(magic), false)
	keyed := bytes.Clone(good)
	clear(keyed[offKind:offSalt])
	keyed[offKind] = kindKey
	f.Add(keyed, true)
	f.Fuzz(func(t *testing.T, text []byte, mend bool) {
		text = bytes.Clone(text)
		if mend && len(text) > sha256.Size { // so that what is behind the checksum is reached
			sum := sha256.Sum256(text[:len(text)-sha256.Size])
			copy(text[len(text)-sha256.Size:], sum[:])
		}
		p, err := parse(text, "images")
		var damaged *DamagedError
		if err != nil {
			if !errors.As(err, &damaged) || p != nil {
				t.Fatalf("the error is %v", err)
			}
			return
		}
		if p.newest < 1 || p.newest > maxNumber || len(p.versions) < 1 || p.versions[len(p.versions)-1].number != p.newest {
			t.Fatalf("%d versions, the newest %d", len(p.versions), p.newest)
		}
		if p.wrap.cost.Memory > 64 || p.wrap.cost.Passes > 2 {
			return // bounded, but slow
		}
		if h, err := p.open([]byte(phrase)); err == nil && !bytes.Equal(text, good) {
			t.Fatalf("an altered file opens as %d versions", len(h.versions))
		} else if err != nil && !errors.Is(err, ErrSecret) && !errors.As(err, &damaged) {
			t.Fatalf("the error is %v", err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	for _, n := range []int{1, 256} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			dir, _ := withVersions(b, 3)
			k := openKey(b, dir, Passphrase(phrase))
			all := make([]key.Hash, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(b.Context(), 3, all); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "signatures/s")
		})
	}
}

// BenchmarkRotate is with the passphrase at its default cost: to open the file, to close it, and to try what was closed.
func BenchmarkRotate(b *testing.B) {
	folder, err := Open(Options{Dir: filepath.Join(b.TempDir(), "keys"), Secret: Passphrase(phrase)})
	if err != nil {
		b.Fatal(err)
	}
	k, err := folder.Key("images")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := k.Rotate(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
