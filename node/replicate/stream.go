package replicate

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

const (
	housekeeping = time.Minute // how often bounds are looked after while nothing else happens
	wakeSpacing  = time.Second // at most one try each, however often the link comes up
)

// stream is one replication at work. Everything but mu's fields belongs to its goroutine.
type stream struct {
	env    *environment
	log    *slog.Logger
	dir    string
	spec   Spec
	opened bool

	journal journal.Log
	cursor  journal.Cursor
	rows    Rows
	target  Target
	dead    *letters
	state   durable

	live   *source // the newest end
	behind *source // the stretch of state.Backlog being sent, nil when none is
	next   *work   // live records that wait for company
	work   *work   // what is being sent
	head   journal.Position

	gate    gate
	pace    pace
	denied  bool // the last answer was Denied: probe before sending
	failing bool // the last request failed
	retry   []int64
	doubts  [origins]doubt
	blind   int       // refused lines in a row, with nothing accepted between them and no reason that we know
	kept    time.Time // last housekeeping
	saved   time.Time // last save of counts
	linkUp  time.Time
	widths  map[int]int64 // gap ID -> ns of the next window
	fillAt  time.Time     // when gaps are looked at again after the store could not be read

	wake  chan struct{}
	stop  context.CancelFunc
	done  chan struct{}
	first chan error // what came of opening the files at the start

	mu     sync.Mutex
	inbox  inbox
	cancel context.CancelFunc // ends the request under way
	view   view
}

func newStream(env *environment, spec Spec) *stream {
	s := &stream{
		env:    env,
		log:    env.log.With("replication", spec.ID.String(), "remote", spec.Remote.String()),
		dir:    filepath.Join(env.dir, spec.ID.String()),
		spec:   spec,
		pace:   newPace(spec),
		widths: map[int]int64{},
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
		first:  make(chan error, 1),
	}
	s.view.state, s.view.spec = Starting, spec
	return s
}

// start runs the stream until halt.
func (s *stream) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() {
		defer close(s.done)
		s.run(ctx)
	}()
}

// halt stops the stream and waits for its end.
func (s *stream) halt() {
	s.stop()
	<-s.done
}

func (s *stream) run(ctx context.Context) {
	defer s.close()
	err := s.open()
	if err != nil {
		s.trouble("cannot open", err)
	}
	s.publish()
	s.first <- err
	for ctx.Err() == nil {
		s.takeInbox()
		until, forData := s.step(ctx)
		s.publish()
		if ctx.Err() == nil && (forData || !until.IsZero()) {
			s.sleep(ctx, until, forData)
		}
	}
}

// step does one piece of work. It returns until when to wait before the next (zero: not at all) and whether new data ends the wait.
func (s *stream) step(ctx context.Context) (until time.Time, forData bool) {
	now := time.Now()
	if !s.opened {
		if s.gate.closed(now) {
			return s.gate.until, false
		}
		if err := s.open(); err != nil {
			return s.fail("cannot open", err), false
		}
	}
	if s.target == nil {
		if s.gate.closed(now) {
			return s.gate.until, false
		}
		if err := s.connect(); err != nil {
			return s.trouble("cannot use its remote", err), false
		}
	}
	if err := s.keepHouse(now); err != nil {
		return s.fail("cannot keep its bounds", err), false
	}
	if err := s.gather(); err != nil {
		return s.fail("cannot read", err), false
	}
	unknown := s.next == nil && s.work == nil // what waits first is not known yet: look at new data, without sending
	if s.spec.Paused {
		return now.Add(housekeeping), unknown
	}
	if s.gate.closed(now) {
		return soonest(s.gate.until, now.Add(housekeeping)), unknown
	}
	if s.denied && !s.probe(ctx) {
		return time.Time{}, false
	}
	due, err := s.choose(ctx, now)
	if err != nil {
		return s.fail("cannot read", err), false
	}
	if s.work == nil {
		return soonest(due, now.Add(housekeeping)), true
	}
	if err := s.deliver(ctx); err != nil {
		return s.trouble("cannot keep its files", err), false // the work stays: what was sent is known
	}
	return time.Time{}, false
}

// soonest returns the earlier of two times, of which the zero time is none.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// fail is trouble after which reading begins again at the durable position.
func (s *stream) fail(what string, err error) time.Time {
	if s.opened {
		err = errors.Join(err, s.forget())
	}
	return s.trouble(what, err)
}

// trouble says what keeps the stream from its own files and returns when to try again. Nothing is given up.
func (s *stream) trouble(what string, err error) time.Time {
	if errors.Is(err, context.Canceled) {
		return time.Time{}
	}
	s.gate.backoff(time.Now())
	s.gate.state = Failed
	s.setReason(what + ": " + err.Error())
	s.log.Error("replication "+what, "error", err, "next try", s.gate.until)
	return s.gate.until
}

// sleep waits for the time, for a wake-up and, where asked, for data.
func (s *stream) sleep(ctx context.Context, until time.Time, forData bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		timer = t.C
	}
	var data chan struct{}
	if forData && s.opened {
		data = make(chan struct{})
		after := s.live.at
		go func() {
			defer close(data)
			if err := s.journal.Wait(ctx, after); err != nil {
				<-ctx.Done() // a closed journal is found out by the next read
			}
		}()
		defer func() { cancel(); <-data }()
	}
	select {
	case <-ctx.Done():
	case <-timer:
	case <-s.wake:
	case <-data:
	}
}
