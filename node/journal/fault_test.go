package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
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
	refusals := 2
	disk.setFault(func(op, name string) error {
		if op == "write" && name == j.newest().path && refusals > 0 {
			refusals--
			return syscall.ENOSPC
		}
		return nil
	})
	if p := mustAppend(t, j, points(20, 4)); p != 21 {
		t.Fatalf("position %d, want 21", p)
	}
	got := readAll(t, j, 1)
	if now, _ := j.Bounds(); now <= first || got[0].gap == nil || got[0].gap.Reason != ReasonDropped || got[0].gap.To != now-1 {
		t.Fatalf("first kept is %d, before %d, and the reader begins with %+v", now, first, got[0])
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
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		disk := newMemFS()
		o := Options{Dir: "/j", FS: disk, SegmentBytes: 700, CursorInterval: -1}
		var acked []Record
		cursorAt := Position(0)
		for round := range 4 {
			if err := useUntilPowerCut(t, &o, rnd, &acked, &cursorAt); err != nil {
				t.Fatalf("seed %d, round %d: %v", seed, round, err)
			}
		}
	}
}

// useUntilPowerCut opens the journal, verifies that what was acknowledged before is there, uses it, and replaces its disk
// by one that lost power at a random moment.
func useUntilPowerCut(t *testing.T, o *Options, rnd *rand.Rand, acked *[]Record, cursorAt *Position) error {
	disk := o.FS.(*memFS)
	j, err := Open(*o)
	if err != nil {
		return err
	}
	c, err := j.Cursor("remote", CursorOptions{Pins: true})
	if err != nil {
		return err
	}
	if c.Position() < *cursorAt {
		return fmt.Errorf("cursor is at %d, was durable at %d", c.Position(), *cursorAt)
	}
	first, last := j.Bounds()
	if first > c.Position()+1 || int(last) < len(*acked) {
		return fmt.Errorf("records %d to %d are there, %d were acknowledged and the cursor is at %d", first, last, len(*acked), c.Position())
	}
	for _, g := range readAll(t, j, first) {
		switch {
		case g.gap != nil: // only of records that were being written when the power went
			for p := g.gap.From; p <= g.gap.To; p++ {
				if int(p) > len(*acked) {
					*acked = append(*acked, Record{})
				} else if (*acked)[p-1].Kind != 0 {
					return g.gap
				}
			}
		case int(g.Position) > len(*acked): // was written, was not acknowledged, and is kept from now on
			*acked = append(*acked, g.Record)
		case (*acked)[g.Position-1].Kind != 0:
			if err := same(g.Record, (*acked)[g.Position-1], g.Position); err != nil {
				return err
			}
		}
	}
	// The power goes at one of the next operations of the disk: everything fails from then on.
	left := 1 + rnd.IntN(40)
	var after *memFS
	seed := rnd.Uint64()
	disk.setFault(func(op, _ string) error {
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
	for i := 0; ; i++ {
		r := points(rnd.IntN(1000), 1+rnd.IntN(6))
		p, err := j.Append(t.Context(), r)
		if err != nil {
			break
		}
		if int(p) != len(*acked)+1 {
			return fmt.Errorf("position %d, want %d", p, len(*acked)+1)
		}
		*acked = append(*acked, r)
		if i%5 == 4 && c.Advance(p-2) == nil {
			*cursorAt = p - 2
		}
	}
	_ = j.Close() // the disk is gone
	disk.mu.Lock()
	defer disk.mu.Unlock()
	o.FS = after
	return nil
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
