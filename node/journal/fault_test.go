package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestShortWriteIsUndoneAndTheNextAppendIsReadBack(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", FS: disk}
	j := open(t, o)
	want := []Record{points(0, 3)}
	mustAppend(t, j, want[0])
	for n := range 150 {
		disk.failOn("write", segmentSuffix, shortWrite{n, syscall.EIO})
		if _, err := j.Append(t.Context(), points(100+n, 3)); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrFailed) {
			t.Fatalf("append with a write cut after %d bytes returned %v", n, err)
		}
		disk.setFault(nil)
		want = append(want, points(n+1, 3))
		if p := mustAppend(t, j, want[n+1]); p != Position(n+2) {
			t.Fatalf("position %d after a failed write, want %d", p, n+2)
		}
	}
	wantRecords(t, readAll(t, j, 1), 1, want)
	j = reopen(t, j, o)
	wantRecords(t, readAll(t, j, 1), 1, want)
}

func TestFullDiskRefusesAndWorksAgainWhenSpaceReturns(t *testing.T) {
	for _, policy := range []Policy{DropOldest, Reject} {
		disk := newMemFS()
		j := open(t, Options{Dir: "/j", FS: disk, Policy: policy, SegmentBytes: 512})
		cursorOf(t, j, "store", true)
		var want []Record
		for i := range 20 {
			disk.failOn([]string{"write", "create"}[i%2], segmentSuffix, shortWrite{17, syscall.ENOSPC})
			_, err := j.Append(t.Context(), points(i, 4))
			var full *FullError
			if err != nil && (!errors.As(err, &full) || !errors.Is(err, ErrFull) || full.RetryAfter <= 0) {
				t.Fatalf("append to a full disk returned %v", err)
			}
			if err == nil { // only the start of a segment is refused in odd rounds
				want = append(want, points(i, 4))
			}
			disk.setFault(nil)
			want = append(want, points(i, 2))
			mustAppend(t, j, want[len(want)-1])
		}
		wantRecords(t, readAll(t, j, 1), 1, want)
	}
}

func TestFullDiskDropsOldestSegmentsWhenThatIsThePolicy(t *testing.T) {
	disk := newMemFS()
	j := open(t, Options{Dir: "/j", FS: disk, SegmentBytes: 512})
	for i := range 20 {
		mustAppend(t, j, points(i, 4))
	}
	first, _ := j.Bounds()
	for i, op := range []string{"write", "create", "write", "create"} {
		disk.setFault(func(o, name string) error { // there is space as soon as one more segment is deleted
			if now, _ := j.Bounds(); o == op && now == first && strings.HasSuffix(name, segmentSuffix) {
				return syscall.ENOSPC
			}
			return nil
		})
		for now := first; now == first; now, _ = j.Bounds() {
			mustAppend(t, j, points(i, 4))
		}
		disk.setFault(nil)
		first, _ = j.Bounds()
	}
	got := readAll(t, j, 1)
	if g := got[0].gap; g == nil || g.Reason != ReasonDropped || g.From != 1 || g.To != first-1 || g.Points < 0 {
		t.Fatalf("first kept is %d, and the reader begins with %+v", first, got[0])
	}
}

func TestFailedSyncStopsTheJournalForGood(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", FS: disk}
	j := open(t, o)
	want := []Record{points(0, 3)}
	mustAppend(t, j, want[0])
	disk.failOn("sync", segmentSuffix, syscall.EIO)
	if _, err := j.Append(t.Context(), points(1, 3)); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("append with a failing sync returned %v", err)
	}
	disk.setFault(nil)
	for range 3 {
		if _, err := j.Append(t.Context(), points(2, 3)); !errors.Is(err, ErrFailed) {
			t.Fatalf("append after a failed sync returned %v", err)
		}
	}
	wantRecords(t, readAll(t, j, 1), 1, want) // what is not known to be durable is not shown
	if _, last := j.Bounds(); last != 1 {
		t.Fatalf("the last durable record is %d, want 1", last)
	}
	if err := j.Close(); !errors.Is(err, ErrFailed) {
		t.Fatalf("close returned %v", err)
	}
}

func TestFailedSyncFailsTheWholeBatch(t *testing.T) {
	disk := newMemFS()
	j := open(t, Options{Dir: "/j", FS: disk})
	disk.failOn("sync", segmentSuffix, syscall.EIO)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if p, err := j.Append(context.Background(), points(i, 1)); !errors.Is(err, ErrFailed) || p != 0 {
				t.Errorf("append gave %d, %v", p, err)
			}
		})
	}
	wg.Wait()
}

func TestWriteThatCannotBeUndoneStopsTheJournal(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", FS: disk}
	j := open(t, o)
	want := []Record{points(0, 3)}
	mustAppend(t, j, want[0])
	disk.setFault(func(op, name string) error {
		switch op {
		case "write":
			return shortWrite{40, syscall.ENOSPC}
		case "truncate":
			return syscall.EIO
		}
		return nil
	})
	if _, err := j.Append(t.Context(), points(1, 3)); !errors.Is(err, ErrFailed) {
		t.Fatalf("append returned %v", err)
	}
	disk.setFault(nil)
	if _, err := j.Append(t.Context(), points(1, 3)); !errors.Is(err, ErrFailed) {
		t.Fatalf("append after it returned %v", err)
	}
	j = reopen(t, j, o)
	wantRecords(t, readAll(t, j, 1), 1, want)
	if p := mustAppend(t, j, points(1, 3)); p != 2 {
		t.Fatalf("position %d after a new start, want 2", p)
	}
}

func TestOpenRefusesAndChangesNothingWhenFilesCannotBeRead(t *testing.T) {
	files, want, o := small(t, true)
	refused := 0
	for _, cause := range []error{syscall.EACCES, syscall.EIO, syscall.EMFILE} {
		for _, op := range []string{"open", "read", "readdir", "mkdir"} {
			for _, part := range []string{segmentSuffix, cursorSuffix, stateName, "/j"} {
				disk := restore(files)
				disk.failOn(op, part, cause)
				o.FS = disk
				j, err := Open(o)
				if err == nil { // the operation is not one that such files see
					if err := j.Close(); err != nil {
						t.Fatal(err)
					}
					continue
				}
				refused++
				if !errors.Is(err, cause) {
					t.Fatalf("%s of %s failing with %v: open returned %v", op, part, cause, err)
				}
				for name, data := range disk.snapshot() {
					if string(files[name]) != string(data) {
						t.Fatalf("%s of %s failing with %v: open changed %s", op, part, cause, name)
					}
				}
				if len(disk.snapshot()) != len(files) {
					t.Fatalf("%s of %s failing with %v: open removed files", op, part, cause)
				}
				disk.setFault(nil)
				j = open(t, o)
				wantRecords(t, readAll(t, j, 1), 1, want)
			}
		}
	}
	if refused != 3*10 {
		t.Fatalf("%d of the faults were met", refused)
	}
}

func TestOpenFailsWhenTheDiskDoesNotSync(t *testing.T) {
	files, _, o := small(t, false)
	for _, op := range []string{"sync", "syncdir"} {
		disk := restore(files)
		disk.failOn(op, "/j", syscall.EIO)
		o.FS = disk
		if j, err := Open(o); !errors.Is(err, syscall.EIO) {
			t.Fatalf("open with failing %s returned %v, %v", op, j, err)
		}
	}
}

func TestFailingRenameLeavesNoCursorBehind(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", FS: disk}
	j := open(t, o)
	for _, op := range []string{"rename", "sync", "write", "create"} {
		disk.failOn(op, cursorDir, syscall.EIO)
		if _, err := j.Cursor("remote", CursorOptions{}); !errors.Is(err, syscall.EIO) {
			t.Fatalf("cursor with failing %s returned %v", op, err)
		}
		if got := j.Cursors(); len(got) != 0 {
			t.Fatalf("cursors %v after failing %s", got, op)
		}
	}
	disk.setFault(nil)
	mustAppend(t, j, points(0, 1))
	if err := cursorOf(t, j, "remote", false).Advance(1); err != nil {
		t.Fatal(err)
	}
	j = reopen(t, j, o)
	if p := cursorOf(t, j, "remote", false).Position(); p != 1 {
		t.Fatalf("cursor is at %d, want 1", p)
	}
}

func TestCursorThatCannotBeSavedReleasesNothing(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", FS: disk, SegmentBytes: 512, CursorInterval: -1}
	j := open(t, o)
	c := cursorOf(t, j, "remote", false)
	for i := range 20 {
		mustAppend(t, j, points(i, 4))
	}
	for _, op := range []string{"write", "sync"} {
		disk.failOn(op, cursorSuffix, syscall.EIO)
		if err := c.Advance(c.Position() + 9); !errors.Is(err, syscall.EIO) {
			t.Fatalf("advance with failing %s returned %v", op, err)
		}
	}
	disk.setFault(nil)
	mustAppend(t, j, points(20, 4))
	if first, _ := j.Bounds(); first != 1 {
		t.Fatalf("records before %d are gone although no cursor passed them durably", first)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := c.Advance(20); !errors.Is(err, ErrRemoved) {
		t.Fatalf("a removed cursor advanced: %v", err)
	}
}

func TestSegmentThatCannotBeDeletedIsDeletedLater(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", FS: disk, SegmentBytes: 512, MaxBytes: 4096}
	j := open(t, o)
	disk.failOn("remove", segmentSuffix, syscall.EBUSY)
	for i := range 60 {
		mustAppend(t, j, points(i, 4))
	}
	before := readAll(t, j, 1)
	first, _ := j.Bounds()
	if disk.now["/j/"+segmentName(1)] == nil || first == 1 {
		t.Fatal("the test does not drop what it should")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	disk.setFault(nil)
	j = open(t, o)
	if now, _ := j.Bounds(); now != first {
		t.Fatalf("dropped records came back: first is %d, was %d", now, first)
	}
	if after := readAll(t, j, 1); len(after) != len(before) || *after[0].gap != *before[0].gap {
		t.Fatalf("first read is %+v, was %+v", after[0], before[0])
	}
	for name := range disk.snapshot() {
		if p, ok := parseSegmentName(name[len("/j/"):]); ok && p < first {
			t.Fatalf("%s is still there", name)
		}
	}
}

func TestPowerCutCostsNothingThatWasAcknowledged(t *testing.T) {
	dropped := 0
	for seed := range uint64(400) {
		p := powerCuts{rnd: rand.New(rand.NewPCG(seed, 7))}
		p.o = Options{Dir: "/j", FS: newMemFS(), SegmentBytes: 700, CursorInterval: -1}
		p.pins = seed%2 == 0
		if !p.pins {
			p.o.MaxBytes = 6 << 10
		}
		for round := range 5 {
			if err := p.useUntilPowerCut(t); err != nil {
				t.Fatalf("seed %d, round %d: %v", seed, round, err)
			}
		}
		dropped += p.dropped
	}
	if dropped == 0 {
		t.Fatal("nothing was ever dropped")
	}
}

// powerCuts is a journal on a disk that loses power again and again.
type powerCuts struct {
	rnd    *rand.Rand
	o      Options
	pins   bool
	acked  []Record // by position; those that nobody was told of and that were lost have no kind
	cursor Position // was durable
	// dropped counts the gaps that the bounds made.
	dropped int
}

// useUntilPowerCut opens the journal, verifies it, uses it, and replaces its disk by one that lost power at a random moment.
func (p *powerCuts) useUntilPowerCut(t *testing.T) error {
	j, err := Open(p.o)
	if err != nil {
		return err
	}
	c, err := j.Cursor("remote", CursorOptions{Pins: p.pins})
	if err != nil {
		return err
	}
	if c.Position() < p.cursor {
		return fmt.Errorf("cursor is at %d, was durable at %d", c.Position(), p.cursor)
	}
	p.cursor = c.Position()
	if err := p.verify(t, j); err != nil {
		return err
	}
	disk := p.o.FS.(*memFS)
	var after *memFS
	left := 1 + p.rnd.IntN(60)
	seed := p.rnd.Uint64()
	disk.setFault(func(op, _ string) error { // the power goes at one of the next operations, and all fail from then on
		if left--; left == 0 {
			disk.mu.Unlock()
			after = disk.powerCut(rand.New(rand.NewPCG(seed, 1)))
			disk.mu.Lock()
		}
		if left <= 0 {
			return syscall.EIO
		}
		return nil
	})
	err = p.append(t, j, c)
	_ = j.Close() // the disk is gone
	disk.mu.Lock()
	defer disk.mu.Unlock()
	p.o.FS = after
	return err
}

// verify reads everything behind the cursor.
func (p *powerCuts) verify(t *testing.T, j *Journal) error {
	next := p.cursor + 1
	for _, g := range readAll(t, j, next) {
		if g.gap != nil {
			if g.gap.From != next {
				return fmt.Errorf("%v where %d is due", g.gap, next)
			}
			next = g.gap.To + 1
			if err := p.mayMiss(j, g.gap); err != nil {
				return err
			}
			continue
		}
		if g.Position != next {
			return fmt.Errorf("record %d where %d is due", g.Position, next)
		}
		next++
		if int(g.Position) > len(p.acked) { // was written, was not acknowledged, and is kept from now on
			p.acked = append(p.acked, g.Record)
		} else if want := p.acked[g.Position-1]; want.Kind != 0 {
			if err := same(g.Record, want, g.Position); err != nil {
				return err
			}
		}
	}
	if int(next) <= len(p.acked) {
		return fmt.Errorf("reading ended before %d, %d were acknowledged", next, len(p.acked))
	}
	return nil
}

// mayMiss verifies that a gap is of dropped records, or of such that were being written when the power went.
func (p *powerCuts) mayMiss(j *Journal, g *Gap) error {
	first, _ := j.Bounds()
	if g.Reason == ReasonDropped && !p.pins && g.To < first {
		p.dropped++
		return nil
	}
	for at := g.From; at <= g.To; at++ {
		if int(at) > len(p.acked) {
			p.acked = append(p.acked, Record{})
		} else if p.acked[at-1].Kind != 0 {
			return fmt.Errorf("%w: %w", g, g.Err)
		}
	}
	return nil
}

// append appends until the power goes.
func (p *powerCuts) append(t *testing.T, j *Journal, c Cursor) error {
	for i := 0; ; i++ {
		r := points(p.rnd.IntN(1000), 1+p.rnd.IntN(6))
		at, err := j.Append(t.Context(), r)
		if err != nil {
			return nil
		}
		if int(at) != len(p.acked)+1 {
			return fmt.Errorf("position %d, want %d", at, len(p.acked)+1)
		}
		p.acked = append(p.acked, r)
		if i%9 == 8 && c.Advance(at-4) == nil {
			p.cursor = max(p.cursor, at-4)
		}
	}
}

func TestPeriodicSyncShowsReadersDurableRecordsOnly(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", FS: disk, Sync: SyncPeriodic, SyncInterval: time.Hour, SegmentBytes: 2000}
	j := open(t, o)
	segments := disk.count("sync")
	for i := range 5 {
		mustAppend(t, j, points(i, 1))
	}
	if n := disk.count("sync") - segments; n != 0 {
		t.Fatalf("%d syncs for appends within the interval", n)
	}
	if _, last := j.Bounds(); last != 0 || len(readAll(t, j, 1)) != 0 {
		t.Fatalf("records up to %d are shown before they are durable", last)
	}
	for i := range 30 { // a new segment makes the one before durable
		mustAppend(t, j, points(i, 1))
	}
	if _, last := j.Bounds(); last == 0 || int(last) != len(readAll(t, j, 1)) {
		t.Fatalf("records up to %d are shown, %d are read", last, len(readAll(t, j, 1)))
	}
	j = reopen(t, j, o)
	if got := readAll(t, j, 1); len(got) != 35 {
		t.Fatalf("%d records after close, want 35", len(got))
	}
}

func TestPeriodicSyncHappensByItself(t *testing.T) {
	j := open(t, Options{Dir: "/j", FS: newMemFS(), Sync: SyncPeriodic, SyncInterval: time.Millisecond})
	mustAppend(t, j, points(0, 1))
	if err := j.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

func TestPeriodicSyncThatFailsStopsTheJournal(t *testing.T) {
	disk := newMemFS()
	j := open(t, Options{Dir: "/j", FS: disk, Sync: SyncPeriodic, SyncInterval: time.Millisecond})
	disk.failOn("sync", segmentSuffix, syscall.EIO)
	var err error
	for err == nil {
		_, err = j.Append(t.Context(), points(0, 1))
	}
	if !errors.Is(err, ErrFailed) {
		t.Fatalf("append returned %v", err)
	}
}

func TestRecordOverTheBoundIsRefused(t *testing.T) {
	j := open(t, Options{Dir: "/j", FS: newMemFS(), MaxBytes: 4096})
	body := make([]byte, 8192)
	for i := range body {
		body[i] = byte(rand.IntN(256))
	}
	if _, err := j.Append(t.Context(), Record{Kind: Points, Count: 1, Body: body}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("append returned %v", err)
	}
	if _, err := j.Append(t.Context(), Record{Kind: Points, Count: 1, Body: make([]byte, MaxBody+1)}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("append returned %v", err)
	}
	if _, err := j.Append(t.Context(), Record{Body: []byte("x")}); err == nil {
		t.Fatal("a record without a kind was taken")
	}
}

func TestAppendWithAnEndedContextKeepsNothing(t *testing.T) {
	disk := newMemFS()
	j := open(t, Options{Dir: "/j", FS: disk})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Append(ctx, points(0, 1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("append returned %v", err)
	}

	// While one append syncs, the next waits in the queue, and can be taken back.
	syncing, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	disk.setFault(func(op, name string) error {
		if op == "sync" {
			once.Do(func() {
				disk.mu.Unlock()
				close(syncing)
				<-goOn
				disk.mu.Lock()
			})
		}
		return nil
	})
	first := make(chan error, 1)
	go func() { _, err := j.Append(context.Background(), points(1, 1)); first <- err }()
	<-syncing
	ctx, cancel = context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { _, err := j.Append(ctx, points(2, 1)); second <- err }()
	for queued := 0; queued == 0; {
		j.mu.Lock()
		queued = len(j.pending)
		j.mu.Unlock()
	}
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Fatalf("append returned %v", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	wantRecords(t, readAll(t, j, 1), 1, []Record{points(1, 1)})
}

func TestClosedJournalRefuses(t *testing.T) {
	j := open(t, Options{Dir: "/j", FS: newMemFS()})
	c := cursorOf(t, j, "remote", false)
	r, err := j.ReadFrom(1)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, points(0, 1))
	if err := errors.Join(j.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	_, appendErr := j.Append(t.Context(), points(1, 1))
	_, nextErr := r.Next()
	_, readErr := j.ReadFrom(1)
	_, cursorErr := j.Cursor("new", CursorOptions{})
	for _, err := range []error{appendErr, nextErr, readErr, cursorErr, c.Advance(1), c.Remove()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	files, _, o := small(t, true)
	name := "/j/" + segmentName(1)
	disk := restore(files)
	b := disk.now[name].data
	le.PutUint32(b[8:], segmentVersion+1)
	le.PutUint32(b[12:], headerSum(b))
	o.FS = disk
	if _, err := Open(o); !errors.Is(err, ErrVersion) {
		t.Fatalf("open returned %v", err)
	}
	delete(disk.now, name)
	if _, err := Open(o); errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a missing segment keeps the journal from opening: %v", err)
	}
}

func TestNewFoldersAreMadeDurableLevelByLevel(t *testing.T) {
	disk := newMemFS()
	open(t, Options{Dir: "/data/buckets/1/journal", FS: disk})
	for _, dir := range []string{"/", "/data", "/data/buckets", "/data/buckets/1", "/data/buckets/1/journal"} {
		if !slices.Contains(disk.synced, dir) {
			t.Errorf("%s was not synced; synced were %v", dir, disk.synced)
		}
	}
}

func TestCloseTellsThatTheLastSyncFailed(t *testing.T) {
	disk := newMemFS()
	j := open(t, Options{Dir: "/j", FS: disk, Sync: SyncPeriodic, SyncInterval: time.Hour})
	mustAppend(t, j, points(0, 1))
	disk.failOn("sync", segmentSuffix, syscall.EIO)
	if err := j.Close(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("close returned %v", err)
	}
}

func TestUnreadableSectorHidesNoRecordBeforeIt(t *testing.T) {
	disk := newMemFS()
	j := open(t, Options{Dir: "/j", FS: &badSector{memFS: disk, at: 3000}, SegmentBytes: 1 << 20})
	all := fill(t, j, 60)
	r, err := j.ReadFrom(1)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil; n++ {
		var rec Record
		if rec, err = r.Next(); err == nil {
			err = same(rec, all[n], Position(n+1))
		}
	}
	if !errors.Is(err, syscall.EIO) || n < 10 || n == len(all) {
		t.Fatalf("reading ended at record %d with %v", n, err)
	}
}

// badSector is a disk on which one byte of each segment cannot be read.
type badSector struct {
	*memFS
	at int64
}

func (b *badSector) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := b.memFS.OpenFile(name, flag, perm)
	return &badSectorFile{f, b.at}, err
}

type badSectorFile struct {
	File
	at int64
}

func (f *badSectorFile) ReadAt(p []byte, off int64) (int, error) {
	if off <= f.at && f.at < off+int64(len(p)) {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}
