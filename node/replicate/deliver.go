package replicate

import (
	"context"
	"errors"
	"strconv"
	"time"
)

const (
	blindRun     = 16 // refused lines in a row, without a known reason, after which a pause is made
	countsSaving = time.Minute
)

// deliver sends one request of the work at hand and deals with the answer. An error is one of the replication's own files;
// what the remote does is never an error here.
func (s *stream) deliver(ctx context.Context) error {
	w := s.work
	if w.decided() == len(w.ends) {
		return s.settle(w) // only positions, no lines; or a settling that failed before
	}
	if w.looking {
		s.lookBehind(ctx, w)
		return nil
	}
	sp := w.next(s.pace.target)
	text, points := w.text(sp)
	if points == 0 {
		w.pop()
		return s.settle(w)
	}
	a, took, dropped := s.send(ctx, text)
	if dropped || ctx.Err() != nil && a.Class != Accepted {
		return nil // not the remote's doing; the lines are still to be sent
	}
	s.observe(a)
	switch a.Class {
	case Accepted:
		s.pace.accepted(len(text), took)
		s.gate.reset()
		s.failing, s.blind = false, 0
		s.doubts[w.from] = doubt{}
		w.pop()
		return s.settle(w)
	case Unacceptable:
		s.gate.reset()
		s.failing = false
		return s.refuse(w, sp, a)
	case TooLarge:
		s.pace.tooLarge(len(text))
		if points == 1 {
			w.strike(letter{w.lines(sp)[0], a.Code, a.Message})
			w.pop()
			return s.settle(w)
		}
		w.halve()
		return nil
	}
	if s.poisoned(w, sp, points, a) {
		return s.settle(w)
	}
	s.holdBack(a, len(text), took)
	s.putBack(w)
	return nil
}

// send makes one request. dropped tells that it was cut short because the configuration changed.
func (s *stream) send(ctx context.Context, text []byte) (a Answer, took time.Duration, dropped bool) {
	s.publish() // a request may take long
	limit := s.pace.deadline(len(text))
	if s.spec.BytesPerSecond > 0 {
		limit += time.Duration(float64(len(text)) / float64(s.spec.BytesPerSecond) * float64(time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.mu.Lock()
	s.cancel = cancel
	stale := s.inbox.spec != nil && !s.inbox.spec.sameTarget(s.spec)
	s.mu.Unlock()
	if stale {
		return a, 0, true
	}
	began := time.Now()
	a = s.target.Send(ctx, text)
	took = time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
	dropped = s.inbox.dropped && a.Class != Accepted
	s.inbox.dropped = false
	return a, took, dropped
}

// observe counts an answer and keeps it for the status.
func (s *stream) observe(a Answer) {
	c := &s.state.Counts
	c.Requests++
	c.BytesTried += int64(a.Bytes)
	if s.failing {
		c.Retries++
	}
	if a.Class == Accepted {
		c.BytesSent += int64(a.Bytes)
		s.state.Success = time.Now()
	}
	s.countError(a)
	s.setAnswer(a)
}

func (s *stream) countError(a Answer) {
	c := &s.state.Counts
	switch {
	case a.Class == Accepted:
	case a.Code != 0 || a.Timeout:
		if c.Errors == nil {
			c.Errors = map[string]int64{}
		}
		c.Errors[strconv.Itoa(a.Code)]++
	}
	if a.Class != Accepted && a.Code == 0 {
		c.ConnectionErrors++
	}
}

// holdBack closes the gate as the answer demands.
func (s *stream) holdBack(a Answer, size int, took time.Duration) {
	now := time.Now()
	if !s.failing {
		s.log.Warn("replication is held back", "reason", a.Message)
	}
	s.failing = true
	switch {
	case a.Class == Denied:
		s.denied = true
		s.gate.refuse(now)
	case a.Class == Busy && a.RetryAfter >= 0:
		s.gate.hold(now, a.RetryAfter)
	default:
		if a.Code == 0 && a.Bytes > 0 {
			s.pace.broken(size, float64(a.Bytes)/float64(max(a.Size, 1)), took, a.Timeout)
		}
		s.gate.backoff(now)
	}
	s.setReason(a.Message)
}

// putBack gives up work that nothing was decided of: live records wait for more company, and a window of the store is read
// again, because by then newer values may have been sent.
func (s *stream) putBack(w *work) {
	if !w.fresh() {
		return
	}
	switch w.from {
	case fromLive:
		s.next, s.work = w, nil
	case fromStore:
		s.work = nil
	}
}

// probe asks a remote that had denied access whether it would let lines in now.
func (s *stream) probe(ctx context.Context) bool {
	a := s.target.Probe(ctx)
	if ctx.Err() != nil {
		return false
	}
	s.state.Counts.Probes++
	s.setAnswer(a)
	if a.Class == Accepted {
		s.denied = false
		return true
	}
	s.countError(a)
	s.holdBack(a, 0, 0)
	return false
}

// refuse deals with an answer that refuses lines for good: those that the answer names are struck, otherwise the lines are halved until
// the one is found.
func (s *stream) refuse(w *work, sp span, a Answer) error {
	lines := w.lines(sp)
	texts := make([][]byte, len(lines))
	for i, line := range lines {
		texts[i] = w.line(line)
	}
	v := judge(a, texts)
	for _, r := range v.refused {
		w.strike(letter{lines[r.index], a.Code, r.reason})
	}
	switch {
	case v.stored || len(v.refused) == len(lines):
		s.blind = 0
		w.pop()
	case len(v.refused) > 0:
		s.blind = 0 // the same span goes again, without the lines that were named
		return nil
	case len(lines) == 1:
		w.strike(letter{lines[0], a.Code, a.Message})
		w.pop()
		if s.blind++; s.blind%blindRun == 0 {
			s.failing = true
			s.gate.backoff(time.Now())
			s.setReason("the remote refuses every line: " + a.Message)
		}
	default:
		w.halve()
		return nil
	}
	return s.settle(w)
}

var errNotListed = errors.New("not listed")
