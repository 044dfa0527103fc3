package replicate

import (
	"errors"
	"fmt"
	"time"
)

// inbox holds what was asked of the stream since its goroutine looked.
type inbox struct {
	spec    *Spec
	linkUp  bool
	retry   []int64
	change  []func(*stream)
	dropped bool // the request under way was cancelled because the target changes
}

// post hands something to the stream's goroutine and wakes it.
func (s *stream) post(f func(*inbox)) {
	s.mu.Lock()
	f(&s.inbox)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// update gives the stream another configuration. A request to a target that is no longer meant is cut short.
func (s *stream) update(spec Spec) error {
	s.mu.Lock()
	old := s.view.spec
	s.mu.Unlock()
	if spec.Bucket != old.Bucket {
		return fmt.Errorf("the local bucket of replication %s cannot change: create another replication", spec.ID)
	}
	s.post(func(in *inbox) {
		s.view.spec = spec
		in.spec = &spec
		if s.cancel != nil && !spec.sameTarget(old) {
			in.dropped = true
			s.cancel()
		}
	})
	return nil
}

// takeInbox does what was asked for.
func (s *stream) takeInbox() {
	s.mu.Lock()
	in := s.inbox
	s.inbox = inbox{}
	s.mu.Unlock()
	if in.spec != nil {
		s.configure(*in.spec)
	}
	now := time.Now()
	if in.linkUp && now.Sub(s.linkUp) >= wakeSpacing {
		s.linkUp = now
		if s.gate.state != Gated {
			s.gate.open()
		}
	}
	s.retry = append(s.retry, in.retry...)
	for _, change := range in.change {
		change(s)
	}
}

// configure takes over a spec. Every change of it is a reason to try at once, but a Retry-After of an unchanged remote stands.
func (s *stream) configure(spec Spec) {
	old := s.spec
	s.spec = spec
	s.pace.configure(spec)
	if spec.sameTarget(old) {
		if s.gate.state != Gated {
			s.gate.open()
		}
		return
	}
	s.log = s.env.log.With("replication", spec.ID.String(), "remote", spec.Remote.String())
	s.gate.reset()
	s.pace = newPace(spec)
	s.denied, s.failing = false, false
	var err error
	if s.opened {
		// What the old target accepted of the batch under way says nothing about the new one.
		err = s.forget()
	}
	if s.target != nil {
		err = errors.Join(err, s.target.Close())
		s.target = nil
	}
	if err != nil {
		s.log.Error("replication could not leave its old remote", "error", err)
	}
}
