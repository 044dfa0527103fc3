package replicate

import (
	"context"
	"slices"
	"time"
)

const (
	doubtTries = 5
	doubtAfter = time.Minute
)

// doubt counts server errors in a row for lines of one origin.
type doubt struct {
	tries int
	since time.Time
}

// poisoned deals with a server error that keeps coming for the same lines: a line may be what the server stumbles over. The lines are
// halved until it stands alone, and it is refused only when the server has taken other lines meanwhile, so that an outage never
// makes dead letters. It reports whether it has dealt with the answer.
func (s *stream) poisoned(w *work, sp span, points int, a Answer) bool {
	if a.Code < 500 {
		return false
	}
	now := time.Now()
	d := &s.doubts[w.from]
	if d.tries++; d.since.IsZero() {
		d.since = now
	}
	if d.tries < doubtTries || now.Sub(d.since) < doubtAfter {
		return false
	}
	switch {
	case points > 1:
		w.halve()
		s.holdBack(a, 0, 0)
	case w.proof:
		w.strike(letter{w.lines(sp)[0], a.Code, a.Message + " (again and again for this line, while others are taken)"})
		w.pop()
		w.proof = false
		*d = doubt{}
	case len(w.todo) > 1:
		w.looking, w.looked = true, 0
		s.holdBack(a, 0, 0)
	default:
		return false
	}
	return true
}

// lookBehind sends lines from behind the one in doubt, to learn whether the server takes anything.
func (s *stream) lookBehind(ctx context.Context, w *work) {
	i := len(w.todo) - 2 - w.looked
	if i < 0 {
		w.looking = false
		return
	}
	sp := w.todo[i]
	text, points := w.text(sp)
	if points == 0 {
		w.looked++
		return
	}
	a, took, dropped := s.send(ctx, text)
	if dropped || ctx.Err() != nil && a.Class != Accepted {
		return
	}
	s.observe(a)
	switch a.Class {
	case Accepted:
		s.pace.accepted(len(text), took)
		w.todo = slices.Delete(w.todo, i, i+1)
		w.proof, w.looking = true, false
	case Unacceptable, TooLarge:
		w.proof, w.looking = true, false // it has read them: the server works
	case Unreachable:
		if points > 1 {
			middle := sp.from + (sp.to-sp.from)/2
			w.todo[i] = span{middle, sp.to}
			w.todo = slices.Insert(w.todo, i+1, span{sp.from, middle})
		} else {
			w.looked++
		}
		s.holdBack(a, len(text), took)
	default:
		s.holdBack(a, len(text), took)
	}
	if w.proof {
		s.doubts[w.from].tries = 0 // as many tries again, now that the server is known to work
		s.gate.reset()
		s.failing = false
	}
}
