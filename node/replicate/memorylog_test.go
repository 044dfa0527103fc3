package replicate

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// memoryLog is a journal in memory. It survives the sets that read it, as a journal on disk survives a restart.
type memoryLog struct {
	mu      sync.Mutex
	records []journal.Record // position i+1 at index i
	lost    map[journal.Position]string
	cursors map[string]*memoryCursor
	news    chan struct{}
	broken  error // what reading returns

	advances int // of all cursors
}

func newMemoryLog() *memoryLog {
	return &memoryLog{lost: map[journal.Position]string{}, cursors: map[string]*memoryCursor{}, news: make(chan struct{})}
}

func (l *memoryLog) Append(_ context.Context, r journal.Record) (journal.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Position = journal.Position(len(l.records) + 1)
	r.Accepted = time.Now().UnixNano()
	r.Body = append([]byte(nil), r.Body...)
	l.records = append(l.records, r)
	close(l.news)
	l.news = make(chan struct{})
	return r.Position, nil
}

// lose makes positions unreadable.
func (l *memoryLog) lose(from, to journal.Position, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := from; p <= to; p++ {
		l.lost[p] = reason
	}
}

// advanced returns how often a cursor advanced.
func (l *memoryLog) advanced() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.advances
}

func (l *memoryLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = err
}

func (l *memoryLog) ReadFrom(from journal.Position) (journal.Reader, error) {
	return &memoryReader{log: l, next: max(from, 1)}, nil
}

func (l *memoryLog) Bounds() (first, last journal.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 1, journal.Position(len(l.records))
}

func (l *memoryLog) Wait(ctx context.Context, after journal.Position) error {
	for {
		l.mu.Lock()
		n, news := len(l.records), l.news
		l.mu.Unlock()
		if journal.Position(n) > after {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

func (l *memoryLog) Cursor(name string, _ journal.CursorOptions) (journal.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cursors[name] == nil {
		l.cursors[name] = &memoryCursor{log: l, name: name}
	}
	return l.cursors[name], nil
}

func (l *memoryLog) Cursors() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.cursors {
		names = append(names, name)
	}
	return names
}

func (l *memoryLog) Size(after journal.Position) (size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records[min(int(after), len(l.records)):] {
		size += int64(len(r.Body))
	}
	return size
}

func (l *memoryLog) Close() error { return nil }

type memoryReader struct {
	log  *memoryLog
	next journal.Position
	body []byte
}

func (r *memoryReader) Next() (journal.Record, error) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return journal.Record{}, l.broken
	}
	if int(r.next) > len(l.records) {
		return journal.Record{}, io.EOF
	}
	if reason := l.lost[r.next]; reason != "" {
		return journal.Record{}, r.gap(reason)
	}
	rec := l.records[r.next-1]
	for i := range r.body {
		r.body[i] = '!' // the body of the record before is the reader's again
	}
	r.body = append(r.body[:0:0], rec.Body...)
	rec.Body = r.body
	r.next++
	return rec, nil
}

func (r *memoryReader) gap(reason string) *journal.Gap {
	first := r.log.records[r.next-1]
	g := &journal.Gap{From: r.next, Reason: reason, MinTime: first.MinTime, MaxTime: first.MaxTime}
	for ; int(r.next) <= len(r.log.records) && r.log.lost[r.next] == reason; r.next++ {
		rec := r.log.records[r.next-1]
		g.To, g.Points = r.next, g.Points+rec.Count
		g.MinTime, g.MaxTime = min(g.MinTime, rec.MinTime), max(g.MaxTime, rec.MaxTime)
	}
	return g
}

func (r *memoryReader) Close() error { return nil }

type memoryCursor struct {
	log  *memoryLog
	name string
	pos  journal.Position
}

func (c *memoryCursor) Position() journal.Position {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.pos
}

func (c *memoryCursor) Advance(p journal.Position) error {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if p < c.pos {
		return errors.New("cursor went back")
	}
	c.pos = p
	c.log.advances++
	return nil
}

func (c *memoryCursor) Remove() error {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	delete(c.log.cursors, c.name)
	return nil
}
