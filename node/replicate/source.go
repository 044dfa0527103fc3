package replicate

import (
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// source reads a journal with one record of look-ahead, up to a bound.
type source struct {
	log    journal.Log
	reader journal.Reader
	at     journal.Position // everything up to here was taken
	to     journal.Position // the last position to read, 0 for no end

	rec    journal.Record
	gap    *journal.Gap
	ahead  bool             // rec or gap waits to be taken
	passed journal.Position // the last position that was counted as read
}

// peek returns the next record or gap without taking it. At the end it returns io.EOF. The record's body is valid until take.
func (s *source) peek() (*journal.Record, *journal.Gap, error) {
	if s.ahead {
		return s.result()
	}
	if s.to != 0 && s.at >= s.to {
		return nil, nil, io.EOF
	}
	if s.reader == nil {
		r, err := s.log.ReadFrom(s.at + 1)
		if err != nil {
			return nil, nil, fmt.Errorf("read journal from %d: %w", s.at+1, err)
		}
		s.reader = r
	}
	rec, err := s.reader.Next()
	var gap *journal.Gap
	switch {
	case err == nil:
		s.rec, s.gap, s.ahead = rec, nil, true
	case errors.As(err, &gap):
		s.gap, s.ahead = gap, true
	case errors.Is(err, io.EOF):
		return nil, nil, io.EOF
	default:
		return nil, nil, errors.Join(fmt.Errorf("read journal after %d: %w", s.at, err), s.close())
	}
	return s.result()
}

// result returns what is ahead, unless it lies behind the bound.
func (s *source) result() (*journal.Record, *journal.Gap, error) {
	if s.gap != nil {
		if s.to != 0 && s.gap.From > s.to {
			return nil, nil, io.EOF
		}
		return nil, s.gap, nil
	}
	if s.to != 0 && s.rec.Position > s.to {
		return nil, nil, io.EOF
	}
	return &s.rec, nil, nil
}

// take moves past what peek returned.
func (s *source) take() {
	if s.gap != nil {
		s.at = s.gap.To
	} else {
		s.at = s.rec.Position
	}
	s.gap, s.ahead = nil, false
}

// rewind makes the source read again from behind a position.
func (s *source) rewind(after journal.Position) error {
	err := s.close()
	s.at = after
	return err
}

func (s *source) close() error {
	s.ahead, s.gap = false, nil
	if s.reader == nil {
		return nil
	}
	err := s.reader.Close()
	s.reader = nil
	return err
}
