package replicate

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// origin says where the lines of a piece of work come from, and so what is recorded when they are decided.
type origin uint8

const (
	fromLive   origin = iota // the journal's newest end
	fromBehind               // a stretch of the backlog (NewestFirst)
	fromStore                // a gap
	fromDead                 // dead letters that are tried again

	origins = iota // how many there are
)

// work is a batch and what it means for the replication's files when its lines are decided.
type work struct {
	batch
	from      origin
	gap       int     // fromStore: the gap's ID
	low, high int64   // fromStore: the window of timestamps
	ids       []int64 // fromDead: the dead letter of each line

	looking bool // the lines behind the first one are tried, because the server stumbles over it
	looked  int  // how many of their spans had server errors too
	proof   bool // the server took other lines while it did not take the first one
}

// fresh reports whether no part of the work was decided, so that it may be put back without loss.
func (w *work) fresh() bool { return !w.moved }

// gather takes records of the live end into the batch that waits, until it is full or the journal's end is reached.
func (s *stream) gather() error {
	if s.work != nil && s.work.from == fromLive {
		return nil
	}
	next, err := s.take(s.live, s.next, fromLive)
	if next != nil {
		s.next = next
	}
	return err
}

// take appends records of a source to w, which is made when there is a first one. A gap is recorded when nothing waits before it.
func (s *stream) take(src *source, w *work, from origin) (*work, error) {
	for {
		rec, gap, err := src.peek()
		if errors.Is(err, io.EOF) {
			return w, nil
		}
		if err != nil {
			return w, err
		}
		if gap != nil {
			if w != nil {
				return w, nil
			}
			if err := s.note(src, gap, from); err != nil {
				return nil, err
			}
			continue
		}
		if w != nil && len(w.body)+len(rec.Body) > s.pace.target && len(w.body) > 0 {
			return w, nil
		}
		if w == nil {
			w = &work{from: from}
			w.first = time.Unix(0, rec.Accepted)
		}
		s.append(src, w, rec)
		src.take()
	}
}

func (s *stream) append(src *source, w *work, rec *journal.Record) {
	body := rec.Body
	if rec.Kind != journal.Points {
		body = nil
	}
	w.add(body, rec.Position)
	if rec.Position <= src.passed {
		return
	}
	src.passed = rec.Position
	if rec.Kind == journal.Points {
		s.state.Counts.PointsRead += int64(rec.Count)
		s.state.Counts.BytesRead += int64(len(body))
	} else {
		s.state.Counts.DeletesSkipped++
	}
}

// note records a gap of the journal durably, then moves past it.
func (s *stream) note(src *source, g *journal.Gap, from origin) error {
	gap := Gap{Reason: g.Reason, Found: time.Now(), From: g.From, To: g.To, Points: int64(g.Points), MinTime: g.MinTime, MaxTime: g.MaxTime}
	if src.to != 0 {
		gap.To = min(gap.To, src.to)
	}
	s.log.Warn("replication found a gap in the journal", "from", g.From, "to", g.To, "points", g.Points, "reason", g.Reason, "error", g.Err)
	if err := s.record(gap); err != nil {
		return err
	}
	src.take()
	return s.advance(from, gap.To)
}

// record lists a gap durably. Without a store to fill it from it is loss, and counted so.
func (s *stream) record(g Gap) error {
	if g.Points == 0 && g.Reason != journal.ReasonDamaged {
		return nil // nothing but deletes
	}
	s.state.addGap(g)
	if s.rows == nil {
		s.writeOff()
	}
	return s.state.save(s.dir)
}

// writeOff closes the open gaps of a replication that has no store.
func (s *stream) writeOff() {
	for i := range s.state.Gaps {
		if g := &s.state.Gaps[i]; g.State == GapOpen {
			g.State, g.Closed = GapUnfillable, time.Now()
			s.drop(DroppedUnfillable, max(g.Points, 0), 0)
		}
	}
}

func (s *stream) drop(reason string, points, bytes int64) {
	if s.state.Counts.Dropped == nil {
		s.state.Counts.Dropped = map[string]int64{}
	}
	s.state.Counts.Dropped[reason] += points
	s.state.Counts.BytesDropped += bytes
}

// choose sets s.work to what is to be sent next, or returns when the records that wait for company are due.
func (s *stream) choose(ctx context.Context, now time.Time) (due time.Time, err error) {
	if s.work != nil {
		return due, nil
	}
	if s.spec.Order == NewestFirst {
		if err := s.split(now); err != nil {
			return due, err
		}
	} else if s.work, err = s.takeBehind(0); s.work != nil || err != nil {
		return due, err
	}
	if s.next != nil {
		due = s.next.first.Add(s.spec.MaxDelay)
		if s.full() || !now.Before(due) {
			s.work, s.next = s.next, nil
			return due, nil
		}
	}
	if s.work, err = s.takeBehind(len(s.state.Backlog) - 1); s.work != nil || err != nil {
		return due, err
	}
	if s.work = s.takeDead(); s.work != nil {
		return due, nil
	}
	if again := s.takeGap(ctx, now); !again.IsZero() {
		due = soonest(due, again)
	}
	return due, nil
}

// full reports whether the live batch cannot grow: by its size, or because a gap or a record that is too much follows.
func (s *stream) full() bool {
	return s.live.ahead || len(s.next.body) >= s.pace.target
}

// takeDead takes the dead letters that were asked to be tried again. Where they cannot be read the request is forgotten.
func (s *stream) takeDead() *work {
	if len(s.retry) == 0 {
		return nil
	}
	rows, err := s.dead.list()
	if err != nil {
		s.retry = nil
		s.log.Error("dead letters are not tried again", "error", err)
		return nil
	}
	w := &work{from: fromDead}
	rest := s.retry[:0:0]
	for _, row := range rows {
		if !slices.Contains(s.retry, row.ID) {
			continue
		}
		if len(w.body) > s.pace.target {
			rest = append(rest, row.ID)
			continue
		}
		w.add(append(row.Line, '\n'), 0)
		w.ids = append(w.ids, row.ID)
	}
	s.retry = rest
	if len(w.ids) == 0 {
		return nil
	}
	return w
}
