package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultDeadBytes is the bound of a replication's dead letter file unless Options say otherwise.
const DefaultDeadBytes = 16 << 20

// Errors that callers act on.
var (
	ErrNotFound = errors.New("replication not found")
	ErrExists   = errors.New("replication exists already")
	ErrClosed   = errors.New("replications are closed")
)

// Options say what a Set works with.
type Options struct {
	// Dir is the folder that replications keep their files in, one folder for each.
	Dir string
	// Journal returns the journal of a bucket. It is asked again when it failed.
	Journal func(bucket id.ID) (journal.Log, error)
	// Rows returns the store of a bucket, nil when there is none. A nil function means that there is none at all.
	Rows func(bucket id.ID) Rows
	// NewTarget makes the target of a replication in place of the HTTP one; nil as its result means the HTTP one.
	NewTarget func(Spec) (Target, error)
	// DeadBytes bounds the dead letter file of each replication; 0 is DefaultDeadBytes.
	DeadBytes int64
	// Version is told to remotes in the User-Agent.
	Version string

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil for none

	dial dialFunc // a test's network
}

// environment is what all streams of a set share.
type environment struct {
	dir       string
	log       *slog.Logger
	journal   func(id.ID) (journal.Log, error)
	rows      func(id.ID) Rows
	target    func(Spec) (Target, error)
	deadBytes int64
	agent     string
	pool      transports
}

// newTarget makes the target of a spec.
func (e *environment) newTarget(s Spec) (Target, error) {
	if e.target != nil {
		if t, err := e.target(s); t != nil || err != nil {
			return t, err
		}
	}
	t, release, err := e.pool.get(s.Remote)
	if err != nil {
		return nil, err
	}
	return newHTTPTarget(s, t, e.agent, release), nil
}

// transports holds one keep-alive transport for each remote in use.
type transports struct {
	dial dialFunc

	mu    sync.Mutex
	inUse map[Remote]*transport
}

type transport struct {
	*http.Transport
	users int
}

// get returns the transport of a remote and the function that gives it back.
func (p *transports) get(r Remote) (*http.Transport, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.inUse[r]
	if t == nil {
		made, err := newTransport(r, p.dial)
		if err != nil {
			return nil, nil, err
		}
		t = &transport{Transport: made}
		p.inUse[r] = t
	}
	t.users++
	return t.Transport, sync.OnceFunc(func() { p.put(r, t) }), nil
}

func (p *transports) put(r Remote, t *transport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.users--
	if t.users == 0 {
		delete(p.inUse, r)
		t.CloseIdleConnections()
	}
}

// Set owns the replications of a node. All its methods may be called at the same time.
type Set struct {
	env     *environment
	metrics *metrics

	mu      sync.Mutex
	streams map[id.ID]*stream
	closed  bool
}

// NewSet returns an empty set.
func NewSet(o Options) (*Set, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Rows == nil {
		o.Rows = func(id.ID) Rows { return nil }
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of the replications: %w", err)
	}
	s := &Set{
		streams: map[id.ID]*stream{},
		env: &environment{
			dir: o.Dir, log: o.Logger, journal: o.Journal, rows: o.Rows, target: o.NewTarget,
			deadBytes: cmp.Or(o.DeadBytes, DefaultDeadBytes),
			agent:     fmt.Sprintf("holdfast-replication/%s (%s)", cmp.Or(o.Version, "dev"), runtime.GOOS),
			pool:      transports{dial: o.dial, inUse: map[Remote]*transport{}},
		},
	}
	if o.Registerer != nil {
		s.metrics = newMetrics(s)
		if err := o.Registerer.Register(s.metrics); err != nil {
			return nil, fmt.Errorf("register metrics of the replications: %w", err)
		}
	}
	return s, nil
}

// Add starts a replication. One that is new begins at the end of the bucket's journal as it is when Add returns; one whose files
// exist goes on where it was. An error about its files is returned and is in the status too; the replication then keeps trying
// and other replications are not concerned.
func (s *Set) Add(spec Spec) error {
	if err := spec.Check(); err != nil {
		return err
	}
	st, err := s.begin(spec.withDefaults())
	if err != nil {
		return err
	}
	return <-st.first
}

// begin lists and starts a stream. Its files are opened by its own goroutine, so that a slow disk holds up nobody else.
func (s *Set) begin(spec Spec) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.streams[spec.ID] != nil {
		return nil, fmt.Errorf("%w: %s", ErrExists, spec.ID)
	}
	st := newStream(s.env, spec)
	s.streams[spec.ID] = st
	st.start()
	return st, nil
}

// Update changes the configuration of a replication. It takes effect at once: a stream that waits tries again, and a request to
// a remote that is no longer meant is cut short. The local bucket cannot change.
func (s *Set) Update(spec Spec) error {
	if err := spec.Check(); err != nil {
		return err
	}
	st, err := s.find(spec.ID)
	if err != nil {
		return err
	}
	return st.update(spec.withDefaults())
}

// Remove ends a replication and deletes its files, unsent backlog, gaps and dead letters included. It returns the last status,
// which tells what that was.
func (s *Set) Remove(replication id.ID) (Status, error) {
	s.mu.Lock()
	st := s.streams[replication]
	delete(s.streams, replication)
	s.mu.Unlock()
	if st == nil {
		return Status{}, ErrNotFound
	}
	st.halt()
	last := st.status(time.Now())
	var err error
	if st.cursor != nil {
		err = st.cursor.Remove()
	}
	if err := errors.Join(err, os.RemoveAll(st.dir)); err != nil {
		return last, fmt.Errorf("remove files of replication %s: %w", replication, err)
	}
	return last, nil
}

// Status returns the status of one replication.
func (s *Set) Status(replication id.ID) (Status, error) {
	st, err := s.find(replication)
	if err != nil {
		return Status{}, err
	}
	return st.status(time.Now()), nil
}

// Statuses returns the status of all replications, in the order of their IDs.
func (s *Set) Statuses() []Status {
	now := time.Now()
	var all []Status
	for _, st := range s.all() {
		all = append(all, st.status(now))
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Wake tells that the network came up: streams that wait after a failure try again, those that were asked to wait do not.
func (s *Set) Wake() {
	for _, st := range s.all() {
		st.post(func(in *inbox) { in.linkUp = true })
	}
}

// Close stops all replications and waits for them. Their positions are kept.
func (s *Set) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	streams := s.all()
	for _, st := range streams {
		st.stop()
	}
	for _, st := range streams {
		<-st.done
	}
	return nil
}

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

func (s *Set) find(replication id.ID) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[replication]; st != nil {
		return st, nil
	}
	return nil, ErrNotFound
}

func (s *Set) all() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		all = append(all, st)
	}
	return all
}

func cursorName(replication id.ID) string { return "replication-" + replication.String() }

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
