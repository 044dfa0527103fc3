package query

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits bound one request. A zero field is no limit, except where said.
type Limits struct {
	// Timeout ends the request, all its statements together.
	Timeout time.Duration
	// MaxSeries is how many series one statement may read.
	MaxSeries int
	// MaxBuckets is how many GROUP BY time() intervals one statement may answer with, over all its series.
	MaxBuckets int64
	// MaxPoints is how many rows one statement may read.
	MaxPoints int64
	// MaxBytes is about how much memory one statement may hold, in bytes: what functions keep, and what waits to be merged.
	MaxBytes int64
	// MaxQueryBytes is how long the text of a request may be; 0 means 1 MiB.
	MaxQueryBytes int
}

// DefaultLimits are bounds that a dashboard does not meet and that keep a small machine alive.
func DefaultLimits() Limits {
	return Limits{
		Timeout:    5 * time.Minute,
		MaxSeries:  1_000_000,
		MaxBuckets: 1_000_000,
		MaxPoints:  1_000_000_000,
		MaxBytes:   256 << 20,
	}
}

// LimitError tells that a statement met one of its Limits.
type LimitError struct {
	// Limit names what was exceeded: "series", "buckets", "points", "bytes" or "time".
	Limit string
	// Max is the limit, in ns for "time".
	Max int64
	// Need is what the statement would have needed, 0 when unknown.
	Need int64
}

func (e *LimitError) Error() string {
	switch e.Limit {
	case "series":
		return fmt.Sprintf("max-select-series limit exceeded: (%d/%d): name fewer series in WHERE", e.Need, e.Max)
	case "buckets":
		return fmt.Sprintf("max-select-buckets limit exceeded: (%d/%d): use a longer GROUP BY time() interval or a shorter time range", e.Need, e.Max)
	case "points":
		return fmt.Sprintf("max-select-point limit exceeded: (%d/%d): use a shorter time range", e.Need, e.Max)
	case "bytes":
		return fmt.Sprintf("query memory limit exceeded: more than %d bytes: use a shorter time range, fewer series or LIMIT", e.Max)
	}
	return fmt.Sprintf("query timeout exceeded: %s: use a shorter time range", time.Duration(e.Max))
}

// budget is what a statement has used of its limits. It belongs to the statement's goroutine.
type budget struct {
	limits  Limits
	points  int64
	buckets int64
	bytes   int64
}

// read counts rows that came from the store.
func (b *budget) read(n int) error {
	b.points += int64(n)
	if b.limits.MaxPoints > 0 && b.points > b.limits.MaxPoints {
		return &LimitError{Limit: "points", Max: b.limits.MaxPoints, Need: b.points}
	}
	return nil
}

// windows counts intervals that will be answered.
func (b *budget) windows(n int64) error {
	b.buckets += n
	if b.limits.MaxBuckets > 0 && (b.buckets > b.limits.MaxBuckets || b.buckets < 0) {
		return &LimitError{Limit: "buckets", Max: b.limits.MaxBuckets, Need: b.buckets}
	}
	return nil
}

// room checks that n more intervals may be answered, without counting them.
func (b *budget) room(n int64) error {
	if need := b.buckets + n; b.limits.MaxBuckets > 0 && (need > b.limits.MaxBuckets || need < 0) {
		return &LimitError{Limit: "buckets", Max: b.limits.MaxBuckets, Need: need}
	}
	return nil
}

// hold counts memory that is kept; a negative n gives it back.
func (b *budget) hold(n int64) error {
	b.bytes += n
	if b.limits.MaxBytes > 0 && b.bytes > b.limits.MaxBytes {
		return &LimitError{Limit: "bytes", Max: b.limits.MaxBytes, Need: b.bytes}
	}
	return nil
}

// timeoutError turns the end of a request's own deadline into a LimitError and leaves other errors as they are.
func timeoutError(ctx context.Context, err error, l Limits) error {
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), errTimeout) {
		return &LimitError{Limit: "time", Max: int64(l.Timeout)}
	}
	return err
}

var errTimeout = errors.New("query timeout")
