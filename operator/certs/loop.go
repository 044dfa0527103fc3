package certs

import (
	"context"
	"sync"
	"time"
)

const (
	minGap     = time.Second // between two Ensures, however often the objects change
	maxGap     = time.Hour   // so that a clock that jumped is noticed
	maxBackoff = time.Minute
	runTimeout = time.Minute // of one Ensure
)

// Trigger has Start look at once. It never waits.
func (r *Rotator) Trigger() {
	select {
	case r.trigger <- struct{}{}:
	default:
	}
}

// NeedLeaderElection says that only the leader rotates.
func (r *Rotator) NeedLeaderElection() bool { return true }

// Start rotates until ctx ends: when it is time, when either object was changed, and after an error with growing pauses. It returns an
// error only if the fields are wrong.
func (r *Rotator) Start(ctx context.Context) error {
	if err := r.Validate(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() {
		if err := r.watch(ctx); err != nil {
			r.Logger.Error("certificates are looked after by time only", "error", err)
		}
	})
	pause := minGap
	for {
		run, cancel := context.WithTimeout(ctx, runTimeout)
		next, err := r.Ensure(run)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			next, pause = pause, min(2*pause, maxBackoff)
			r.Logger.Error("certificates", "error", err, "retry_in", next)
		} else {
			pause = minGap
		}
		if !r.sleep(ctx, min(next, maxGap)) {
			return nil
		}
	}
}

// sleep returns after d or, but not before minGap, on a trigger; false when ctx ended.
func (r *Rotator) sleep(ctx context.Context, d time.Duration) bool {
	for _, wait := range []struct {
		time.Duration
		trigger chan struct{}
	}{{min(d, minGap), nil}, {d - minGap, r.trigger}} {
		timer := time.NewTimer(wait.Duration)
		select {
		case <-timer.C:
		case <-wait.trigger:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		timer.Stop()
	}
	return true
}
