package replicate

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// settle makes durable what was decided of the work since the last time, in the order that a crash at any moment allows:
// dead letters, then what was sent, then the position.
func (s *stream) settle(w *work) error {
	decided := w.decided()
	var letters []DeadLetter
	sent := int64(0)
	for i := w.kept; i < decided; i++ {
		l, struck := w.struck[i]
		if !struck {
			sent++
			continue
		}
		letters = append(letters, DeadLetter{At: time.Now(), Code: l.code, Reason: l.reason, Position: w.position(i), Line: w.line(i)})
	}
	if err := s.bury(letters); err != nil {
		return err
	}
	if err := s.revive(w, decided); err != nil {
		return err
	}
	w.kept = decided
	s.state.Counts.PointsSent += sent
	finished := decided == len(w.ends)
	if finished {
		s.work = nil
	}
	if err := s.progress(w, sent, finished); err != nil {
		// What was sent stays sent; the next settling writes the position again.
		s.setReason(err.Error())
		s.log.Error("replication cannot write its position", "error", err)
	}
	if now := time.Now(); now.Sub(s.saved) >= countsSaving {
		s.saved = now
		return s.state.save(s.dir)
	}
	return nil
}

// progress records what the decided lines mean.
func (s *stream) progress(w *work, sent int64, finished bool) error {
	switch w.from {
	case fromLive, fromBehind:
		if pos := w.reached(); pos != 0 {
			return s.advance(w.from, pos)
		}
	case fromStore:
		s.state.Counts.PointsFilled += sent
		if gap := s.state.gap(w.gap); gap != nil && finished {
			gap.take(w.low, w.high, int64(len(w.ends)-len(w.struck)), time.Now())
			return s.state.save(s.dir)
		}
	}
	return nil
}

// bury puts refused lines into the dead letter file, or drops them where that was chosen.
func (s *stream) bury(rows []DeadLetter) error {
	if len(rows) == 0 {
		return nil
	}
	last := rows[len(rows)-1]
	if s.spec.DropNonRetryable {
		var bytes int64
		for _, row := range rows {
			bytes += int64(len(row.Line)) + 1
		}
		s.drop(DroppedRefused, int64(len(rows)), bytes)
	} else {
		evicted, err := s.dead.add(rows)
		s.drop(DroppedEvicted, int64(evicted), 0)
		if err != nil {
			return err
		}
	}
	s.state.Refusal = &Refusal{At: last.At, Code: last.Code, Reason: last.Reason, Line: clip(last.Line, 256)}
	s.log.Warn("the remote refuses lines for good", "lines", len(rows), "dropped", s.spec.DropNonRetryable, "code", last.Code, "reason", last.Reason)
	return nil
}

// revive takes dead letters that were accepted after all out of the file.
func (s *stream) revive(w *work, decided int) error {
	if w.from != fromDead {
		return nil
	}
	var accepted []int64
	for i := w.kept; i < decided; i++ {
		if _, struck := w.struck[i]; !struck {
			accepted = append(accepted, w.ids[i])
		}
	}
	_, err := s.dead.remove(func(row DeadLetter) bool { return slices.Contains(accepted, row.ID) })
	if err != nil {
		return fmt.Errorf("take accepted lines out of the dead letters: %w", err)
	}
	return nil
}

// position returns the journal position that a line came with, 0 for none.
func (b *batch) position(line int) journal.Position {
	for _, m := range b.marks {
		if line < m.line {
			return m.pos
		}
	}
	return 0
}

func clip(text []byte, n int) string {
	if len(text) > n {
		return string(text[:n]) + "…"
	}
	return string(text)
}
