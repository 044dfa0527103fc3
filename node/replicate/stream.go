package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
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

// inbox holds what was asked of the stream since its goroutine looked.
type inbox struct {
	spec    *Spec
	linkUp  bool
	retry   []int64
	change  []func(*stream)
	dropped bool // the request under way was cancelled because the target changes
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
