package replicate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// DeadLetters returns the dead letters of a replication, oldest first.
func (s *Set) DeadLetters(replication id.ID) ([]DeadLetter, error) {
	st, err := s.find(replication)
	if err != nil {
		return nil, err
	}
	dead := st.letters()
	if dead == nil {
		return nil, fmt.Errorf("replication %s is not open: %s", replication, st.status(time.Now()).Reason)
	}
	return dead.list()
}

// RetryDeadLetters sends dead letters again, all when no IDs are given. Those that are accepted are taken off the list. A line is
// sent as it was: it overwrites what the remote has got for the same series and time since.
func (s *Set) RetryDeadLetters(replication id.ID, ids ...int64) error {
	st, err := s.find(replication)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		rows, err := s.DeadLetters(replication)
		if err != nil {
			return err
		}
		for _, row := range rows {
			ids = append(ids, row.ID)
		}
	}
	st.post(func(in *inbox) { in.retry = append(in.retry, ids...) })
	return nil
}

// PurgeDeadLetters deletes dead letters, all when no IDs are given, and returns how many.
func (s *Set) PurgeDeadLetters(replication id.ID, ids ...int64) (int, error) {
	st, err := s.find(replication)
	if err != nil {
		return 0, err
	}
	dead := st.letters()
	if dead == nil {
		return 0, fmt.Errorf("replication %s is not open: %s", replication, st.status(time.Now()).Reason)
	}
	n, err := dead.remove(func(row DeadLetter) bool { return len(ids) == 0 || slices.Contains(ids, row.ID) })
	st.post(func(in *inbox) {
		in.change = append(in.change, func(st *stream) { st.drop(DroppedPurged, int64(n), 0) })
	})
	return n, err
}

// Gaps returns the gaps and backfills of a replication, open and closed, oldest first.
func (s *Set) Gaps(replication id.ID) ([]Gap, error) {
	st, err := s.find(replication)
	if err != nil {
		return nil, err
	}
	return st.gaps(), nil
}

// Fill has a gap filled, or filled again, also where the replication's NoFill is set. It returns when that is noted durably.
func (s *Set) Fill(ctx context.Context, replication id.ID, gap int) error {
	return s.change(ctx, replication, func(st *stream) error {
		g := st.state.gap(gap)
		if g == nil {
			return fmt.Errorf("gap %d: %w", gap, errNotListed)
		}
		if g.State != GapOpen {
			g.State, g.NextMin, g.NextMax, g.Sent = GapOpen, g.MinTime, g.MaxTime, 0
		}
		g.Asked = true
		return st.state.save(st.dir)
	})
}

// Resync sends what the store holds with timestamps from min to max, in ns since the epoch, both inclusive. It returns when that is
// noted durably.
func (s *Set) Resync(ctx context.Context, replication id.ID, min, max int64) error {
	if min > max {
		return fmt.Errorf("resync: the start %d lies after the end %d", min, max)
	}
	return s.change(ctx, replication, func(st *stream) error {
		if st.rows == nil {
			return errors.New("resync: this bucket has no store to read from")
		}
		_, last := st.journal.Bounds()
		st.state.addGap(Gap{Reason: ReasonResync, Found: time.Now(), To: last, Points: -1, MinTime: min, MaxTime: max})
		return st.state.save(st.dir)
	})
}

// change runs f in a stream's goroutine and returns its error.
func (s *Set) change(ctx context.Context, replication id.ID, f func(*stream) error) error {
	st, err := s.find(replication)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	st.post(func(in *inbox) {
		in.change = append(in.change, func(st *stream) {
			if !st.opened {
				result <- errors.New("replication is not open")
				return
			}
			result <- f(st)
		})
	})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-st.done:
		return ErrClosed
	}
}

// Validate sends an empty write, which proves address, token, organisation, bucket and the right to write, and nothing else. The
// error's text is the cause.
func (s *Set) Validate(ctx context.Context, spec Spec) error {
	if spec.remoteBucket() == "" {
		return errors.New("one of remote_bucket_id, remote_bucket_name should be provided")
	}
	if err := spec.Remote.Check(); err != nil {
		return err
	}
	t, err := s.env.newTarget(spec.withDefaults())
	if err != nil {
		return err
	}
	a := t.Probe(ctx)
	if err := t.Close(); err != nil {
		return err
	}
	if a.Class != Accepted {
		return errors.New(a.Message)
	}
	return nil
}

// Leftovers returns the IDs of folders in the set's folder that no replication of the set uses. They are never deleted by
// themselves: a replication that was forgotten still has its dead letters there.
func (s *Set) Leftovers() ([]id.ID, error) {
	entries, err := os.ReadDir(s.env.dir)
	if err != nil {
		return nil, fmt.Errorf("list folders of the replications: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []id.ID
	for _, e := range entries {
		if n, err := id.Parse(filepath.Base(e.Name())); err == nil && e.IsDir() && s.streams[n] == nil {
			left = append(left, n)
		}
	}
	return left, nil
}
