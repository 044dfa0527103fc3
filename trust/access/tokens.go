package access

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// Tokens is the store of static tokens: a file that holds the hashes of tokens by their names, and never a token. Several processes may
// use and change one file. Its methods may be called from several goroutines.
type Tokens struct {
	Now func() time.Time

	path string
	file followed[*stored]
	// compare is subtle.ConstantTimeCompare. Tests count its calls.
	compare func(a, b []byte) int
}

// Bounds of the store.
const (
	maxTokensFile = 1 << 20 // bytes
	maxTokens     = 1000
	maxSecrets    = 8 // of one token that are alive at a time
	maxLifetime   = 10 * 365 * 24 * time.Hour
)

const storedType = "holdfast-tokens/1"

// stored is the file.
type stored struct {
	Type   string        `json:"type"`
	Tokens []storedToken `json:"tokens"`
}

type storedToken struct {
	Name string `json:"name"`
	// Lifetime of each secret from when it was made, in ns; 0 when they do not expire.
	Lifetime time.Duration  `json:"lifetime_ns,omitempty"`
	Secrets  []storedSecret `json:"secrets"` // the oldest first
}

type storedSecret struct {
	ID      string     `json:"id"`
	Hash    secretHash `json:"sha256"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"` // it is not taken from this moment on
}

func (s storedSecret) alive(now time.Time) bool { return s.Expires == nil || now.Before(*s.Expires) }

// Listed is a secret as List tells of it.
type Listed struct {
	Name    string
	ID      string
	Created time.Time
	Expires time.Time // zero when it does not expire
	Newest  bool      // it is the last that was made for the name
	Alive   bool
}

// OpenTokens opens the store in a file. A file that is not there holds no tokens; the first Add makes it.
func OpenTokens(path string) (*Tokens, error) {
	t := &Tokens{Now: time.Now, path: path, compare: subtle.ConstantTimeCompare}
	t.file = followed[*stored]{path: path, limit: maxTokensFile, parse: parseStored, check: checkMode}
	if _, err := t.read(); err != nil {
		return nil, err
	}
	return t, nil
}

// checkMode refuses a file that others can write: they could give themselves a token.
func checkMode(stat os.FileInfo) error {
	if runtime.GOOS != "windows" && stat.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("its mode is %v: others than its owner can write tokens into it; chmod go-w mends that", stat.Mode().Perm())
	}
	return nil
}

func parseStored(text []byte) (*stored, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	s := new(stored)
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("it is no store of tokens: %w", err)
	}
	if s.Type != storedType {
		return nil, fmt.Errorf("its type is %.40q, and %q is wanted", s.Type, storedType)
	}
	names, hashes := make(map[string]bool), make(map[secretHash]bool)
	for _, token := range s.Tokens {
		if err := checkName(token.Name); err != nil {
			return nil, err
		}
		if names[token.Name] {
			return nil, fmt.Errorf("the token %s is there twice", token.Name)
		}
		names[token.Name] = true
		for _, secret := range token.Secrets {
			if hashes[secret.Hash] {
				return nil, fmt.Errorf("the secret %s of the token %s is there twice", secret.ID, token.Name)
			}
			hashes[secret.Hash] = true
		}
	}
	return s, nil
}

// read returns what the file holds now, or at most lookEvery ago. It does not go on with tokens that it read earlier: some of them may
// have been revoked since.
func (t *Tokens) read() (*stored, error) {
	s, err := t.file.get()
	if errors.Is(err, fs.ErrNotExist) {
		return &stored{Type: storedType}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tokens of %s: %w", t.path, err)
	}
	return s, nil
}

// Check identifies the bearer of a token. The error is an *Error.
//
// Every stored hash is compared, each in constant time, so that the time says neither how much of a hash was right nor whose it is.
func (t *Tokens) Check(secret string) (Identity, error) {
	const unknown = "the token is not known"
	if len(secret) != len(secretPrefix)+secretChars {
		return Identity{}, unauthenticated(unknown, "a static token of the wrong length was sent: %d bytes", len(secret))
	}
	s, err := t.read()
	if err != nil {
		return Identity{}, unavailable("%w", err)
	}
	hash := hashSecret(secret)
	token, index := -1, -1
	for i := range s.Tokens {
		for j := range s.Tokens[i].Secrets {
			equal := t.compare(hash[:], s.Tokens[i].Secrets[j].Hash[:])
			token = subtle.ConstantTimeSelect(equal, i, token)
			index = subtle.ConstantTimeSelect(equal, j, index)
		}
	}
	if token < 0 {
		return Identity{}, unauthenticated(unknown, "a static token was sent that is not known: it was revoked, or rotated without an overlap, or never made")
	}
	name, found := s.Tokens[token].Name, s.Tokens[token].Secrets[index]
	if !found.alive(t.Now()) {
		return Identity{}, unauthenticated("the token has expired", "the secret %s of the token %s expired at %s", found.ID, name, found.Expires.UTC().Format(time.RFC3339))
	}
	return Identity{Kind: Token, Name: name, Credential: found.ID}, nil
}

// Add makes a token and returns its secret, which is nowhere else. Each of its secrets lives as long as lifetime says, 0 for ever.
func (t *Tokens) Add(name string, lifetime time.Duration) (Secret, error) {
	if err := checkName(name); err != nil {
		return Secret{}, err
	}
	if lifetime < 0 || lifetime > maxLifetime {
		return Secret{}, fmt.Errorf("a token cannot live for %v: 0, which is for ever, to %v is wanted", lifetime, maxLifetime)
	}
	return t.make(name, func(s *stored) (*storedToken, error) {
		if s.find(name) != nil {
			return nil, fmt.Errorf("there is a token %s: rotate it to get a new secret", name)
		}
		if len(s.Tokens) >= maxTokens {
			return nil, fmt.Errorf("the store has %d tokens, and cannot have more: revoke one", len(s.Tokens))
		}
		s.Tokens = append(s.Tokens, storedToken{Name: name, Lifetime: lifetime})
		return &s.Tokens[len(s.Tokens)-1], nil
	})
}

// Rotate makes a new secret for a token and returns it; it is nowhere else. Those before live for the overlap, unless they expire
// earlier; with an overlap of 0 they are gone.
func (t *Tokens) Rotate(name string, overlap time.Duration) (Secret, error) {
	if overlap < 0 || overlap > maxLifetime {
		return Secret{}, fmt.Errorf("secrets cannot overlap for %v: 0 to %v is wanted", overlap, maxLifetime)
	}
	return t.make(name, func(s *stored) (*storedToken, error) {
		token := s.find(name)
		if token == nil {
			return nil, s.missing(name)
		}
		now := t.Now()
		token.Secrets = slices.DeleteFunc(token.Secrets, func(old storedSecret) bool { return overlap == 0 || !old.alive(now) })
		if len(token.Secrets) >= maxSecrets {
			return nil, fmt.Errorf("the token %s has %d secrets that are alive, and cannot have more: rotate it with an overlap of 0", name, len(token.Secrets))
		}
		end := now.Add(overlap).UTC()
		for i, old := range token.Secrets {
			if old.Expires == nil || end.Before(*old.Expires) {
				token.Secrets[i].Expires = &end
			}
		}
		return token, nil
	})
}

// make gives a token, which change returns, a new secret.
func (t *Tokens) make(name string, change func(*stored) (*storedToken, error)) (Secret, error) {
	secret := newSecret()
	err := t.change(func(s *stored) error {
		token, err := change(s)
		if err != nil {
			return err
		}
		now := t.Now().UTC()
		made := storedSecret{ID: newID(), Hash: hashSecret(secret.Reveal()), Created: now}
		if token.Lifetime > 0 {
			end := now.Add(token.Lifetime)
			made.Expires = &end
		}
		token.Secrets = append(token.Secrets, made)
		return nil
	})
	if err != nil {
		return Secret{}, err
	}
	return secret, nil
}

// Revoke removes a token. All its secrets are dead.
func (t *Tokens) Revoke(name string) error {
	return t.change(func(s *stored) error {
		if s.find(name) == nil {
			return s.missing(name)
		}
		s.Tokens = slices.DeleteFunc(s.Tokens, func(token storedToken) bool { return token.Name == name })
		return nil
	})
}

// List returns all secrets by name and age, without what would let anybody use them.
func (t *Tokens) List() ([]Listed, error) {
	t.file.forget()
	s, err := t.read()
	if err != nil {
		return nil, err
	}
	now := t.Now()
	var list []Listed
	for _, token := range s.Tokens {
		for i, secret := range token.Secrets {
			l := Listed{Name: token.Name, ID: secret.ID, Created: secret.Created, Newest: i == len(token.Secrets)-1, Alive: secret.alive(now)}
			if secret.Expires != nil {
				l.Expires = *secret.Expires
			}
			list = append(list, l)
		}
	}
	slices.SortStableFunc(list, func(a, b Listed) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (s *stored) find(name string) *storedToken {
	i := slices.IndexFunc(s.Tokens, func(token storedToken) bool { return token.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Tokens[i]
}

func (s *stored) missing(name string) error {
	names := make([]string, len(s.Tokens))
	for i, token := range s.Tokens {
		names[i] = token.Name
	}
	if near := nearest.Of(name[:min(len(name), maxName)], names); near != "" {
		return fmt.Errorf("there is no token %.100q; did you mean %q?", name, near)
	}
	return fmt.Errorf("there is no token %.100q", name)
}

// change changes the file under the lock that all processes take.
func (t *Tokens) change(change func(*stored) error) error {
	lock, err := acquire(t.path + ".lock")
	if err != nil {
		return fmt.Errorf("locking the tokens of %s: %w", t.path, err)
	}
	err = t.changeLocked(change)
	return errors.Join(err, lock.Close())
}

func (t *Tokens) changeLocked(change func(*stored) error) error {
	s := &stored{Type: storedType}
	text, _, err := readBounded(t.path, maxTokensFile, checkMode)
	if err == nil {
		s, err = parseStored(text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the tokens of %s: %w", t.path, err)
	}
	if err := change(s); err != nil {
		return err
	}
	text, err = json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the tokens of %s: %w", t.path, err)
	}
	if err := replace(t.path, append(text, '\n')); err != nil {
		return fmt.Errorf("writing the tokens of %s: %w", t.path, err)
	}
	t.file.forget()
	return nil
}
