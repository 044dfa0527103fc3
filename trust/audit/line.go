package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// line is one line of a segment: the start of the segment, or an entry. The order of the fields is part of the format.
type line struct {
	Sequence uint64 `json:"sequence"`
	Time     string `json:"time"`
	Start    *start `json:"segment,omitempty"`
	*Entry
	Previous Hash `json:"previous"`
	Hash     Hash `json:"hash"`
}

// start is what the first line of a segment says.
type start struct {
	Format string  `json:"format"`
	Number uint64  `json:"number"`
	Torn   int64   `json:"torn,omitempty"`   // bytes of an unfinished line that were cut before this segment was started
	Damage *damage `json:"damage,omitempty"` // of the segment before, which this one follows in spite of it
}

// damage is what a segment says of a damaged one before it. The start's previous is then the SHA-256 of that whole file.
type damage struct {
	Line  int    `json:"line"`
	Cause string `json:"cause"`
}

// hashField is what stands between the hashed bytes of a line and its hash.
const hashField = `,"hash":"`

// tailBytes is what a line has after its hashed bytes: the hash, its name and the closing brace.
const tailBytes = len(hashField) + 2*sha256.Size + len(`"}`)

// chain is the hash of a line: SHA-256 of the hash before it and of the line's bytes up to its own hash, closed by a brace.
func chain(previous Hash, body []byte) Hash {
	h := sha256.New()
	_, _ = h.Write(previous[:]) // a hash never fails to write
	_, _ = h.Write(body)        //
	_, _ = h.Write([]byte{'}'}) //
	return Hash(h.Sum(nil))
}

// encode appends the line to dst, with its end, and returns it with the hash that it was given.
func (l line) encode(dst []byte) ([]byte, Hash, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return dst, Hash{}, fmt.Errorf("writing an audit entry as JSON: %w", err)
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
	body = body[:len(body)-tailBytes]
	hash := chain(l.Previous, body)
	dst = append(dst, body...)
	dst = append(dst, hashField...)
	dst = append(dst, hash.String()...)
	return append(dst, '"', '}', '\n'), hash, nil
}

// decode reads a line, given without its end. It is only right when encode would write the same bytes, so that a line has one meaning
// for every reader.
func decode(text []byte) (line, error) {
	if len(text) > maxLine {
		return line{}, fmt.Errorf("the line has more than %d bytes", maxLine)
	}
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return line{}, fmt.Errorf("the line is no entry: %w", err)
	}
	if (l.Start == nil) == (l.Entry == nil) {
		return line{}, errors.New("the line must be the start of a segment or an entry")
	}
	if t, err := time.Parse(timeLayout, l.Time); err != nil || utc(t) != l.Time {
		return line{}, fmt.Errorf("the time %.40q is not written as %s", l.Time, timeLayout)
	}
	again, hash, err := l.encode(nil)
	if err != nil {
		return line{}, err
	}
	if hash != l.Hash {
		return line{}, errors.New("the hash is not that of the line: one of the two was changed")
	}
	if !bytes.Equal(again[:len(again)-1], text) {
		return line{}, errors.New("the line is not written in the one form that entries have")
	}
	return l, nil
}

// bounded returns the entry with every string made valid and short.
func (e Entry) bounded() Entry {
	for _, s := range []*string{&e.Who.Kind, &e.Who.Name, &e.Who.Rule, &e.What.Action, &e.What.Repository, &e.What.Digest, &e.Key, &e.Outcome, &e.Reason, &e.Request, &e.Remote} {
		*s = clip(*s)
	}
	return e
}

// clip cuts a string at maxField bytes, at the edge of a character, and marks the cut.
func clip(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= maxField {
		return s
	}
	const mark = "…"
	end := maxField - len(mark)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
