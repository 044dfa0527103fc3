package replicate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

const deadName = "dead.jsonl"

// DeadLetter is a line that the remote refused for good. It stays listed until it is sent after all, purged, or pushed out by
// the bound of the file.
type DeadLetter struct {
	ID int64 `json:"id"`
	// At is when the line was refused, Code the HTTP status and Reason the remote's words.
	At     time.Time `json:"at"`
	Code   int       `json:"code"`
	Reason string    `json:"reason"`
	// Position is the journal position that the line came with, 0 when it came from the store.
	Position journal.Position `json:"position,omitempty"`
	// Line is the line without its newline, as it was sent.
	Line []byte `json:"-"`
}

// letterRow is a dead letter as it stands in the file.
type letterRow struct {
	DeadLetter
	Text   *string `json:"line,omitempty"`
	Binary []byte  `json:"line64,omitempty"` // in place of Text where that is not UTF-8
	Sum    uint32  `json:"crc32c"`           // of the line's bytes
}

// letters is the dead letter file of one replication. It may be used by several goroutines.
type letters struct {
	path  string
	limit int64 // bytes

	mu    sync.Mutex
	size  int64
	count int
	next  int64
	seen  map[uint64]struct{} // hashes of the lines in the file: a line is listed once
	seed  maphash.Seed
}

// openLetters opens the file of a replication's folder. A torn last row is cut off and damaged rows are left out, both told in damage.
func openLetters(dir string, limit int64) (l *letters, damage string, err error) {
	l = &letters{path: filepath.Join(dir, deadName), limit: limit, next: 1, seen: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
	rows, bad, err := l.read()
	if err != nil {
		return nil, "", fmt.Errorf("read dead letters: %w", err)
	}
	for _, row := range rows {
		l.next = max(l.next, row.ID+1)
	}
	if bad > 0 {
		aside, err := setAside(l.path)
		if err != nil {
			return nil, "", fmt.Errorf("set damaged dead letters aside: %w", err)
		}
		damage = fmt.Sprintf("%d damaged dead letters, see %s", bad, aside)
	}
	if err := l.adopt(rows, bad > 0); err != nil {
		return nil, "", err
	}
	return l, damage, nil
}

// adopt makes rows the content of the file, and writes it when asked.
func (l *letters) adopt(rows []DeadLetter, write bool) error {
	content, err := encodeLetters(rows)
	if err == nil && write {
		err = writeFile(l.path, content)
	}
	if err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	l.size, l.count = int64(len(content)), len(rows)
	clear(l.seen)
	for _, row := range rows {
		l.seen[maphash.Bytes(l.seed, row.Line)] = struct{}{}
	}
	return nil
}

func encodeLetters(rows []DeadLetter) ([]byte, error) {
	var content []byte
	for _, row := range rows {
		r := letterRow{DeadLetter: row, Sum: crc32.Checksum(row.Line, castagnoli)}
		if utf8.Valid(row.Line) {
			text := string(row.Line)
			r.Text = &text
		} else {
			r.Binary = row.Line
		}
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		content = append(append(content, text...), '\n')
	}
	return content, nil
}

// read returns the rows of the file and the number of damaged ones.
func (l *letters) read() (rows []DeadLetter, bad int, err error) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	r := bufio.NewReader(f)
	for {
		text, readErr := r.ReadBytes('\n')
		if len(text) > 0 {
			if row, ok := decodeLetter(text); ok {
				rows = append(rows, row)
			} else {
				bad++
			}
		}
		if readErr != nil {
			if errors.Is(readErr, io.EOF) {
				readErr = nil
			}
			return rows, bad, errors.Join(readErr, f.Close())
		}
	}
}

func decodeLetter(text []byte) (DeadLetter, bool) {
	var r letterRow
	if !bytes.HasSuffix(text, []byte("\n")) || json.Unmarshal(text, &r) != nil {
		return DeadLetter{}, false
	}
	r.Line = r.Binary
	if r.Text != nil {
		r.Line = []byte(*r.Text)
	}
	return r.DeadLetter, crc32.Checksum(r.Line, castagnoli) == r.Sum
}

// add makes dead letters durable and returns how many were pushed out by the bound. A line that is listed already is not
// listed again. ID is set here.
func (l *letters) add(rows []DeadLetter) (evicted int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := rows[:0:0]
	for _, row := range rows {
		hash := maphash.Bytes(l.seed, row.Line)
		if _, listed := l.seen[hash]; listed {
			continue
		}
		l.seen[hash] = struct{}{}
		row.ID = l.next
		l.next++
		fresh = append(fresh, row)
	}
	if len(fresh) == 0 {
		return 0, nil
	}
	content, err := encodeLetters(fresh)
	if err == nil {
		err = l.appendRows(content)
	}
	if err != nil {
		for _, row := range fresh {
			delete(l.seen, maphash.Bytes(l.seed, row.Line))
		}
		return 0, fmt.Errorf("write dead letters: %w", err)
	}
	l.size += int64(len(content))
	l.count += len(fresh)
	if l.size <= l.limit {
		return 0, nil
	}
	return l.evict()
}

// appendRows appends and syncs; after a failure the file has its old length again.
func (l *letters) appendRows(content []byte) error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(l.size))
	}
	err = errors.Join(err, f.Close())
	if err == nil && l.size == 0 {
		err = syncDir(filepath.Dir(l.path))
	}
	return err
}

// evict drops the oldest rows until half of the bound is free.
func (l *letters) evict() (int, error) {
	rows, _, err := l.read()
	if err != nil {
		return 0, fmt.Errorf("read dead letters: %w", err)
	}
	drop, size := 0, l.size
	for ; drop < len(rows)-1 && size > l.limit/2; drop++ {
		row, err := encodeLetters(rows[drop : drop+1])
		if err != nil {
			return 0, fmt.Errorf("write dead letters: %w", err)
		}
		size -= int64(len(row))
	}
	return drop, l.adopt(rows[drop:], true)
}

// list returns the dead letters, oldest first.
func (l *letters) list() ([]DeadLetter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, _, err := l.read()
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	return rows, nil
}

// remove takes rows out of the file and returns how many there were.
func (l *letters) remove(which func(DeadLetter) bool) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, _, err := l.read()
	if err != nil {
		return 0, fmt.Errorf("read dead letters: %w", err)
	}
	kept := rows[:0:0]
	for _, row := range rows {
		if !which(row) {
			kept = append(kept, row)
		}
	}
	if len(kept) == len(rows) {
		return 0, nil
	}
	return len(rows) - len(kept), l.adopt(kept, true)
}

func (l *letters) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}
