package replicate

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// open reads the files of the replication. What it opened before an error is kept for the next try.
func (s *stream) open() error {
	log, err := s.env.journal(s.spec.Bucket)
	if err != nil {
		return fmt.Errorf("open journal of bucket %s: %w", s.spec.Bucket, err)
	}
	s.journal = log
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make folder of the replication: %w", err)
	}
	if s.cursor == nil {
		if s.cursor, err = log.Cursor(cursorName(s.spec.ID), journal.CursorOptions{}); err != nil {
			return fmt.Errorf("open position of the replication: %w", err)
		}
	}
	state, found, err := loadState(s.dir)
	if err != nil {
		return err
	}
	dead, damage, err := openLetters(s.dir, s.env.deadBytes)
	if err != nil {
		return err
	}
	s.state, s.dead = state, dead
	if damage != "" {
		s.state.Damage = damage
	}
	if !found {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if s.cursor.Position() < s.state.Start {
		if err := s.cursor.Advance(s.state.Start); err != nil {
			return fmt.Errorf("set position of the replication: %w", err)
		}
	}
	s.head = s.state.resume(s.cursor.Position())
	s.live = &source{log: log, at: s.head, passed: s.head}
	s.rows = s.env.rows(s.spec.Bucket)
	if s.state.Damage != "" {
		s.log.Error("replication found damage", "damage", s.state.Damage)
	}
	s.opened = true
	return nil
}

// begin writes the first state. A new replication begins at the journal's end; one whose state was lost goes on at its cursor.
func (s *stream) begin() error {
	if s.cursor.Position() == 0 && s.state.Damage == "" {
		_, s.state.Start = s.journal.Bounds()
		if s.spec.Backfill {
			now := time.Now()
			s.state.addGap(Gap{Reason: ReasonBackfill, Found: now, To: s.state.Start, Points: -1, MinTime: minTime, MaxTime: maxTime})
		}
	}
	return s.state.save(s.dir)
}

// connect makes the target of the spec.
func (s *stream) connect() error {
	target, err := s.env.newTarget(s.spec)
	if err != nil {
		return err
	}
	s.target = target
	s.gate.reset()
	return nil
}

// close ends what the stream holds. Its files stay.
func (s *stream) close() {
	var err error
	if s.opened {
		err = s.state.save(s.dir)
		err = errors.Join(err, s.forget())
	}
	if s.target != nil {
		err = errors.Join(err, s.target.Close())
	}
	if err != nil {
		s.log.Error("replication did not close cleanly", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.state = Stopped
}

// forget drops what was read and not sent; it will be read again.
func (s *stream) forget() error {
	s.work, s.next = nil, nil
	err := s.live.rewind(s.head)
	if s.behind != nil {
		err = errors.Join(err, s.behind.close())
		s.behind = nil
	}
	return err
}
