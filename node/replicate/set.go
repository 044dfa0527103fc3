package replicate

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
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
	st, err := s.end(replication)
	if err != nil {
		return Status{}, err
	}
	last := st.status(time.Now())
	if st.cursor != nil {
		err = st.cursor.Remove()
	}
	if err := errors.Join(err, os.RemoveAll(st.dir)); err != nil {
		return last, fmt.Errorf("remove files of replication %s: %w", replication, err)
	}
	return last, nil
}

// Release ends a replication and keeps its files: when it is added again it goes on where it was. It returns the last status.
func (s *Set) Release(replication id.ID) (Status, error) {
	st, err := s.end(replication)
	if err != nil {
		return Status{}, err
	}
	return st.status(time.Now()), nil
}

// end takes a stream out of the set and waits until it has stopped.
func (s *Set) end(replication id.ID) (*stream, error) {
	s.mu.Lock()
	st := s.streams[replication]
	delete(s.streams, replication)
	s.mu.Unlock()
	if st == nil {
		return nil, ErrNotFound
	}
	st.halt()
	return st, nil
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
