// Package audit keeps the log of every request to the signing endpoint: who asked, what for, with which key, and what came of it.
//
// It promises: an entry whose Append returned without an error is on the disk, and stays there over a kill and a cut of power. Entries
// are chained by their hashes, so that Verify finds a change, a removal or an insertion anywhere but at the end; and there too, when it
// is given a Head that was kept elsewhere. An entry that cannot be written is an error, and the caller must then refuse to sign. One
// process appends to a log at a time. FORMAT.md describes the files.
//
// It does not sign its entries: who may write to the folder can write the whole chain anew. Only a head kept elsewhere shows that, so
// publish Head. It does not delete old segments, and it holds no secrets: callers give none.
package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Outcomes of a request.
const (
	Signed  = "signed"  // the signature was made; the answer goes out after the entry is durable
	Refused = "refused" // the request had no identity, or no rule allowed it, or it came too often
	Failed  = "failed"  // it was allowed, and could not be done
)

// Entry is what is said of one request. Strings are cut at maxField bytes and bytes that are no UTF-8 are replaced.
type Entry struct {
	Who     Who    `json:"who"`
	What    What   `json:"what"`
	Key     string `json:"key,omitempty"` // as key.ID writes it: images/7; "" when no key was used
	Outcome string `json:"outcome"`       // Signed, Refused or Failed
	Reason  string `json:"reason,omitempty"`
	Request string `json:"request,omitempty"` // the id of the request
	Remote  string `json:"remote,omitempty"`  // the address of the client
}

// Who is the identity that asked, and the rule that allowed it.
type Who struct {
	Kind string `json:"kind,omitempty"` // oidc, token or certificate; "" when nobody was identified
	Name string `json:"name,omitempty"`
	Rule string `json:"rule,omitempty"`
}

// What is what was asked for.
type What struct {
	Action     string `json:"action"`
	Repository string `json:"repository,omitempty"`
	Digest     string `json:"digest,omitempty"`
}

// Hash is the SHA-256 that chains a line to all before it.
type Hash [32]byte

// String is the hash in lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes lower-case hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (h *Hash) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(h) || len(text)%2 != 0 {
		return fmt.Errorf("a hash has %d hexadecimal digits, not %d characters", 2*len(h), len(text))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("a hash has hexadecimal digits only: %w", err)
	}
	if h.String() != string(text) {
		return errors.New("a hash has lower-case digits only")
	}
	return nil
}

// Head is a line of the log, named by its number and its hash, which stands for all lines before it.
type Head struct {
	Sequence uint64
	Hash     Hash
}

// String writes SEQUENCE:HASH.
func (h Head) String() string { return strconv.FormatUint(h.Sequence, 10) + ":" + h.Hash.String() }

// ParseHead reads what String writes, and nothing else.
func ParseHead(text string) (Head, error) {
	sequence, hash, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(sequence, 10, 64)
	head := Head{Sequence: n}
	if err == nil {
		err = head.Hash.UnmarshalText([]byte(hash))
	}
	if err != nil || head.String() != text {
		return Head{}, fmt.Errorf("%.100q is no head of an audit log: SEQUENCE:HASH is wanted, the hash in 64 lower-case hexadecimal digits", text)
	}
	return head, nil
}

// Causes of a Damage, for errors.Is.
var (
	// ErrTorn is for a last line without its end, which a kill in the middle of an append leaves. Open cuts it.
	ErrTorn = errors.New("the line has no end: its writer was stopped in the middle of it, or it is being written now")
	// ErrTruncated is for a log that ends before a head that is known.
	ErrTruncated = errors.New("lines are missing at the end")
	// ErrRewritten is for a line that is not the one of a head that is known.
	ErrRewritten = errors.New("the line is not the one that was there")
	// ErrLocked is for a log that another process appends to.
	ErrLocked = errors.New("another process appends to this audit log")
)

// Damage is a line of a log that does not verify.
type Damage struct {
	File  string // path of the segment
	Line  int    // from 1; 0 when the file as a whole is meant
	Cause error
}

// Error names the file, the line and the cause.
func (d *Damage) Error() string {
	if d.Line == 0 {
		return fmt.Sprintf("audit log %s: %v", d.File, d.Cause)
	}
	return fmt.Sprintf("audit log %s:%d: %v", d.File, d.Line, d.Cause)
}

// Unwrap returns the cause.
func (d *Damage) Unwrap() error { return d.Cause }

// timeLayout is RFC 3339 with all nine digits of the nanoseconds, so that lines sort as text.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// Bounds.
const (
	maxField = 1 << 10   // bytes of one string of an entry
	maxLine  = 128 << 10 // bytes that are read as one line; eleven strings of which each byte takes six in JSON fit in
	maxBatch = 256       // entries of one commit
)

// DefaultSegmentBytes is the size at which a segment is closed and the next one starts.
const DefaultSegmentBytes = 16 << 20

const (
	format       = "holdfast-audit/1"
	suffix       = ".jsonl"
	numberDigits = 10
	maxSegments  = 9_999_999_999
)

// segmentName is the path of a segment: the number in ten digits, so that names sort as numbers.
func segmentName(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", numberDigits, number, suffix))
}

// segmentNumber is the number in a file's name; ok is false for files that are no segments.
func segmentNumber(name string) (number uint64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) != numberDigits {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && number > 0
}

func utc(t time.Time) string { return t.UTC().Format(timeLayout) }
