// Package state keeps the one small record that the instances of the signing service share, and lets only one of them change it at a time.
//
// The record is read whole and written whole. It holds nothing secret.
package state

import (
	"context"
	"errors"
)

// MaxSize bounds the record, in bytes.
const MaxSize = 512 << 10

// ErrConflict says that the record was changed after it was read.
var ErrConflict = errors.New("the record was changed by another instance meanwhile")

// Store holds the record. Its methods may be called from several goroutines and several processes.
type Store interface {
	// Load returns the record and its revision. Both are empty as long as there is none.
	Load(ctx context.Context) (record []byte, revision string, err error)
	// Save replaces the record of a revision, durably, and returns the revision of the new one. ErrConflict is in the error when the
	// record has another revision; then, and whenever Load shows so afterwards, nothing has changed.
	Save(ctx context.Context, record []byte, revision string) (string, error)
}
