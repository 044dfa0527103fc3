// Package journal is the durable log that every accepted point goes to first. What it has acknowledged is on disk;
// everything else in the node (store, replications, checks) is a reader with a position.
//
// It promises that Append returns only after the record is as durable as the sync policy says, that a record is read back
// exactly as it was appended or reported as lost, and that damage costs the damaged record, never its segment. It does not
// know what the records mean beyond their count and time range.
package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Position is the place of a record in one journal. The first record has position 1 and each next one is one more, so
// that a jump is a hole. 0 is before the first record.
type Position uint64

// Kind tells what a record's body is.
type Kind uint8

const (
	// Points is a body of canonical line protocol: one line for each point, ns timestamps, each ended by a newline.
	Points Kind = 1
	// Delete is a body of JSON that the store understands; it has a position so that it stays between the writes it came between.
	Delete Kind = 2
)

// Record is one entry of the log.
type Record struct {
	// Position is set by Append.
	Position Position
	Kind     Kind
	// Count is the number of points in Body.
	Count int
	// MinTime and MaxTime bound the points' timestamps, in ns since the epoch, both inclusive.
	MinTime, MaxTime int64
	// Accepted is when the record was appended, in ns since the epoch by the node's clock. Append sets it.
	Accepted int64
	// Body is the uncompressed body. A Reader's record owns it only until the next call of Next.
	Body []byte
}

// Log is what the node needs of a journal. The implementation in this package keeps segments in a directory; another may
// be a partition of a broker.
type Log interface {
	// Append makes r durable and returns its position. It returns ErrFull (with a *FullError that says when to try again)
	// while the journal refuses writes because of its bounds, and ErrFailed for good after a failed sync.
	// r.Body is not retained.
	Append(ctx context.Context, r Record) (Position, error)
	// ReadFrom returns a reader whose first record is the one at from, or the first that still exists after it.
	ReadFrom(from Position) (Reader, error)
	// Bounds returns the positions of the oldest record still kept and of the newest durable one. An empty log
	// that will next write position n returns n, n-1.
	Bounds() (first, last Position)
	// Wait blocks until a record after the given position is durable, the context ends, or the log is closed (ErrClosed).
	Wait(ctx context.Context, after Position) error
	// Cursor opens the durable position of a named reader, at position 0 when it is new.
	Cursor(name string, o CursorOptions) (Cursor, error)
	// Cursors lists the names of the cursors that exist.
	Cursors() []string
	// Size returns the bytes of the records after the given position, as kept.
	Size(after Position) int64
	io.Closer
}

// Reader reads records in order. It is used by one goroutine.
type Reader interface {
	// Next returns the next durable record. At the end it returns io.EOF and may be called again later. Where records are
	// missing it returns one *Gap as the error and continues behind the gap at the next call.
	Next() (Record, error)
	io.Closer
}

// CursorOptions say how a cursor weighs on the log's bounds.
type CursorOptions struct {
	// Pins tells that records after the cursor must never be dropped: the store's recovery depends on them. When
	// the bounds are reached while a pinning cursor stays behind, Append refuses.
	Pins bool
}

// Cursor is the durable position of one reader, in a small file of its own.
type Cursor interface {
	Position() Position
	// Advance makes p durable as the position up to which everything is done; a lower p than before changes nothing. A
	// log may write positions that follow each other fast a little later: a crash then costs reading some records again.
	Advance(p Position) error
	// Remove forgets the cursor: it no longer holds records back. Advance fails from then on.
	Remove() error
}

// Gap tells of records that a reader will not see. It is an error value of Reader.Next.
type Gap struct {
	From, To Position // both inclusive
	// Points is the number of points in the gap, -1 when it is unknown because the record's head was damaged.
	Points int
	// MinTime and MaxTime bound the timestamps of the missing points in ns since the epoch, inclusive. When the
	// record was damaged they are the bounds of its neighbours, a guess.
	MinTime, MaxTime int64
	// Reason is "dropped" (the bounds) or "damaged".
	Reason string
	// Err is the damage found, nil for a drop.
	Err error
}

func (g *Gap) Error() string {
	return fmt.Sprintf("journal: records %d to %d are missing (%s)", g.From, g.To, g.Reason)
}

func (g *Gap) Unwrap() error { return g.Err }

var (
	// ErrFull tells that the bounds are reached and the policy is to refuse, or that the disk is full. Nothing was kept.
	ErrFull = errors.New("journal: full")
	// ErrFailed tells that a sync failed: the journal no longer knows what is durable and accepts nothing until the process
	// is started again.
	ErrFailed = errors.New("journal: stopped after a failed sync")
	// ErrClosed tells that the log was closed.
	ErrClosed = errors.New("journal: closed")
)
