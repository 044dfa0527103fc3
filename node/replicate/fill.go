package replicate

import (
	"context"
	"math"
	"time"
)

const (
	minTime     = math.MinInt64
	maxTime     = math.MaxInt64
	firstWindow = int64(time.Hour)
	fillRetry   = 30 * time.Second
	fillPoll    = time.Second // how often the store is asked whether it has caught up with the journal
)

// takeGap sets s.work to the next window of a gap. It returns when to look again where the store has not applied the gap's records yet
// or cannot be read, which holds up nothing else.
func (s *stream) takeGap(ctx context.Context, now time.Time) (again time.Time) {
	if s.rows == nil {
		return again
	}
	if now.Before(s.fillAt) {
		return s.fillAt
	}
	for ctx.Err() == nil {
		gap := s.state.fillable(s.spec.Order, s.spec.NoFill)
		if gap == nil {
			return again
		}
		if s.rows.Applied() < uint64(gap.To) {
			return now.Add(fillPoll)
		}
		w, err := s.window(ctx, gap)
		if err == nil && w == nil {
			err = s.state.save(s.dir)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("replication cannot fill a gap now", "gap", gap.ID, "error", err)
			gap.Error = err.Error()
			s.fillAt = now.Add(fillRetry)
			return s.fillAt
		}
		if w != nil {
			gap.Error = ""
			s.work = w
			return again
		}
	}
	return again
}

// window reads the next window of a gap. Its width in time adapts so that it makes about one request: a request of old values must
// not be followed by a newer value of the live end and then be repeated. It returns nil when the gap had nothing more.
func (s *stream) window(ctx context.Context, gap *Gap) (*work, error) {
	width := s.widths[gap.ID]
	if width == 0 {
		width = firstWindow
	}
	for ctx.Err() == nil {
		low, high := gap.edge(width, s.spec.Order)
		w := &work{from: fromStore, gap: gap.ID, low: low, high: high}
		over, err := s.readWindow(ctx, w)
		if err != nil {
			return nil, err
		}
		if over && high > low {
			width = max(min(width, span64(low, high))/2, 1)
			continue
		}
		if len(w.body) < s.pace.target/4 {
			width = grow(width, len(w.body) == 0)
		}
		s.widths[gap.ID] = width
		if len(w.body) > 0 {
			return w, nil
		}
		gap.take(low, high, 0, time.Now())
		if gap.State != GapOpen {
			delete(s.widths, gap.ID)
			return nil, nil
		}
	}
	return nil, ctx.Err()
}

// readWindow reads lines of the window until they are more than a request holds. A window of one instant is read whole.
func (s *stream) readWindow(ctx context.Context, w *work) (over bool, err error) {
	for lines, err := range s.rows.Lines(ctx, w.low, w.high) {
		if err != nil {
			return false, err
		}
		w.add(lines, 0)
		if len(w.body) > s.pace.target && w.high > w.low {
			return true, nil
		}
	}
	return false, ctx.Err()
}

// edge returns the window of a width in ns at the end of the gap that goes first.
func (g *Gap) edge(width int64, order Order) (low, high int64) {
	low, high = g.NextMin, g.NextMax
	if span64(low, high) < width {
		return low, high
	}
	if order == NewestFirst {
		return high - width + 1, high
	}
	return low, low + width - 1
}

// span64 returns the width of a window of timestamps, as much as fits.
func span64(low, high int64) int64 {
	width := uint64(high) - uint64(low)
	if width >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(width) + 1
}

func grow(width int64, empty bool) int64 {
	by := int64(2)
	if empty {
		by = 16
	}
	if width > math.MaxInt64/by {
		return math.MaxInt64
	}
	return width * by
}
