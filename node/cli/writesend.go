package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// Bounds of waiting for a server that says it is busy.
const (
	busyTries   = 10
	longestWait = time.Minute
	// shownErrors is how many bad lines an error lists.
	shownErrors = 20
)

// lineWriter sends batches and keeps account of them.
type lineWriter struct {
	client    *client.Client
	target    client.WriteTarget
	precision line.Precision
	// skipBad leaves out lines that cannot be parsed, and writes them to bad if that is set.
	skipBad  bool
	bad      io.Writer
	warn     io.Writer
	rate     float64 // bytes per second, 0 for no limit
	progress *progress
	wait     func(context.Context, time.Duration) error
	now      func() time.Time

	checker lineChecker
	// lines counts the lines sent and stored, skipped those left out, rejected the batches of which the server refused points.
	lines, skipped, rejected int
}

func (w *lineWriter) write(ctx context.Context, b *lineBatch) error {
	begin := w.now()
	size := len(b.text)
	err := w.send(ctx, b)
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusBadRequest {
		err = w.afterBadLines(ctx, b, err)
	}
	if errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity && w.skipBad {
		w.rejected++
		_, _ = fmt.Fprintf(w.warn, "WARN: %s: of lines %d to %d the server refused some and stored the others: %s\n", b.source, b.line, b.last(), refused.Message)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%s: lines %d to %d: %w\n%s", b.source, b.line, b.last(), err, w.account(err))
	}
	w.lines += b.lines
	w.progress.add(size, b.lines)
	if w.rate > 0 {
		return w.wait(ctx, time.Duration(float64(size)/w.rate*float64(time.Second))-w.now().Sub(begin))
	}
	return nil
}

// send posts the batch, and waits as long as the server says that it took nothing because it is busy. Nothing else is tried
// again: lines without a timestamp may have been stored although no answer came, and would be stored twice.
func (w *lineWriter) send(ctx context.Context, b *lineBatch) error {
	for try := 1; ; try++ {
		err := w.client.Write(ctx, w.target, b.text)
		var refused *client.Error
		busy := errors.As(err, &refused) && (refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusServiceUnavailable)
		if !busy || try == busyTries {
			return err
		}
		pause := refused.RetryAfter
		if pause == 0 {
			pause = time.Second << (try - 1)
		}
		pause = min(pause, longestWait)
		_, _ = fmt.Fprintf(w.warn, "The server is busy (%d); trying again in %s\n", refused.Status, pause)
		if err := w.wait(ctx, pause); err != nil {
			return err
		}
	}
}

// afterBadLines finds the lines that made the server refuse the batch. It leaves them out and sends the others if it may,
// and else names them.
func (w *lineWriter) afterBadLines(ctx context.Context, b *lineBatch, err error) error {
	bad := w.checker.check(b, w.precision)
	if len(bad) == 0 {
		return err
	}
	if !w.skipBad {
		return &badLinesError{source: b.source, lines: bad, status: err}
	}
	for _, e := range bad {
		_, _ = fmt.Fprintf(w.warn, "WARN: left out %s:%d: %v\n", b.source, e.Line, &e)
	}
	left, err := w.leaveOut(b, bad)
	if err != nil {
		return err
	}
	w.skipped += len(bad)
	if len(left.text) == 0 {
		return nil
	}
	return w.send(ctx, left)
}

// leaveOut returns the batch without the bad lines, which go to the errors file.
func (w *lineWriter) leaveOut(b *lineBatch, bad []line.LineError) (*lineBatch, error) {
	left := &lineBatch{source: b.source, line: b.line, lines: b.lines}
	number := b.line
	for rest := b.text; len(rest) > 0; {
		length := pointLength(rest)
		if length == 0 {
			length = len(rest)
		}
		point := rest[:length]
		rest = rest[length:]
		next := number + bytes.Count(point, newline)
		isBad := false
		for len(bad) > 0 && bad[0].Line < next {
			isBad, bad = true, bad[1:]
		}
		number = next
		if !isBad {
			left.text = append(left.text, point...)
			continue
		}
		left.lines -= bytes.Count(point, newline)
		if w.bad != nil {
			if _, err := w.bad.Write(point); err != nil {
				return nil, fmt.Errorf("writing the errors file: %w", err)
			}
		}
	}
	return left, nil
}

// account tells what has been stored when the work stops.
func (w *lineWriter) account(err error) string {
	before := ""
	if w.lines > 0 {
		before = fmt.Sprintf("The %d lines before these are stored. ", w.lines)
	}
	var refused *client.Error
	switch {
	case !errors.As(err, &refused) || refused.Status >= http.StatusInternalServerError:
		return before + "Whether these are stored is not known; points that are written twice stay one, unless they have no timestamp."
	case refused.Status == http.StatusUnprocessableEntity:
		return before + "Of these the server stored what it did not refuse."
	case refused.Status == http.StatusBadRequest:
		return before + "None of these is stored: mend them and go on from here, or pass --skipRowOnError to leave bad lines out."
	}
	return before + "None of these is stored."
}

// verdict is the error of a write that went through with losses.
func (w *lineWriter) verdict() error {
	switch {
	case w.skipped > 0 && w.rejected > 0:
		return fmt.Errorf("%d lines were left out, and the server refused points of %d batches; see the warnings", w.skipped, w.rejected)
	case w.skipped > 0:
		return fmt.Errorf("%d lines that cannot be parsed were left out; the others are stored", w.skipped)
	case w.rejected > 0:
		return fmt.Errorf("the server refused points of %d batches; the others are stored; see the warnings", w.rejected)
	}
	return nil
}

// lineChecker finds the lines of a batch that cannot be parsed.
type lineChecker struct {
	parser line.Parser
	points line.Batch
}

// check returns the bad lines with their numbers in the source.
func (c *lineChecker) check(b *lineBatch, precision line.Precision) []line.LineError {
	c.points.Reset()
	var bad *line.Error
	if !errors.As(c.parser.Parse(&c.points, b.text, line.Options{Precision: precision}), &bad) {
		return nil
	}
	for i := range bad.Lines {
		bad.Lines[i].Line += b.line - 1
	}
	return bad.Lines
}

// badLinesError names the lines that made the server refuse a batch.
type badLinesError struct {
	source string
	lines  []line.LineError
	status error
}

func (e *badLinesError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d of them cannot be parsed:", len(e.lines))
	for i, l := range e.lines {
		if i == shownErrors {
			fmt.Fprintf(&s, "\n  and %d more", len(e.lines)-i)
			break
		}
		fmt.Fprintf(&s, "\n  %s:%d: %v", e.source, l.Line, &l)
	}
	return s.String()
}

func (e *badLinesError) Unwrap() error { return e.status }
