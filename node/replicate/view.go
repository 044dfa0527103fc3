package replicate

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// view is what the goroutine of a stream lets others see. It is guarded by the stream's mu.
type view struct {
	state     State
	reason    string
	attempted bool
	code      int
	message   string
	next      time.Time
	first     time.Time // when the oldest unsent record was accepted
	position  journal.Position
	head      journal.Position
	backlog   []Stretch
	counts    Counts
	success   time.Time
	refusal   *Refusal
	gaps      []Gap
	dead      int
	journal   journal.Log
	letters   *letters
	spec      Spec
	damage    string
	drain     []sample
}

// sample is how much was left to send at a moment.
type sample struct {
	at   time.Time
	left int64
}

const (
	samplesKept   = 12
	sampleSpacing = 5 * time.Second // asking the journal for its size costs some reading
)

func (s *stream) setReason(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.reason = text
}

func (s *stream) setAnswer(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.attempted, s.view.code, s.view.message = true, a.Code, a.Message
}

// publish brings the view up to date.
func (s *stream) publish() {
	state, next := s.currentState(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &s.view
	v.state, v.next = state, next
	if state == Idle || state == Sending || state == Paused {
		v.reason = ""
	}
	if !s.opened {
		return
	}
	v.letters = s.dead
	v.journal, v.head, v.position = s.journal, s.head, s.cursor.Position()
	v.backlog = append(v.backlog[:0], s.state.Backlog...)
	v.counts = s.state.Counts.clone()
	v.success, v.refusal, v.damage = s.state.Success, s.state.Refusal, s.state.Damage
	v.gaps = append([]Gap(nil), s.state.Gaps...)
	v.dead = s.dead.len()
	_, last := s.journal.Bounds()
	// Between two batches the next record is not read yet; the last that is known stands for it.
	if first := s.firstUnsent(); !first.IsZero() || s.live.at >= last {
		v.first = first
	}
	v.sample(time.Now())
}

func (s *stream) currentState(now time.Time) (State, time.Time) {
	switch {
	case !s.opened && s.gate.closed(now):
		return Failed, s.gate.until
	case !s.opened:
		return Starting, time.Time{}
	case s.spec.Paused:
		return Paused, time.Time{}
	case s.gate.closed(now):
		return s.gate.state, s.gate.until
	case s.work != nil || s.next != nil && len(s.next.ends) > 0:
		return Sending, time.Time{}
	}
	return Idle, time.Time{}
}

// firstUnsent returns when the oldest record that was read and not sent was accepted.
func (s *stream) firstUnsent() time.Time {
	var first time.Time
	if len(s.state.Backlog) > 0 {
		first = s.state.Backlog[0].Since
	}
	for _, w := range []*work{s.work, s.next} {
		if w != nil && !w.first.IsZero() && len(w.ends) > 0 {
			first = soonest(first, w.first)
		}
	}
	return first
}

// status returns what is known now. It may be called from any goroutine. A pause that is asked for, or ended, is told at once, before the
// stream's goroutine has looked.
func (s *stream) status(now time.Time) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &s.view
	st := Status{
		ID: v.spec.ID, Name: v.spec.Name, State: v.state, Reason: v.reason,
		Attempted: v.attempted, LatestResponseCode: v.code, LatestErrorMessage: v.message,
		Position: v.position, OldestUnsent: v.first, Counts: v.counts.clone(), NextTry: v.next, LastSuccess: v.success,
		LastRefusal: v.refusal, DeadLetters: v.dead, Damage: v.damage, ETA: -1, QueueLimit: v.spec.MaxQueueBytes,
	}
	for _, g := range v.gaps {
		if g.State == GapOpen {
			st.OpenGaps++
			st.GapPoints += max(g.Points, 0)
		}
	}
	if v.journal == nil {
		return st
	}
	_, st.LastPosition = v.journal.Bounds()
	st.QueueBytes = v.journal.Size(v.position)
	if !v.first.IsZero() {
		st.Lag = max(now.Sub(v.first), 0)
	}
	st.RemainingBytes = v.remaining()
	st.ETA = v.eta(now, st.RemainingBytes)
	if v.spec.Paused && v.state != Failed && v.state != Stopped {
		st.State, st.Reason, st.NextTry = Paused, "", time.Time{}
	} else if v.state == Paused {
		st.State = Idle
		if st.RemainingBytes > 0 {
			st.State = Sending
		}
	}
	return st
}

// remaining returns the bytes of the journal that are still to be sent.
func (v *view) remaining() int64 {
	left := v.journal.Size(v.head)
	for _, b := range v.backlog {
		left += v.journal.Size(b.From-1) - v.journal.Size(b.To)
	}
	return left
}

// sample notes now and then how much is left, while there is something.
func (v *view) sample(now time.Time) {
	if v.first.IsZero() {
		v.drain = v.drain[:0]
		return
	}
	if n := len(v.drain); n > 0 && now.Sub(v.drain[n-1].at) < sampleSpacing {
		return
	}
	v.drain = append(v.drain, sample{now, v.remaining()})
	if len(v.drain) > samplesKept {
		v.drain = slices.Delete(v.drain, 0, 1)
	}
}

// eta extrapolates how fast the backlog shrank since it was at its largest, within the samples.
func (v *view) eta(now time.Time, left int64) time.Duration {
	if left == 0 {
		return 0
	}
	if len(v.drain) == 0 {
		return -1
	}
	past := slices.MaxFunc(v.drain, func(a, b sample) int { return cmp.Compare(a.left, b.left) })
	shrunk, took := past.left-left, now.Sub(past.at)
	if shrunk <= 0 || took <= 0 {
		return -1
	}
	return time.Duration(float64(left) / float64(shrunk) * float64(took))
}

// letters returns the dead letter file, nil before the stream is open.
func (s *stream) letters() *letters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view.letters
}

// gaps returns a copy of the list of gaps.
func (s *stream) gaps() []Gap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.view.gaps)
}
