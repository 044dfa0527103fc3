package access

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// lookEvery is how often a file is looked at, at most, while it is in use: what changed is honoured that soon.
const lookEvery = 100 * time.Millisecond

// settled is the age from which a file's time of change tells it from another of the same size: file systems count in up to two seconds.
const settled = 3 * time.Second

// followed is a file that is read again when it changed. It has no goroutine: who asks for the value looks at the file.
type followed[T any] struct {
	path  string
	limit int64 // bytes
	parse func([]byte) (T, error)
	// check, when not nil, says whether the file may be used at all.
	check func(os.FileInfo) error

	mu     sync.Mutex
	looked time.Time
	seen   os.FileInfo
	read   time.Time
	value  T
	taken  [sha256.Size]byte // the hash of the text that value is from
	err    error
}

// get returns what the file says, at most lookEvery old, or why it cannot be read now. With an error it is what the file said last.
func (f *followed[T]) get() (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now() // of the file system, whatever clock the tests have
	if !f.looked.IsZero() && now.Sub(f.looked) < lookEvery && !now.Before(f.looked) {
		return f.value, f.err
	}
	f.looked = now
	stat, err := os.Stat(f.path)
	if err != nil {
		f.seen, f.err = nil, err
		return f.value, f.err
	}
	if f.seen != nil && os.SameFile(f.seen, stat) && f.seen.Size() == stat.Size() && f.seen.ModTime().Equal(stat.ModTime()) && f.read.Sub(stat.ModTime()) > settled {
		return f.value, f.err
	}
	text, stat, err := readBounded(f.path, f.limit, f.check)
	f.seen, f.read = stat, now
	if err == nil {
		err = f.take(text)
	}
	f.err = err
	return f.value, f.err
}

// take has the value be what a text says. The same text is the same value, and not an equal one.
func (f *followed[T]) take(text []byte) error {
	sum := sha256.Sum256(text)
	if sum == f.taken {
		return nil
	}
	value, err := f.parse(text)
	if err == nil {
		f.value, f.taken = value, sum
	}
	return err
}

// forget has the next get look at the file.
func (f *followed[T]) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked, f.seen = time.Time{}, nil
}

// readBounded reads a file of at most limit bytes, and returns what it was at that time.
func readBounded(path string, limit int64, check func(os.FileInfo) error) ([]byte, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	stat, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if check != nil {
		if err := check(stat); err != nil {
			return nil, stat, err
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return text, stat, err
}
