package replicate

import (
	"errors"
	"io"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// sizeStride is how many bytes are passed between two looks at the size of the queue, which costs the journal some reading.
const sizeStride = 2 << 20

// keepHouse applies MaxQueueBytes and MaxAge: records that exceed them leave the queue and become a gap.
func (s *stream) keepHouse(now time.Time) error {
	if now.Sub(s.kept) < housekeeping {
		return nil
	}
	s.kept = now
	if s.work != nil && !s.work.fresh() {
		return nil // it is being decided; the bounds can wait for it
	}
	after := s.oldest()
	var bound journal.Position
	if len(s.state.Backlog) > 0 {
		bound = s.state.Backlog[0].To
	}
	src := &source{log: s.journal, at: after, to: bound}
	gap, err := s.excess(src, now)
	err = errors.Join(err, src.close())
	if err != nil || gap.To == 0 {
		return err
	}
	if err := s.forget(); err != nil {
		return err
	}
	s.log.Warn("replication leaves records to be filled from the store", "from", gap.From, "to", gap.To, "points", gap.Points, "reason", gap.Reason)
	if err := s.record(gap); err != nil {
		return err
	}
	from := fromLive
	if bound != 0 {
		from = fromBehind
	}
	if err := s.advance(from, gap.To); err != nil {
		return err
	}
	return s.live.rewind(s.head)
}

// excess reads the records that exceed the bounds. The gap's To is 0 when there are none.
func (s *stream) excess(src *source, now time.Time) (gap Gap, err error) {
	gap = Gap{Found: now, MinTime: maxTime, MaxTime: minTime}
	over, looked := s.journal.Size(src.at) > s.spec.MaxQueueBytes, 0
	for {
		rec, missing, err := src.peek()
		if errors.Is(err, io.EOF) || missing != nil {
			return gap, nil // the journal's own gaps are noted where they are read
		}
		if err != nil {
			return gap, err
		}
		if !over && now.Sub(time.Unix(0, rec.Accepted)) <= s.spec.MaxAge {
			return gap, nil
		}
		gap.extend(rec, over)
		looked += len(rec.Body) + 64
		src.take()
		if over && looked >= sizeStride {
			over, looked = s.journal.Size(src.at) > s.spec.MaxQueueBytes, 0
		}
	}
}

func (g *Gap) extend(rec *journal.Record, over bool) {
	if g.From == 0 {
		g.From, g.Reason = rec.Position, ReasonTooOld
	}
	if over {
		g.Reason = ReasonQueueFull
	}
	g.To = rec.Position
	if rec.Kind != journal.Points {
		return
	}
	g.Points += int64(rec.Count)
	g.MinTime, g.MaxTime = min(g.MinTime, rec.MinTime), max(g.MaxTime, rec.MaxTime)
}
