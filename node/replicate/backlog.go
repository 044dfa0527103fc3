package replicate

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// stale is how old a record at the live end must be, with more than a request waiting, to count as backlog (NewestFirst).
const stale = 5 * time.Second

// split turns a backlog at the live end into a stretch behind it, so that what arrives now goes first.
func (s *stream) split(now time.Time) error {
	if s.next == nil || !s.full() || now.Sub(s.next.first) < stale {
		return nil
	}
	since := s.next.first
	if n := len(s.state.Backlog); n >= keptBacklogs && s.state.Backlog[n-1].To != s.head {
		return nil
	}
	_, last := s.journal.Bounds()
	if last <= s.head {
		return nil
	}
	state := s.state
	state.Backlog = slices.Clone(state.Backlog)
	if n := len(state.Backlog); n > 0 && state.Backlog[n-1].To == s.head {
		state.Backlog[n-1].To = last
	} else {
		state.Backlog = append(state.Backlog, Stretch{s.head + 1, last, since})
	}
	state.Head = last
	if err := state.save(s.dir); err != nil {
		return err
	}
	s.state, s.head, s.next = state, last, nil
	if s.behind != nil && s.behind.to != state.Backlog[len(state.Backlog)-1].To {
		err := s.behind.close()
		s.behind = nil
		if err != nil {
			return err
		}
	}
	return s.live.rewind(last)
}

// takeBehind takes work from a stretch of the backlog; nil when there is none.
func (s *stream) takeBehind(i int) (*work, error) {
	for i >= 0 && i < len(s.state.Backlog) {
		stretch := s.state.Backlog[i]
		if s.behind == nil || s.behind.to != stretch.To {
			if s.behind != nil {
				if err := s.behind.close(); err != nil {
					return nil, err
				}
			}
			s.behind = &source{log: s.journal, at: stretch.From - 1, to: stretch.To}
		}
		w, err := s.take(s.behind, nil, fromBehind)
		if w != nil {
			s.state.Backlog[i].Since = w.first
			return w, err
		}
		if err != nil {
			return nil, err
		}
		if i < len(s.state.Backlog) && s.state.Backlog[i].To == stretch.To {
			// The journal has nothing more of it.
			if err := s.advance(fromBehind, stretch.To); err != nil {
				return nil, err
			}
		}
		i = min(i, len(s.state.Backlog)-1)
	}
	return nil, nil
}

// advance makes a position durable: everything up to pos is done, for the live end or for a stretch of the backlog.
func (s *stream) advance(from origin, pos journal.Position) error {
	switch from {
	case fromLive:
		s.head = pos
	case fromBehind:
		s.shrink(pos)
	}
	// The cursor goes first: what the state file still says of positions before it is ignored at open.
	if done := s.oldest(); done > s.cursor.Position() {
		if err := s.cursor.Advance(done); err != nil {
			return fmt.Errorf("write position of the replication: %w", err)
		}
	}
	if len(s.state.Backlog) == 0 && s.state.Head == 0 {
		return nil
	}
	s.state.Head = s.head
	if len(s.state.Backlog) == 0 {
		s.state.Head = 0
	}
	return s.state.save(s.dir)
}

// oldest returns the position up to which everything is done.
func (s *stream) oldest() journal.Position {
	if len(s.state.Backlog) > 0 {
		return s.state.Backlog[0].From - 1
	}
	return s.head
}

// shrink takes positions up to pos off the stretch that holds them.
func (s *stream) shrink(pos journal.Position) {
	for i := range s.state.Backlog {
		stretch := &s.state.Backlog[i]
		if pos < stretch.From || pos > stretch.To {
			continue
		}
		stretch.From = pos + 1
		if stretch.From > stretch.To {
			s.state.Backlog = slices.Delete(s.state.Backlog, i, i+1)
		}
		return
	}
}
