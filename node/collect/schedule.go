package collect

import (
	"math/rand/v2"
	"time"
)

// schedule says when an input gathers. Ticks lie an interval apart; jitter moves a single tick and never the ones after it.
type schedule struct {
	interval, jitter, offset time.Duration
	// round puts ticks at multiples of the interval by the wall clock, plus the offset.
	round bool

	tick time.Time // the tick that next leads to, without jitter
}

// first plans the first tick and returns how long it is until then: at once, or at the next multiple of the interval.
func (s *schedule) first(now time.Time) time.Duration {
	now = now.Round(0) // wall clock only: a step of the clock is to be noticed
	s.tick = now.Add(s.offset)
	if s.round {
		// A hundredth of an interval ahead, so that a clock that is set a little does not make a tick right after a tick.
		s.tick = ceil(now.Add(s.interval/100), s.interval).Add(s.offset)
	}
	return s.until(now)
}

// next plans the tick after the one that just came. Ticks that were missed, because the machine slept or its clock was set, are left
// out.
func (s *schedule) next(now time.Time) time.Duration {
	now = now.Round(0)
	s.tick = s.tick.Add(s.interval)
	if ahead := s.tick.Sub(now); ahead < 0 || ahead > s.interval+s.interval/10 {
		if s.round {
			return s.first(now)
		}
		s.tick = now.Add(s.interval)
	}
	return s.until(now)
}

func (s *schedule) until(now time.Time) time.Duration {
	wait := s.tick.Sub(now)
	if s.jitter > 0 {
		wait += rand.N(s.jitter)
	}
	return max(wait, 0)
}

// ceil returns the first multiple of d at or after t.
func ceil(t time.Time, d time.Duration) time.Time {
	if floor := t.Truncate(d); floor.Before(t) {
		return floor.Add(d)
	}
	return t
}
