package keystore

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/argon2"
)

const (
	keySize       = 32
	maxPassphrase = 1024 // bytes

	kindPassphrase = 1
	kindKey        = 2
)

// Secret is what opens the files of a folder: a passphrase, or a key of 32 bytes. Secrets of files are read again whenever a file of the
// folder is opened, and are not kept.
type Secret struct {
	what string
	kind byte
	read func() ([]byte, error) // the bytes are the caller's
}

// String says where the secret is from.
func (s Secret) String() string { return s.what }

// GoString says the same.
func (s Secret) GoString() string { return s.what }

// Passphrase is a secret that a person gave.
func Passphrase(text string) Secret {
	return Secret{"the given passphrase", kindPassphrase, func() ([]byte, error) { return checkPassphrase("the given passphrase", []byte(text)) }}
}

// PassphraseFile is the passphrase in a file of this account only. One newline at its end is not part of it.
func PassphraseFile(path string) Secret {
	what := "the passphrase in " + path
	return Secret{what, kindPassphrase, func() ([]byte, error) {
		text, err := readSecret(path, maxPassphrase+2, 0o077)
		if err != nil {
			return nil, err
		}
		return checkPassphrase(what, bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")))
	}}
}

// KeyFile is the key in a file of this account only, of exactly 32 bytes. WriteKeyFile makes one.
func KeyFile(path string) Secret {
	return Secret{"the key in " + path, kindKey, func() ([]byte, error) { return readKey(path, 0o077) }}
}

// Credential is the key of exactly 32 bytes that systemd passes to the service under a name (LoadCredential=, LoadCredentialEncrypted=).
func Credential(name string) Secret {
	what := "the systemd credential " + name
	return Secret{what, kindKey, func() ([]byte, error) {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, fmt.Errorf("%s: CREDENTIALS_DIRECTORY is not set, so systemd passed no credential: the unit needs LoadCredential=%s:PATH", what, name)
		}
		if name != filepath.Base(name) || name == "." || name == ".." {
			return nil, fmt.Errorf("%q cannot be the name of a credential", name)
		}
		// systemd grants the service access by an ACL, whose mask shows as the group's bits; or it is the owner.
		return readKey(filepath.Join(dir, name), 0o037)
	}}
}

// WriteKeyFile makes a file with a new key, for this account only. There must be no such file.
func WriteKeyFile(path string) error {
	material := make([]byte, keySize)
	defer clear(material)
	if _, err := rand.Read(material); err != nil {
		return err
	}
	err := create(osFS{}, path, material)
	if err == nil {
		err = osFS{}.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing a key file: %w", err)
	}
	return nil
}

func checkPassphrase(what string, text []byte) ([]byte, error) {
	if len(text) == 0 || len(text) > maxPassphrase {
		clear(text)
		return nil, fmt.Errorf("%s has %d bytes: 1 to %d are wanted", what, len(text), maxPassphrase)
	}
	return text, nil
}

func readKey(path string, deny fs.FileMode) ([]byte, error) {
	material, err := readSecret(path, keySize+1, deny)
	if err == nil && len(material) != keySize {
		clear(material)
		return nil, fmt.Errorf("%s is no key: exactly %d bytes are wanted, as `head -c %d /dev/urandom` makes them", path, keySize, keySize)
	}
	return material, err
}

// readSecret reads at most limit bytes of a file, which may be behind a symbolic link, as in a mounted Secret.
func readSecret(path string, limit int64, deny fs.FileMode) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|nonBlock, 0) // a named pipe must not keep us
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &PermissionError{path, info.Mode().Perm(), "it is not a file"}
	}
	if deny == 0o077 {
		err = private(path, info, deny)
	} else if modes && info.Mode().Perm()&deny != 0 {
		err = &PermissionError{path, info.Mode().Perm(), "it is open to other accounts"}
	}
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	return text, nil
}

// open opens a file with the secret as it is now.
func (s Secret) open(p *parsed) (*held, error) {
	if s.kind != p.wrap.kind {
		return nil, fmt.Errorf("it is closed with %s, and %s was given: %w", kinds[p.wrap.kind], s.what, ErrSecret)
	}
	material, err := s.read()
	if err != nil {
		return nil, err
	}
	defer clear(material)
	return p.open(material)
}

var kinds = map[byte]string{kindPassphrase: "a passphrase", kindKey: "a key of 32 bytes"}

// Cost of deriving a key from a passphrase by argon2id (RFC 9106).
type Cost struct {
	Passes  int // 1 to 16
	Memory  int // KiB, 8 for each thread to 1 GiB
	Threads int // 1 to 16
}

// DefaultCost is the second recommendation of RFC 9106, section 4: about a tenth of a second and 64 MiB.
var DefaultCost = Cost{Passes: 3, Memory: 64 << 10, Threads: 4}

// check keeps whoever can write a file from having us use up all memory.
func (c Cost) check() error {
	if c.Passes < 1 || c.Passes > 16 || c.Threads < 1 || c.Threads > 16 || c.Memory < 8*c.Threads || c.Memory > 1<<20 {
		return errors.New("the cost of a passphrase is out of bounds: 1 to 16 passes, 1 to 16 threads, 8 KiB for each thread to 1 GiB are possible")
	}
	return nil
}

// wrapping says how the key that a data key is wrapped with is made from the secret.
type wrapping struct {
	kind byte
	cost Cost // of a passphrase, else zero
	salt [32]byte
}

func (w *wrapping) derive(material []byte) ([]byte, error) {
	if w.kind == kindPassphrase {
		return argon2.IDKey(material, w.salt[:], uint32(w.cost.Passes), uint32(w.cost.Memory), uint8(w.cost.Threads), keySize), nil
	}
	return hkdf.Key(sha256.New, material, w.salt[:], "holdfast keystore wrapping", keySize)
}
