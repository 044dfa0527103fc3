package api

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// writes is what the writes in progress share: buffers, parsers, and the bound of what they hold.
type writes struct {
	limits  Limits
	held    atomic.Int64 // bytes of the bodies of writes in progress
	buffers sync.Pool    // of *writeBuffer
	bodies  sync.Pool    // of *[]byte: memory for bodies longer than firstRead
	gzips   sync.Pool    // of *gzip.Reader
	// parsers waits with those that are not in use. They are kept for good: each has learnt the series that are written
	// here. Parsing keeps a core busy, so that more of them than cores would only wait for each other.
	parsers chan *line.Parser
}

// parserCache bounds what one parser remembers, in bytes.
const parserCache = 8 << 20

func newWrites(limits Limits) *writes {
	w := &writes{limits: limits, parsers: make(chan *line.Parser, runtime.GOMAXPROCS(0))}
	for range cap(w.parsers) {
		w.parsers <- &line.Parser{CacheBytes: parserCache}
	}
	return w
}

// writeBuffer is the memory of one write. The batch refers into the body.
type writeBuffer struct {
	body  []byte
	first []byte // what a body begins in, firstRead bytes
	batch line.Batch
	held  int64 // its part of writes.held
}

// maxKeptBody is the longest body whose memory is kept for the next write.
const maxKeptBody = 4 << 20

func (w *writes) borrow() *writeBuffer {
	if b, ok := w.buffers.Get().(*writeBuffer); ok {
		return b
	}
	return &writeBuffer{first: make([]byte, 0, firstRead)}
}

func (w *writes) giveBack(b *writeBuffer) {
	w.held.Add(-b.held)
	b.held = 0
	if cap(b.body) > maxKeptBody {
		return
	}
	if body := b.body[:0]; cap(body) > firstRead {
		w.bodies.Put(&body)
	}
	b.body = nil
	b.batch.Reset()
	w.buffers.Put(b)
}

func (w *writes) parse(b *writeBuffer, o line.Options) error {
	p := <-w.parsers
	defer func() { w.parsers <- p }()
	return p.Parse(&b.batch, b.body, o)
}

// readBody fills b.body with the decompressed body. The bounds are on what has been decompressed so far, so a small body that
// decompresses to a large one is refused when it reaches them.
func (w *writes) readBody(b *writeBuffer, r *http.Request) error {
	if r.ContentLength > w.limits.WriteBytes {
		w.drain(r)
		return errTooLong(w.limits.WriteBytes)
	}
	var from io.Reader = r.Body
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := w.gunzip(r.Body)
		if err != nil {
			return err
		}
		defer w.gzips.Put(z)
		from = z
	default:
		return failf(catalog.UnsupportedMediaType, "unsupported Content-Encoding %q: send gzip or nothing", encoding)
	}
	err := w.fill(b, from)
	if failed, ok := errors.AsType[*failure](err); ok && failed.status == http.StatusRequestEntityTooLarge {
		w.drain(r)
	}
	return err
}

func (w *writes) gunzip(body io.Reader) (*gzip.Reader, error) {
	z, ok := w.gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	if err := z.Reset(body); err != nil {
		w.gzips.Put(z)
		return nil, failf(catalog.Invalid, "body is not gzip: %v", err)
	}
	return z, nil
}

// firstRead is how much memory a body gets before any of it has come, in bytes. A body gets more only as it comes, whatever length
// was announced: clients that announce much and send little must not take the room of those that send.
const firstRead = 16 << 10

// fill reads all of from into b.body.
func (w *writes) fill(b *writeBuffer, from io.Reader) error {
	b.body = b.first
	if err := w.count(b, firstRead); err != nil {
		return err
	}
	for {
		if len(b.body) == cap(b.body) {
			if err := w.grow(b, 2*cap(b.body)); err != nil {
				return err
			}
		}
		n, err := from.Read(b.body[len(b.body):cap(b.body)])
		b.body = b.body[:len(b.body)+n]
		if int64(len(b.body)) > w.limits.WriteBytes {
			return errTooLong(w.limits.WriteBytes)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return failf(catalog.Invalid, "failed to read request body: %v", err)
		}
	}
}

// grow makes room for size bytes in b.body.
func (w *writes) grow(b *writeBuffer, size int) error {
	kept, ok := w.bodies.Get().(*[]byte)
	if ok && cap(*kept) >= size {
		size = cap(*kept)
	} else {
		kept = nil
	}
	if err := w.count(b, size); err != nil {
		return err
	}
	if kept == nil {
		kept = new([]byte)
		*kept = make([]byte, 0, size)
	}
	b.body = append(*kept, b.body...)
	return nil
}

// count counts a body of the given size, unless too much is held then.
func (w *writes) count(b *writeBuffer, size int) error {
	more := int64(size) - b.held
	if w.held.Add(more) > w.limits.HeldBytes {
		w.held.Add(-more)
		return &failure{status: http.StatusServiceUnavailable, code: catalog.Unavailable, retryAfter: time.Second,
			message: "too many writes at the same time: nothing was stored; try again later"}
	}
	b.held += more
	return nil
}

// drain reads a part of what the client still sends, so that it gets to read the answer.
func (w *writes) drain(r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, w.limits.WriteBytes)
}
