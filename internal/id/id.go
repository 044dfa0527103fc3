// Package id has the identifier that the HTTP surface, the catalog and the folders on disk share: 64 bits, written as 16
// hexadecimal digits, never zero. Rules and texts: InfluxDB 2's API.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// ID identifies a resource. The zero ID is no ID.
type ID uint64

// Errors of Parse, in the words that clients of the API know.
var (
	ErrLength  = errors.New("id must have a length of 16 bytes")
	ErrInvalid = errors.New("invalid ID")
)

// New returns a random ID.
func New() ID {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails: the runtime ends the process instead
		if v := binary.BigEndian.Uint64(b[:]); v != 0 {
			return ID(v)
		}
	}
}

// Parse reads 16 hexadecimal digits of either case.
func Parse(s string) (ID, error) {
	if len(s) != 16 {
		return 0, ErrLength
	}
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || v == 0 || s[0] == '+' || s[0] == '-' {
		return 0, ErrInvalid
	}
	return ID(v), nil
}

// String returns 16 lower-case digits, or "" for the zero ID.
func (i ID) String() string {
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", uint64(i))
}

// MarshalText writes the ID for JSON.
func (i ID) MarshalText() ([]byte, error) {
	if i == 0 {
		return nil, ErrInvalid
	}
	return []byte(i.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (i *ID) UnmarshalText(b []byte) error {
	v, err := Parse(string(b))
	if err != nil {
		return err
	}
	*i = v
	return nil
}
