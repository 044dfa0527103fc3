package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"log/slog"
	"strings"
)

const (
	// secretPrefix lets scanners of leaked secrets know a token.
	secretPrefix = "hft_"
	secretBytes  = 32 // 256 bits
	secretChars  = (secretBytes*8 + 4) / 5
)

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Secret is a static token. It shows itself to Reveal only: what prints it or a struct that holds it prints no more than the prefix.
type Secret struct{ reveal func() string }

// newSecret makes a token from 256 random bits.
func newSecret() Secret {
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // it never fails: the program ends before it would
	text := secretPrefix + base32Lower.EncodeToString(random)
	return Secret{func() string { return text }}
}

// Reveal is the token itself, for whom it was made for.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// String does not reveal it.
func (Secret) String() string { return secretPrefix + "…" }

// GoString does not reveal it.
func (s Secret) GoString() string { return s.String() }

// MarshalText does not reveal it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue does not reveal it.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// isSecret says whether a credential is meant to be a static token.
func isSecret(text string) bool { return strings.HasPrefix(text, secretPrefix) }

// secretHash is what is stored of a token. It needs no salt and no slow hash: there are 2^256 tokens.
type secretHash [sha256.Size]byte

func hashSecret(text string) secretHash { return sha256.Sum256([]byte(text)) }

func newID() string {
	random := make([]byte, 6)
	_, _ = rand.Read(random) // as above
	return hex.EncodeToString(random)
}

// MarshalText writes lower-case hexadecimal.
func (h secretHash) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText reads hexadecimal of the right length.
func (h *secretHash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return hex.ErrLength
	}
	_, err := hex.Decode(h[:], text)
	return err
}
