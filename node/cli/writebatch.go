package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// lineBatch is what one request carries: whole lines of one input, in their order.
type lineBatch struct {
	source string
	// line is the number of the first line in the source, from 1; lines is how many there are.
	line, lines int
	text        []byte
}

func (b *lineBatch) last() int { return b.line + b.lines - 1 }

// batchLimits bound a batch: by bytes (a longer single line has a batch of its own), by the time its first line waits for
// more, and by the bytes of one line.
type batchLimits struct {
	bytes    int
	interval time.Duration
	line     int
}

// batches reads the inputs and calls send with one batch after the other. The batch is send's until it returns.
//
// Reading happens on a goroutine of its own, because an input may pause while lines wait to be sent. It ends with the inputs or
// the context; a read from stdin that is under way then cannot be called off and ends with the program.
func (in *inputs) batches(ctx context.Context, limits batchLimits, send func(*lineBatch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := make(chan *lineBatch)
	failed := make(chan error, 1)
	go func() {
		defer close(chunks)
		for _, one := range in.list {
			if err := one.read(ctx, limits, chunks); err != nil {
				failed <- err
				return
			}
		}
	}()
	if err := gather(ctx, limits, chunks, send); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// gather joins chunks into batches until there are no more.
func gather(ctx context.Context, limits batchLimits, chunks <-chan *lineBatch, send func(*lineBatch) error) error {
	var batch *lineBatch
	flush := func() error {
		if batch == nil {
			return nil
		}
		full := batch
		batch = nil
		return send(full)
	}
	timer := time.NewTimer(limits.interval)
	defer timer.Stop()
	for {
		select {
		case chunk, more := <-chunks:
			if !more {
				return errors.Join(flush(), ctx.Err())
			}
			if batch != nil && (batch.source != chunk.source || len(batch.text)+len(chunk.text) > limits.bytes) {
				if err := flush(); err != nil {
					return err
				}
			}
			if batch == nil {
				batch = chunk
				timer.Reset(limits.interval)
			} else {
				batch.text, batch.lines = append(batch.text, chunk.text...), batch.lines+chunk.lines
			}
		case <-timer.C:
			if err := flush(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read sends chunks of whole lines, none longer than the limit unless a single line is.
func (in *input) read(ctx context.Context, limits batchLimits, chunks chan<- *lineBatch) error {
	const step = 64 << 10
	var pending []byte
	number := 1
	for atEnd := false; !atEnd; {
		n := len(pending)
		pending = append(pending, make([]byte, step)...)
		got, err := in.Read(pending[n:])
		pending = pending[:n+got]
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading %s after line %d: %w", in.name, number-1, err)
		}
		if atEnd = err != nil; atEnd && len(pending) > 0 && pending[len(pending)-1] != '\n' {
			pending = append(pending, '\n')
		}
		for {
			length := wholeLines(pending, limits.bytes)
			if length == 0 && atEnd && len(pending) > 0 {
				length = len(pending) // an open quote: the server says so
			}
			if length == 0 {
				break
			}
			text := bytes.Clone(pending[:length])
			chunk := &lineBatch{source: in.name, line: number, lines: bytes.Count(text, newline), text: text}
			select {
			case chunks <- chunk:
			case <-ctx.Done():
				return nil // who ended it knows why
			}
			number += chunk.lines
			pending = append(pending[:0], pending[length:]...)
		}
		if len(pending) > limits.line {
			return fmt.Errorf("%s:%d: the line is longer than %d bytes: is a closing quote missing? (--max-line-length allows more)",
				in.name, number, limits.line)
		}
	}
	return nil
}

var newline = []byte{'\n'}

// wholeLines returns the length of the longest run of whole points at the beginning of s that is not longer than limit; of
// the first point if that alone is longer; 0 when no point is whole.
func wholeLines(s []byte, limit int) int {
	length := 0
	for length < len(s) {
		n := pointLength(s[length:])
		if n == 0 || length > 0 && length+n > limit {
			break
		}
		length += n
	}
	return length
}

// pointLength returns the length of the first point with its line end, 0 when the end is not in s. A line end inside a quoted
// field value does not end the point; quotes elsewhere mean nothing.
func pointLength(s []byte) int {
	end := bytes.IndexByte(s, '\n') + 1
	if end == 0 || bytes.IndexByte(s[:end], '"') < 0 {
		return end
	}
	i := skipKey(s)
	for quoted := false; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case quoted && s[i] == '"':
			quoted = false
		case quoted:
		case s[i] == '\n':
			return i + 1
		case s[i] == '"' && s[i-1] == '=':
			quoted = true
		}
	}
	return 0
}

// skipKey returns where the fields begin: behind the first space that is not escaped. It stops at a line end, and at the end of
// a comment.
func skipKey(s []byte) int {
	i := len(s) - len(bytes.TrimLeft(s, " \t\x00"))
	if i < len(s) && s[i] == '#' {
		return i + bytes.IndexByte(s[i:], '\n')
	}
	for ; i < len(s) && s[i] != '\n'; i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] != '\n' {
			i++
		} else if s[i] == ' ' {
			return i + 1
		}
	}
	return i
}
