package replicate

import (
	"context"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
)

const (
	testBucket      = id.ID(0xb0)
	testReplication = id.ID(0xa1)
)

// bench is a node with one bucket, one remote and one replication, in a bubble with its own time and network.
type bench struct {
	t      *testing.T
	ctx    context.Context
	log    journal.Log
	memory *memoryLog
	rows   *memoryRows
	remote *remote
	set    *Set
	dir    string
	spec   Spec
	sent   []string // lines that were acknowledged to a writer
	serial int
}

// inBubble runs a test in a bubble, where time passes only when everybody waits.
func inBubble(t *testing.T, f func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		b := &bench{t: t, ctx: t.Context(), log: log, memory: log, dir: filepath.Join(dir, "replications")}
		b.remote = newRemote(t)
		b.spec = Spec{
			ID: testReplication, Name: "up", Bucket: testBucket, RemoteBucketName: "there",
			Remote: Remote{URL: remoteURL, Token: "secret-token"}, MaxDelay: 100 * time.Millisecond,
		}
		t.Cleanup(b.stop)
		f(b)
	})
}

// start opens the set; add adds the replication to it as well.
func (b *bench) start() {
	b.t.Helper()
	set, err := NewSet(Options{
		Dir: b.dir, dial: b.remote.link.dial, DeadBytes: 1 << 20,
		Journal: func(id.ID) (journal.Log, error) { return b.log, nil },
		Rows: func(id.ID) Rows {
			if b.rows == nil {
				return nil
			}
			return b.rows
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.set = set
}

func (b *bench) add() {
	b.t.Helper()
	b.start()
	if err := b.set.Add(b.spec); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) stop() {
	b.t.Helper()
	if b.set == nil {
		return
	}
	if err := b.set.Close(); err != nil {
		b.t.Error(err)
	}
	b.set = nil
}

// restart ends the set and opens it again, with nothing written in between.
func (b *bench) restart() {
	b.t.Helper()
	b.stop()
	b.add()
}

// write appends one record of n lines with the next serial numbers.
func (b *bench) write(n int) []string {
	b.t.Helper()
	lines := make([]string, n)
	for i := range lines {
		b.serial++
		lines[i] = fmt.Sprintf("m,host=a n=%di %d", b.serial, time.Now().UnixNano()+int64(b.serial))
	}
	b.writeLines(lines...)
	return lines
}

func (b *bench) writeLines(lines ...string) {
	b.t.Helper()
	rec := journal.Record{Kind: journal.Points, Count: len(lines), Body: []byte(strings.Join(lines, "\n") + "\n"), MinTime: math.MaxInt64, MaxTime: math.MinInt64}
	for _, l := range lines {
		if at, ok := lineTime([]byte(l)); ok {
			rec.MinTime, rec.MaxTime = min(rec.MinTime, at), max(rec.MaxTime, at)
		}
	}
	if _, err := b.log.Append(b.ctx, rec); err != nil {
		b.t.Fatal(err)
	}
	b.sent = append(b.sent, lines...)
	if b.rows != nil {
		b.rows.add(lines...)
	}
}

func (b *bench) status() Status {
	b.t.Helper()
	s, err := b.set.Status(testReplication)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// drained lets time pass until nothing is left to send, for at most limit.
func (b *bench) drained(limit time.Duration) {
	b.t.Helper()
	b.until(limit, "drained", func() bool {
		s := b.status()
		return s.RemainingBytes == 0 && s.OpenGaps == 0 && s.State == Idle
	})
}

// until lets time pass until a condition holds.
func (b *bench) until(limit time.Duration, what string, done func() bool) {
	b.t.Helper()
	pause := 50 * time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		pause = min(pause+pause/20, 30*time.Second)
		synctest.Wait()
		if done() {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("not %s after %s: %+v", what, limit, b.status())
		}
	}
}

// delivered checks that the remote has exactly what was acknowledged, except for the lines given.
func (b *bench) delivered(except ...string) {
	b.t.Helper()
	have := b.remote.lines()
	want := map[string]bool{}
	for _, l := range b.sent {
		want[l] = true
	}
	for _, l := range except {
		delete(want, l)
	}
	missing := 0
	for l := range want {
		if have[l] == 0 {
			missing++
		}
		delete(have, l)
	}
	if missing > 0 || len(have) > 0 {
		b.t.Errorf("of %d acknowledged lines %d are missing at the remote, which has %d others", len(want), missing, len(have))
	}
}

// dead returns the dead letters' lines.
func (b *bench) dead() (lines []string) {
	b.t.Helper()
	rows, err := b.set.DeadLetters(testReplication)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, row := range rows {
		lines = append(lines, string(row.Line))
	}
	return lines
}

// memoryRows is a store in memory: the last value of a series and time wins.
type memoryRows struct {
	mu      sync.Mutex
	lines   map[string]string // series and time -> line
	applied uint64
	broken  error
}

func newMemoryRows() *memoryRows {
	return &memoryRows{lines: map[string]string{}, applied: math.MaxUint64}
}

func (r *memoryRows) add(lines ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range lines {
		r.lines[l[:seriesEnd([]byte(l))]+l[strings.LastIndexByte(l, ' '):]] = l
	}
}

func (r *memoryRows) apply(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = n
}

func (r *memoryRows) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

func (r *memoryRows) Applied() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied
}

func (r *memoryRows) Lines(ctx context.Context, low, high int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r.mu.Lock()
		broken := r.broken
		var found []string
		for _, l := range r.lines {
			if at, _ := lineTime([]byte(l)); low <= at && at <= high {
				found = append(found, l)
			}
		}
		r.mu.Unlock()
		if broken != nil {
			yield(nil, broken)
			return
		}
		for _, l := range found {
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			if !yield([]byte(l+"\n"), nil) {
				return
			}
		}
	}
}
