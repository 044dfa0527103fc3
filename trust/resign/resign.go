// Package resign has what is to go on running signed again, before the signatures that it has stop counting: images of others that the
// reviewed lists name, images of our own that merged texts name, and images of our own that clusters report.
//
// It promises that a pass begins as soon as another key signs, and else once in every interval; that of several processes one works at a
// time, and that another goes on when that one is killed; that what an image's publisher serves is never asked for anything; and that an
// image that only a cluster reports is signed only while it carries a signature that counts: whoever can run an image somewhere must not be
// able to have it signed by that. A pass, the images of it, and what is asked at once are bounded.
//
// What the clusters run is looked up in the same pass, so that there is a warning before a deployed image stops being admitted.
package resign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/inventory"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// MaxImages bounds a pass.
const MaxImages = 20000

// Signer signs an image in the name of the service. endpoint.Sign is one.
type Signer interface {
	Renew(ctx context.Context, who audit.Who, reference string, thirdParty bool, fresh time.Duration) endpoint.Result
}

// Place is where images of our own are known to run.
type Place struct {
	Name string
	// Reviewed says that somebody has looked at what is there: it is signed outright. Else an image is signed only while it is.
	Reviewed bool
	Read     func(context.Context) (*inventory.Deployed, error)
}

// Job signs again. Its fields are set before Run.
type Job struct {
	// Instance names this process among those that share State.
	Instance string
	// Every is the longest time between two passes.
	Every time.Duration
	// Lists are files and folders with lists of images of others.
	Lists []string
	// Ours says whether a repository is one of ours. Others are not contacted.
	Ours func(repository string) bool
	// Places are where images of our own run.
	Places []Place
	// Prepare, when it is set, is called at the begin of each pass.
	Prepare func(context.Context) error

	Signer Signer
	Keys   endpoint.Records
	Reader *signature.Reader
	// Sources are the repositories with signatures of images of others; the first is written to.
	Sources []name.Repository
	// State is shared by all instances.
	State  state.Store
	Logger *slog.Logger

	// Workers bounds what is signed at once; Look is how often it is looked whether something is due; Lease is how long a process
	// that works is not heard of before another goes on; Retry is the wait after the first pass with failures, which doubles with each;
	// Longest bounds a pass.
	Workers                     int
	Look, Lease, Retry, Longest time.Duration
	Now                         func() time.Time

	known map[string]*inventory.Deployed // what each place had when it was last read

	looked bool // whether this process has looked whether something is due

	mu   sync.Mutex
	seen Record
	view View
}

// New returns a job with the defaults.
func New() *Job {
	return &Job{Every: time.Hour, Ours: func(string) bool { return false }, Workers: 8, Look: 2 * time.Second, Lease: 30 * time.Second, Retry: 10 * time.Second, Longest: 2 * time.Hour,
		Now: time.Now, known: map[string]*inventory.Deployed{}}
}

// Run works until the context ends.
func (j *Job) Run(ctx context.Context) {
	told := ""
	for {
		err := j.Step(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			told = ""
		} else if text := err.Error(); text != told {
			told = text
			j.Logger.Error("images could not be signed again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(j.Look):
		}
	}
}

// Step begins a pass when one is due and no other process works, and returns when it has ended. Its error says what was not signed.
func (j *Job) Step(ctx context.Context) error {
	keys, err := j.Keys.Current(ctx)
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	active := keys.Active()
	if active == nil {
		return nil // the first key is not known to clusters yet
	}
	rec, at, err := j.load(ctx)
	if err != nil {
		return err
	}
	j.notice(rec)
	// A process that starts knows nothing of what clusters run, and would warn of nothing until the next pass.
	first := !j.looked && len(j.Places) > 0
	j.looked = true
	if every := j.Every; !rec.due(j.Now(), active.ID, every, j.Retry) && !(first && rec.due(j.Now(), active.ID, min(every, j.Retry), j.Retry)) {
		return nil
	}
	return j.hold(ctx, rec, at, active.ID)
}

// hold does a pass while this process holds the lease.
func (j *Job) hold(ctx context.Context, rec Record, at string, active key.ID) error {
	began := j.Now()
	rec.Holder, rec.Until, rec.Began, rec.Progress = j.Instance, began.Add(j.Lease), began, Progress{}
	l := &lease{job: j, rec: rec, at: at}
	if err := l.save(ctx); isConflict(err) {
		return nil // another process works
	} else if err != nil {
		return err
	}
	j.notice(rec)
	whole, cancel := context.WithTimeout(ctx, j.Longest)
	defer cancel()
	renewed := make(chan struct{})
	held, lost := context.WithCancelCause(whole)
	go func() { defer close(renewed); l.renew(held, lost) }()
	p := &pass{Job: j, lease: l}
	err := p.run(held)
	if cause := context.Cause(held); cause != nil {
		err = errors.Join(err, cause)
	}
	stopped := ctx.Err() != nil
	lost(nil)
	<-renewed
	if errors.Is(err, errLost) {
		return err // who holds the lease now tells how it ended
	}
	if stopped {
		active = rec.Key // it was not ended: whoever comes next begins again
	}
	return errors.Join(err, j.finish(l, p, active, err))
}

// finish saves how a pass ended, also when the process is about to end.
func (j *Job) finish(l *lease, p *pass, active key.ID, failed error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	now := j.Now()
	l.mu.Lock()
	l.rec.Until, l.rec.Ended, l.rec.Key, l.rec.Problem = time.Time{}, now, active, ""
	if failed == nil {
		l.rec.Good, l.rec.Tries = now, 0
	} else {
		l.rec.Tries++
		l.rec.Problem = cut(failed.Error())
	}
	l.mu.Unlock()
	err := l.save(ctx)
	j.notice(l.record())
	if err != nil {
		return fmt.Errorf("saving how signing again ended: %w", err)
	}
	if failed == nil {
		j.Logger.Info("signed again", "key", active, "images", p.done.Total, "written", p.done.Written, "took", now.Sub(l.rec.Began).Round(time.Millisecond))
	}
	return nil
}

// cut bounds a text that is saved.
func cut(text string) string {
	const most = 2000 // bytes
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

func (j *Job) notice(rec Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen = rec
	if rec.Holder != j.Instance && rec.Until.IsZero() {
		j.view = View{} // another process has looked since
	}
}

// usable are the keys of a record that count now.
func usable(rec *rotation.Record, now time.Time) (all []inventory.Key, err error) {
	for _, e := range rec.Keys {
		if !now.Before(e.NotAfter) {
			continue
		}
		public, bad := e.Public()
		if bad != nil {
			err = errors.Join(err, bad)
			continue
		}
		all = append(all, inventory.Key{Public: public, NotAfter: e.NotAfter})
	}
	return all, err
}
