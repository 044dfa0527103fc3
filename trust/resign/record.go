package resign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Record is what the instances know of the passes. It says who works, and when the next pass is due.
type Record struct {
	// Holder works until Until, unless it says so again; when Until is zero it has ended.
	Holder string    `json:"holder"`
	Until  time.Time `json:"until,omitzero"`
	// Began and Ended are those of the last pass; Good is when one last ended without a failure.
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	Good  time.Time `json:"good,omitzero"`
	// Key signed when the last pass began that has ended.
	Key key.ID `json:"key,omitzero"`
	// Tries is how many passes in a row had failures, and Problem is what the last one had.
	Tries    int      `json:"tries,omitempty"`
	Problem  string   `json:"problem,omitempty"`
	Progress Progress `json:"progress"`
}

// Progress is how far a pass is.
type Progress struct {
	Total   int `json:"total"`
	Written int `json:"written"`
	Fresh   int `json:"fresh"`
	// Lapsed are images that a cluster reports and that no key that counts has signed. They are not signed again.
	Lapsed int `json:"lapsed"`
	Failed int `json:"failed"`
}

// Done is how many images are done, well or not.
func (p Progress) Done() int { return p.Written + p.Fresh + p.Lapsed + p.Failed }

// due says whether a pass is to begin now, by a process that does not work yet.
func (r Record) due(now time.Time, active key.ID, every, retry time.Duration) bool {
	if now.Before(r.Until) {
		return false
	}
	if r.Key != active || !r.Until.IsZero() {
		return true // the last pass was for another key, or was not ended
	}
	wait := every
	if r.Tries > 0 {
		wait = min(every, retry<<min(r.Tries-1, 10))
	}
	return !now.Before(r.Ended.Add(wait))
}

func (j *Job) load(ctx context.Context) (rec Record, at string, err error) {
	raw, at, err := j.State.Load(ctx)
	if err != nil {
		return rec, at, fmt.Errorf("what was signed again: %w", err)
	}
	if at == "" {
		return rec, at, nil
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		// Nothing is lost with it: everything is looked at again.
		j.Logger.Warn("the record of what was signed again cannot be read, and is made anew", "error", err)
		return Record{}, at, nil
	}
	return rec, at, nil
}

// lease is the right to work, for as long as it is said again.
type lease struct {
	job *Job

	mu  sync.Mutex
	rec Record
	at  string // the revision
}

// errLost ends a pass whose lease another process has.
var errLost = errors.New("another process has begun to sign again")

func (l *lease) record() Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rec
}

func (l *lease) save(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := json.Marshal(l.rec)
	if err != nil {
		return err
	}
	at, err := l.job.State.Save(ctx, raw, l.at)
	if err == nil {
		l.at = at
	}
	return err
}

func (l *lease) progress(p Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rec.Progress = p
}

// renew says that the process still works, until the context ends. When it cannot be said in time, or another process works, the pass ends.
func (l *lease) renew(ctx context.Context, lost context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(l.job.Lease / 3):
		}
		l.mu.Lock()
		end := l.rec.Until
		l.rec.Until = l.job.Now().Add(l.job.Lease)
		l.mu.Unlock()
		err := l.save(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			l.job.notice(l.record())
			continue
		}
		l.mu.Lock()
		l.rec.Until = end
		l.mu.Unlock()
		if now := l.job.Now(); !now.Before(end) || isConflict(err) {
			lost(fmt.Errorf("%w: %w", errLost, err))
			return
		}
	}
}
