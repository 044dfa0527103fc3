package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// beside is how many steps that may run beside each other do.
	beside = 8
	// A look follows a look after firstPause at first and lastPause at last; the same is done again no sooner than again.
	firstPause, lastPause, again = 50 * time.Millisecond, time.Second, 5 * time.Second
)

// Event is what happens to a step.
type Event struct {
	Phase *Phase
	Step  *Step
	What  string // start, done, held, skip, would, wait or asks
	Note  string
}

// Run is one application of a plan. Its exported fields are set before Apply or Verify.
type Run struct {
	Plan      *Plan
	Manifests *Manifests
	Cluster   *Cluster
	// Dir is where the export goes; Journal the file of steps.
	Dir, Journal string
	// Confirm is asked before each step that changes something, if it is set; false stops the run.
	Confirm func(*Phase, *Step, string) (bool, error)
	// Progress hears of everything, from one goroutine at a time.
	Progress func(Event)
	// Environ is the environment of checks.
	Environ []string

	id         string
	rebinds    map[string]*Step // by the claims' namespace/name
	journal    *journal
	unchecked  bool // checks count as passed: they did before
	quietSince time.Time
	lastPulse  string
	mu         *sync.Mutex // of Progress
}

// AskError tells that a person has to decide or look before it goes on. Nothing that depends on it was done.
type AskError struct {
	Questions []Question // without an answer
	Step      string
	Why       string
}

func (e *AskError) Error() string {
	var b strings.Builder
	if e.Why != "" {
		fmt.Fprintf(&b, "step %s needs a person: %s", e.Step, e.Why)
	}
	for _, q := range e.Questions {
		fmt.Fprintf(&b, "\n%s: %s\n", q.ID, q.Ask)
		for _, f := range q.Facts {
			fmt.Fprintf(&b, "    %s\n", f)
		}
		for _, c := range q.Choices {
			fmt.Fprintf(&b, "  answer: %-20s %s\n", c.Answer, c.Means)
		}
	}
	return strings.TrimLeft(b.String(), "\n")
}

// ErrStopped tells that whoever was asked did not want to go on.
var ErrStopped = errors.New("stopped before the next step; run it again to go on")

// ErrOtherCluster tells that a plan is not for this cluster.
var ErrOtherCluster = errors.New("the plan is for another cluster")

func (r *Run) now() time.Time { return time.Now() }

// prepare checks that plan, manifests and cluster belong together.
func (r *Run) prepare() error {
	if r.Cluster.UID != r.Plan.Cluster {
		return fmt.Errorf("%w: its kube-system has the UID %s, and this one's has %s", ErrOtherCluster, r.Plan.Cluster, r.Cluster.UID)
	}
	if r.Manifests.Digest != r.Plan.Manifests.Digest {
		return fmt.Errorf("the manifests in %s are not those that the plan was made from (%s): make a new plan, or give the same", r.Manifests.Source, r.Plan.Manifests.Source)
	}
	var err error
	r.id, err = r.Plan.ID()
	r.rebinds = map[string]*Step{}
	r.Plan.Steps(func(_ *Phase, s *Step) bool {
		if s.Action == Rebind {
			r.rebinds[s.Claim.key()] = s
		}
		return true
	})
	r.mu = &sync.Mutex{}
	if r.Progress == nil {
		r.Progress = func(Event) {}
	}
	return err
}

func (r *Run) keys() []string { return slices.Sorted(maps.Keys(r.rebinds)) }

// moot tells whether the answer of a step's question leaves it nothing to do.
func (r *Run) moot(s *Step) bool {
	if s.Question == "" || len(s.When) == 0 {
		return false
	}
	q := r.Plan.Question(s.Question)
	return q.Answer != "" && !slices.Contains(s.When, q.Answer)
}

// Apply works the plan off, from where the journal and the cluster say it is. It returns an *AskError when a person is needed.
func (r *Run) Apply(ctx context.Context) (err error) {
	if err := r.prepare(); err != nil {
		return err
	}
	if r.journal, err = openJournal(r.Journal, r.id); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.journal.close()) }()
	for i := range r.Plan.Phases {
		p := &r.Plan.Phases[i]
		if open := r.open(phaseName(p.Number)); len(open) > 0 {
			return &AskError{Questions: open}
		}
		if err := r.phase(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// open are the questions that must be answered before a phase or a step.
func (r *Run) open(before string) (open []Question) {
	for _, q := range r.Plan.Open() {
		if q.Before == before {
			open = append(open, q)
		}
	}
	return open
}

// phase does the steps of one, those beside each other that may be.
func (r *Run) phase(ctx context.Context, p *Phase) error {
	for i := 0; i < len(p.Steps); {
		end := i + 1
		for p.Steps[i].Parallel != "" && r.Confirm == nil && end < len(p.Steps) && p.Steps[end].Parallel == p.Steps[i].Parallel {
			end++
		}
		if err := r.together(ctx, p, p.Steps[i:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// together does steps beside each other. The first error ends those that have not begun.
func (r *Run) together(ctx context.Context, p *Phase, steps []Step) error {
	if len(steps) == 1 {
		return r.step(ctx, p, &steps[0])
	}
	queue := make(chan *Step)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range min(beside, len(steps)) {
		workers.Go(func() {
			for s := range queue {
				if err := r.step(ctx, p, s); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range steps {
		select {
		case queue <- &steps[i]:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

func (r *Run) tell(p *Phase, s *Step, what, note string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Progress(Event{p, s, what, note})
}

// step does one, or finds that it is done.
func (r *Run) step(ctx context.Context, p *Phase, s *Step) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if s.Question != "" && r.Plan.Question(s.Question).Answer == "" {
		return &AskError{Questions: []Question{*r.Plan.Question(s.Question)}, Step: s.ID}
	}
	if r.moot(s) {
		r.tell(p, s, "skip", "the answer to "+s.Question+" leaves nothing to do")
		return r.journal.write(Entry{Event: "skip", Step: s.ID})
	}
	if undone, _ := r.journal.was(s.Until); undone && s.Until != "" {
		return nil
	}
	_, was := r.journal.was(s.ID)
	if was && s.once() {
		return nil
	}
	return r.work(ctx, p, s, was)
}

// once tells whether a step that was done has nothing more to hold.
func (s *Step) once() bool {
	return s.Action == Quiet || s.Action == Confirm || s.Action == Export || s.Action == Assess
}

// attempt is a step under way.
type attempt struct {
	*Run
	phase *Phase
	step  *Step
	begun bool
	last  string    // what was done last
	at    time.Time // and when
	pause time.Duration
}

// work looks and acts until the postcondition holds.
func (r *Run) work(ctx context.Context, p *Phase, s *Step, was bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout(), fmt.Errorf("step %s has taken longer than %s", s.ID, s.Timeout))
	defer cancel()
	a := &attempt{Run: r, phase: p, step: s, pause: firstPause}
	if was { // its check passed then, and later steps may have changed what it asks
		c := *r
		c.unchecked = true
		a.Run = &c
	}
	for {
		o, err := a.look(ctx, s)
		if err == nil && o.state == done {
			return a.finish(was)
		}
		if err == nil && o.state == asks {
			return errors.Join(&AskError{Step: s.ID, Why: o.why}, a.journal.write(Entry{Event: "stop", Step: s.ID, Note: o.why}))
		}
		if err == nil && o.state == ready {
			err = a.proceed(ctx, o)
		}
		if err != nil && (!passing(err) || ctx.Err() != nil) && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("step %s (%s): %w", s.ID, s.describe(), err)
		}
		if err := a.rest(ctx, o, err); err != nil {
			return err
		}
	}
}

// proceed acts, unless it has just done the same.
func (a *attempt) proceed(ctx context.Context, o observation) error {
	if !a.begun {
		if a.Confirm != nil {
			ok, err := a.Confirm(a.phase, a.step, o.why)
			if err != nil {
				return err
			}
			if !ok {
				return ErrStopped
			}
		}
		if err := a.journal.write(Entry{Event: "start", Step: a.step.ID}); err != nil {
			return err
		}
		a.tell("start", o.why)
		a.begun = true
	}
	if o.why == a.last && a.now().Sub(a.at) < again {
		return nil
	}
	a.last, a.at, a.pause = o.why, a.now(), firstPause
	return a.do(ctx, a.step, o)
}

func (a *attempt) tell(what, note string) { a.Run.tell(a.phase, a.step, what, note) }

func (a *attempt) finish(was bool) error {
	if was && !a.begun {
		a.tell("held", "")
		return nil
	}
	what := "done"
	if !a.begun {
		what = "held"
	}
	a.tell(what, "")
	return a.journal.write(Entry{Event: "done", Step: a.step.ID})
}

// rest waits until the next look is worth it. It says from time to time what it waits for.
func (a *attempt) rest(ctx context.Context, o observation, err error) error {
	why := o.why
	if err != nil {
		why = err.Error()
	}
	if a.pause >= lastPause {
		a.tell("wait", why)
	}
	select {
	case <-time.After(a.pause):
		a.pause = min(2*a.pause, lastPause)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %s: %s", context.Cause(ctx), a.step.describe(), why)
	}
}

// DryRun says what the next run would do, with the API server's dry run of each write. It writes nothing, not even a journal. A step
// that counts on one before it can be refused here and not then.
func (r *Run) DryRun(ctx context.Context) error {
	if err := r.prepare(); err != nil {
		return err
	}
	live := r.Cluster
	r.Cluster = live.dry()
	defer func() { r.Cluster = live }()
	r.unchecked = true
	var err error
	r.Plan.Steps(func(p *Phase, s *Step) bool {
		if q := r.Plan.Question(s.Question); q != nil && q.Answer == "" {
			r.tell(p, s, "asks", q.Ask)
			return true
		}
		if r.moot(s) {
			r.tell(p, s, "skip", "the answer leaves nothing to do")
			return true
		}
		var o observation
		if o, err = r.look(ctx, s); err != nil && !passing(err) && !apierrors.IsNotFound(err) {
			err = fmt.Errorf("step %s: %w", s.ID, err)
			return false
		}
		r.dryStep(ctx, p, s, o, err)
		err = nil
		return true
	})
	return err
}

func (r *Run) dryStep(ctx context.Context, p *Phase, s *Step, o observation, err error) {
	switch {
	case err != nil:
		r.tell(p, s, "wait", "it counts on an earlier step: "+err.Error())
	case o.state == done:
		r.tell(p, s, "held", "")
	case o.state == asks:
		r.tell(p, s, "asks", o.why)
	case o.state == waiting:
		r.tell(p, s, "wait", o.why)
	default:
		if err := r.do(ctx, s, o); err != nil {
			r.tell(p, s, "wait", o.why+"; the API server refuses it now: "+err.Error())
			return
		}
		r.tell(p, s, "would", o.why)
	}
}

// JournalOf is the journal's file of a plan's file.
func JournalOf(plan string) string { return plan + ".journal" }

// DirOf is the folder of a plan's file.
func DirOf(plan string) string { return filepath.Clean(plan) + ".d" }
