package journal

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fill appends n records and returns them.
func fill(t testing.TB, j *Journal, n int) []Record {
	t.Helper()
	var all []Record
	for i := range n {
		all = append(all, points(i, 1+i%5))
		mustAppend(t, j, all[i])
	}
	return all
}

func TestReaderBehindADropGetsOneGapThatSaysWhatIsMissing(t *testing.T) {
	o := Options{Dir: "/j", FS: newMemFS(), SegmentBytes: 1024, MaxBytes: 8 << 10, CursorInterval: -1}
	j := open(t, o)
	all := fill(t, j, 8)
	c := cursorOf(t, j, "remote", false)
	if err := c.Advance(7); err != nil { // in the middle of a segment
		t.Fatal(err)
	}
	for i := len(all); i < 100; i++ {
		all = append(all, points(i, 1+i%5))
		mustAppend(t, j, all[i])
	}
	for range 2 {
		first, last := j.Bounds()
		if first <= 8 || last != 100 {
			t.Fatalf("bounds are %d %d", first, last)
		}
		got := readAll(t, j, c.Position()+1)
		want := Gap{From: 8, To: first - 1, Reason: ReasonDropped, MinTime: all[7].MinTime, MaxTime: all[first-2].MaxTime}
		for _, r := range all[7 : first-1] {
			want.Points += r.Count
		}
		if g := got[0].gap; g == nil || *g != want {
			t.Fatalf("the reader begins with %+v, want the gap %+v", got[0].gap, want)
		}
		wantRecords(t, got[1:], first, all[first-1:])
		j = reopen(t, j, o) // and the same after a restart
		c = cursorOf(t, j, "remote", false)
	}
}

func TestPinnedRecordsAreNeverDropped(t *testing.T) {
	var asked atomic.Int32
	o := Options{Dir: "/j", FS: newMemFS(), SegmentBytes: 1024, MaxBytes: 8 << 10, RequestRelease: func() { asked.Add(1) }}
	j := open(t, o)
	store := cursorOf(t, j, "store", true)
	var n Position
	var full *FullError
	for {
		p, err := j.Append(t.Context(), points(int(n), 5))
		if errors.As(err, &full) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n = p
	}
	if !errors.Is(full, ErrFull) || full.RetryAfter != retryPinned {
		t.Fatalf("full with %+v", full)
	}
	if asked.Load() == 0 {
		t.Fatal("nobody was asked to release what is pinned")
	}
	if first, last := j.Bounds(); first != 1 || last != n {
		t.Fatalf("bounds are %d %d, want 1 %d", first, last, n)
	}
	if err := store.Advance(n); err != nil {
		t.Fatal(err)
	}
	if p := mustAppend(t, j, points(0, 5)); p != n+1 {
		t.Fatalf("position %d after the release, want %d", p, n+1)
	}
}

func TestReleaseIsAskedForBeforeTheJournalIsFull(t *testing.T) {
	asked := false
	j := open(t, Options{Dir: "/j", FS: newMemFS(), SegmentBytes: 512, MaxBytes: 8 << 10, RequestRelease: func() { asked = true }})
	cursorOf(t, j, "store", true)
	for !asked {
		mustAppend(t, j, points(0, 5))
	}
	if _, size, _ := j.kept(); size < 4<<10 {
		t.Fatalf("asked with %d bytes kept", size)
	}
}

func TestRejectRefusesUntilReadersHaveMadeRoom(t *testing.T) {
	j := open(t, Options{Dir: "/j", FS: newMemFS(), SegmentBytes: 512, MaxBytes: 4 << 10, Policy: Reject})
	c := cursorOf(t, j, "remote", false)
	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = j.Append(t.Context(), points(n, 5))
	}
	var full *FullError
	if !errors.As(err, &full) || full.RetryAfter != retryReject {
		t.Fatalf("append returned %v", err)
	}
	if got := readAll(t, j, 1); len(got) != n-1 {
		t.Fatalf("%d records are there, %d were acknowledged", len(got), n-1)
	}
	if err := c.Advance(Position(n - 1)); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, points(n, 5))
}

func TestFreeSpaceIsKept(t *testing.T) {
	disk := newMemFS()
	clock := newClock()
	o := Options{Dir: "/j", FS: disk, Now: clock.now, SegmentBytes: 512, MinFreeBytes: 1 << 20}
	j := open(t, o)
	fill(t, j, 20)
	setFree := func(n uint64) {
		disk.mu.Lock()
		disk.free = n
		disk.mu.Unlock()
		clock.add(freeEvery)
	}
	setFree(1<<20 + 100) // too little for one more record: some must go, but not all
	mustAppend(t, j, points(20, 5))
	first, last := j.Bounds()
	if first == 1 || first > 12 {
		t.Fatalf("bounds are %d %d", first, last)
	}
	if g := readAll(t, j, 1)[0].gap; g == nil || g.To != first-1 {
		t.Fatalf("the reader begins with %+v", g)
	}
	setFree(0)
	if _, err := j.Append(t.Context(), points(21, 5)); !errors.Is(err, ErrFull) {
		t.Fatalf("append without free space returned %v", err)
	}
	setFree(1 << 30)
	mustAppend(t, j, points(22, 5))
}

func TestOldSegmentsExpire(t *testing.T) {
	clock := newClock()
	o := Options{Dir: "/j", FS: newMemFS(), Now: clock.now, SegmentBytes: 1024, MaxAge: time.Hour}
	j := open(t, o)
	all := fill(t, j, 20)
	clock.add(time.Hour + time.Second)
	all = append(all, points(20, 1))
	mustAppend(t, j, all[20])
	settle(j)
	got := readAll(t, j, 1)
	if g := got[0].gap; g == nil || g.From != 1 || g.Points < 0 {
		t.Fatalf("the reader begins with %+v", got[0])
	}
	first, _ := j.Bounds()
	wantRecords(t, got[1:], first, all[first-1:])

	// Without appends everything goes, and positions go on all the same.
	clock.add(2 * time.Hour)
	settle(j)
	if first, last := j.Bounds(); first != 22 || last != 21 {
		t.Fatalf("bounds are %d %d, want 22 21", first, last)
	}
	j = reopen(t, j, o)
	if g := readAll(t, j, 1); len(g) != 1 || g[0].gap == nil || g[0].gap.To != 21 {
		t.Fatalf("the reader sees %+v", g)
	}
	if p := mustAppend(t, j, points(0, 1)); p != 22 {
		t.Fatalf("position %d, want 22", p)
	}
}

func TestPinnedRecordsDoNotExpireAndDoNotRefuseAppends(t *testing.T) {
	clock := newClock()
	var asked atomic.Int32
	j := open(t, Options{
		Dir: "/j", FS: newMemFS(), Now: clock.now, SegmentBytes: 1024, MaxAge: time.Hour,
		RequestRelease: func() { asked.Add(1) },
	})
	cursorOf(t, j, "store", true)
	all := fill(t, j, 20)
	clock.add(2 * time.Hour)
	settle(j)
	all = append(all, points(20, 1))
	mustAppend(t, j, all[20])
	wantRecords(t, readAll(t, j, 1), 1, all)
	if asked.Load() == 0 {
		t.Fatal("nobody was asked to release what is pinned")
	}
}

func TestRecordsOfAClockThatWasNotSetDoNotExpire(t *testing.T) {
	clock := &clock{t: time.Unix(1000, 0)}
	j := open(t, Options{Dir: "/j", FS: newMemFS(), Now: clock.now, SegmentBytes: 1024, MaxAge: time.Hour})
	all := fill(t, j, 20)
	clock.add(50 * 365 * 24 * time.Hour)
	settle(j)
	wantRecords(t, readAll(t, j, 1), 1, all)
}

func TestSegmentsThatAllCursorsPassedAreDeleted(t *testing.T) {
	disk := newMemFS()
	j := open(t, Options{Dir: "/j", FS: disk, SegmentBytes: 512, CursorInterval: -1})
	fill(t, j, 40)
	settle(j)
	if first, _ := j.Bounds(); first != 1 {
		t.Fatalf("without cursors records before %d went", first)
	}
	a, b := cursorOf(t, j, "a", false), cursorOf(t, j, "b", true)
	if err := errors.Join(a.Advance(30), b.Advance(20)); err != nil {
		t.Fatal(err)
	}
	settle(j)
	first, _ := j.Bounds()
	if first < 15 || first > 21 {
		t.Fatalf("first is %d with cursors at 30 and 20", first)
	}
	if err := b.Remove(); err != nil {
		t.Fatal(err)
	}
	settle(j)
	if again, _ := j.Bounds(); again <= first || again > 31 {
		t.Fatalf("first is %d after the slower cursor was removed", again)
	}
	for name := range disk.snapshot() {
		if p, ok := parseSegmentName(name[len("/j/"):]); ok && p < first {
			t.Fatalf("%s is still there", name)
		}
	}
	if got := readAll(t, j, 1); got[0].gap != nil {
		t.Fatalf("records that every cursor had passed make a gap: %v", got[0].gap)
	}
}

func TestCursorWritesAreSpared(t *testing.T) {
	disk := newMemFS()
	clock := newClock()
	o := Options{Dir: "/j", FS: disk, Now: clock.now, CursorInterval: time.Minute}
	j := open(t, o)
	fill(t, j, 50)
	c := cursorOf(t, j, "remote", false)
	before := disk.count("sync")
	for p := range Position(49) {
		if err := c.Advance(p + 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := disk.count("sync") - before; n != 1 {
		t.Fatalf("%d syncs for 49 advances within the interval", n)
	}
	clock.add(time.Minute)
	if err := c.Advance(50); err != nil {
		t.Fatal(err)
	}
	if n := disk.count("sync") - before; n != 2 {
		t.Fatalf("%d syncs after the interval", n)
	}
}

func TestCursorIsSavedAtTheEndOfItsIntervalByItself(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", FS: disk, CursorInterval: 5 * time.Millisecond}
	j := open(t, o)
	fill(t, j, 2)
	c := cursorOf(t, j, "remote", false)
	if err := errors.Join(c.Advance(1), c.Advance(2)); err != nil {
		t.Fatal(err)
	}
	for saved := Position(0); saved < 2; {
		report, err := check(disk, "/j")
		if err != nil {
			t.Fatal(err)
		}
		saved = report.Cursors[0].Position
	}
}

func TestReadersGoOnWhileSegmentsAreDropped(t *testing.T) {
	j := open(t, Options{Dir: t.TempDir(), SegmentBytes: 4 << 10, MaxBytes: 32 << 10, Sync: SyncPeriodic, SyncInterval: time.Millisecond})
	const n = 2000
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r, err := j.ReadFrom(1)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			for next := Position(1); next <= n; {
				rec, err := r.Next()
				var gap *Gap
				switch {
				case err == nil && rec.Position != next:
					t.Errorf("record %d where %d is due", rec.Position, next)
					return
				case err == nil:
					if err := same(rec, points(int(next), 3), next); err != nil {
						t.Error(err)
						return
					}
					next++
				case errors.As(err, &gap):
					if gap.Reason != ReasonDropped || (gap.From != next && next != 1) {
						t.Errorf("%v where %d is due: %v", gap, next, gap.Err)
						return
					}
					next = gap.To + 1
				default:
					if err := j.Wait(t.Context(), next-1); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range n {
		mustAppend(t, j, points(i+1, 3))
	}
	wg.Wait()
}

func TestRecordAsLargeAsTheBoundAllowsFindsRoom(t *testing.T) {
	o := Options{Dir: "/j", FS: newMemFS(), MaxBytes: 16 << 10}
	j := open(t, o)
	fill(t, j, 50)
	noise := make([]byte, 16<<10-2*headerSize-offBody)
	rnd := rand.NewChaCha8([32]byte{1})
	if _, err := rnd.Read(noise); err != nil {
		t.Fatal(err)
	}
	for p := Position(51); p < 55; p++ {
		if got := mustAppend(t, j, Record{Kind: Points, Count: 1, Body: noise}); got != p {
			t.Fatalf("position %d, want %d", got, p)
		}
		if _, size, _ := j.kept(); size > o.MaxBytes {
			t.Fatalf("%d bytes are kept", size)
		}
	}
	if _, err := j.Append(t.Context(), Record{Kind: Points, Count: 1, Body: append(noise, 1)}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("append of one byte more returned %v", err)
	}
}
