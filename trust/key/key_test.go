package key_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

func TestIDsAreReadAsTheyAreWritten(t *testing.T) {
	if id, err := key.ParseID("images/7"); err != nil || id != (key.ID{Name: "images", Version: 7}) || id.String() != "images/7" {
		t.Errorf("images/7 is read as %v, %v", id, err)
	}
	for _, text := range []string{"", "images", "images/", "images/0", "images/-1", "images/+1", "images/01", "images/1/2", "/1", "Images/1", "a b/1", "-a/1", "a-/1",
		"images/99999999999999999999", strings.Repeat("a", 64) + "/1", "../1"} {
		if id, err := key.ParseID(text); err == nil {
			t.Errorf("%q is read as %v", text, id)
		}
	}
}

func TestPublicKeysAreReadAsTheyAreWritten(t *testing.T) {
	private := generate(t, elliptic.P256())
	text, err := key.MarshalPEM(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.ParsePEM(text)
	if err != nil || !public.Equal(&private.PublicKey) {
		t.Fatalf("the key is read as %v, %v", public, err)
	}
	other, err := x509.MarshalPKIXPublicKey(&generate(t, elliptic.P384()).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":       "",
		"a second key":  string(text) + string(text),
		"another curve": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: other})),
		"another block": strings.ReplaceAll(string(text), "PUBLIC", "PRIVATE"),
		"a cut block":   string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: other[:20]})),
	} {
		if _, err := key.ParsePEM([]byte(text)); err == nil {
			t.Errorf("%s is read as a key", name)
		}
	}
}

func TestOneFileCanHaveSeveralPublicKeys(t *testing.T) {
	var text []byte
	var want []*ecdsa.PrivateKey
	for range 2 {
		private := generate(t, elliptic.P256())
		pem, err := key.MarshalPEM(&private.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		text, want = append(append(text, pem...), '\n'), append(want, private)
		all, err := key.ParsePEMs(text)
		if err != nil || len(all) != len(want) || !all[len(all)-1].Equal(&private.PublicKey) {
			t.Errorf("%d keys are read as %d, %v", len(want), len(all), err)
		}
	}
	for name, text := range map[string]string{"nothing": "", "a key and more": string(text) + "more", "a key and half of one": string(text) + string(text[:60])} {
		if all, err := key.ParsePEMs([]byte(text)); err == nil {
			t.Errorf("%s is read as %d keys", name, len(all))
		}
	}
}

func TestASignatureIsByOneKeyOverOneHash(t *testing.T) {
	private, other := generate(t, elliptic.P256()), generate(t, elliptic.P256())
	hash := sha256.Sum256([]byte("payload"))
	signature, err := ecdsa.SignASN1(rand.Reader, private, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	if !key.Verify(&private.PublicKey, hash, signature) {
		t.Error("a good signature is refused")
	}
	if key.Verify(&other.PublicKey, hash, signature) || key.Verify(&private.PublicKey, sha256.Sum256([]byte("Payload")), signature) || key.Verify(&private.PublicKey, hash, nil) {
		t.Error("a signature by another key, over another text, or an empty one is accepted")
	}
}

func generate(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}
