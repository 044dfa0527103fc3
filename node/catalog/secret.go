package catalog

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/crypto/bcrypt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: the runtime ends the process instead
	return b
}

// newToken returns 512 random bits in base64.
func newToken() string { return base64.URLEncoding.EncodeToString(randomBytes(64)) }

// digest is HMAC-SHA-256 of the parts under the catalog's salt. What is looked up by digest is found without comparing
// secrets byte by byte: an attacker who cannot know the salt learns nothing from the time that a look-up takes.
func (c *Catalog) digest(purpose string, parts ...string) (sum [32]byte) {
	h := hmac.New(sha256.New, c.salt)
	for _, p := range append([]string{purpose}, parts...) {
		h.Write(strconv.AppendInt(nil, int64(len(p)), 10)) // a hash never fails
		h.Write([]byte(":" + p))
	}
	h.Sum(sum[:0])
	return sum
}

// The lengths that a password may have, in bytes. bcrypt takes no more than 72.
const (
	minPassword = 8
	maxPassword = 72
)

func checkPassword(password string) error {
	if len(password) < minPassword {
		return Errorf(Invalid, "passwords must be at least %d characters long", minPassword)
	}
	if len(password) > maxPassword {
		return Errorf(Invalid, "passwords must be at most %d bytes long", maxPassword)
	}
	return nil
}

// hashPassword is slow by design; few run at a time, so that guessing passwords cannot take the whole machine.
func (c *Catalog) hashPassword(password string) ([]byte, error) {
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	c.hashing <- struct{}{}
	defer func() { <-c.hashing }()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cmp.Or(c.options.PasswordCost, bcrypt.DefaultCost))
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// hashOfNoPassword is the hash of random bytes that are thrown away; nil, which no password matches, when it cannot be made.
func (c *Catalog) hashOfNoPassword() []byte {
	hash, err := bcrypt.GenerateFromPassword(randomBytes(32), cmp.Or(c.options.PasswordCost, bcrypt.DefaultCost))
	if err != nil {
		return nil
	}
	return hash
}

func (c *Catalog) passwordMatches(hash []byte, password string) bool {
	c.hashing <- struct{}{}
	defer func() { <-c.hashing }()
	return bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil
}

// tokenCipher encrypts remotes' tokens with AES-256-GCM: nonce, then ciphertext, bound to the remote's identifier.
type tokenCipher struct{ aead cipher.AEAD }

const keyLength = 32

// openCipher reads the key at path and makes it when there is none.
func openCipher(path string) (*tokenCipher, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = randomBytes(keyLength)
		err = writeKey(path, key)
	}
	if err != nil {
		return nil, fmt.Errorf("read the catalog's key: %w", err)
	}
	if len(key) != keyLength {
		return nil, fmt.Errorf("the catalog's key %s has %d bytes instead of %d: put it back from a backup, or remove it and give each remote its token again",
			path, len(key), keyLength)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use the catalog's key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("use the catalog's key: %w", err)
	}
	return &tokenCipher{aead}, nil
}

// writeKey makes the file whole or not at all: it is written and synced under another name first.
func writeKey(path string, key []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

func (t *tokenCipher) seal(remote id.ID, token string) []byte {
	nonce := randomBytes(t.aead.NonceSize())
	return t.aead.Seal(nonce, nonce, []byte(token), key(remote))
}

func (t *tokenCipher) open(remote id.ID, sealed []byte) (string, error) {
	n := t.aead.NonceSize()
	if len(sealed) < n {
		return "", fmt.Errorf("the token of remote %s is damaged: set it again", remote)
	}
	token, err := t.aead.Open(nil, sealed[:n], sealed[n:], key(remote))
	if err != nil {
		return "", fmt.Errorf("the token of remote %s cannot be decrypted with the catalog's key: put the key file back or set the token again: %w", remote, err)
	}
	return string(token), nil
}
