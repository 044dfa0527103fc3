package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// open opens a journal for a test and closes it at the end.
func open(t testing.TB, o Options) *Journal {
	t.Helper()
	j, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func reopen(t testing.TB, j *Journal, o Options) *Journal {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, o)
}

// points returns a record of n points whose body and times follow from seed.
func points(seed, n int) Record {
	var b strings.Builder
	rnd := rand.New(rand.NewPCG(uint64(seed), 1))
	base := int64(seed) * 1e9
	for i := range n {
		fmt.Fprintf(&b, "cpu,host=edge%d usage=%v,seed=%di %d\n", rnd.IntN(5), rnd.Float64(), seed, base+int64(i))
	}
	return Record{Kind: Points, Count: n, MinTime: base, MaxTime: base + int64(n) - 1, Body: []byte(b.String())}
}

func mustAppend(t testing.TB, j *Journal, r Record) Position {
	t.Helper()
	p, err := j.Append(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// read is what one call of Next gave: a record or a gap.
type read struct {
	Record
	gap *Gap
}

// readAll reads to the end, with bodies copied.
func readAll(t testing.TB, j *Journal, from Position) []read {
	t.Helper()
	r, err := j.ReadFrom(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []read
	for {
		rec, err := r.Next()
		var gap *Gap
		switch {
		case err == nil:
			rec.Body = append([]byte(nil), rec.Body...)
			all = append(all, read{Record: rec})
		case errors.As(err, &gap):
			all = append(all, read{gap: gap})
		case errors.Is(err, io.EOF):
			return all
		default:
			t.Fatal(err)
		}
	}
}

// same reports whether got is want as appended at position p.
func same(got, want Record, p Position) error {
	switch {
	case got.Position != p:
		return fmt.Errorf("position %d, want %d", got.Position, p)
	case got.Kind != want.Kind || got.Count != want.Count || got.MinTime != want.MinTime || got.MaxTime != want.MaxTime:
		return fmt.Errorf("head of %d is %v %d %d %d, want %v %d %d %d", p, got.Kind, got.Count, got.MinTime, got.MaxTime, want.Kind, want.Count, want.MinTime, want.MaxTime)
	case string(got.Body) != string(want.Body):
		return fmt.Errorf("body of %d is %q, want %q", p, got.Body, want.Body)
	case got.Accepted == 0:
		return fmt.Errorf("record %d does not say when it was accepted", p)
	}
	return nil
}

func wantRecords(t testing.TB, got []read, first Position, want []Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("read %d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].gap != nil {
			t.Fatalf("gap %v", got[i].gap)
		}
		if err := same(got[i].Record, want[i], first+Position(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsAreReadBackAsAppendedAfterReopen(t *testing.T) {
	o := Options{Dir: t.TempDir(), SegmentBytes: 2048}
	j := open(t, o)
	var want []Record
	for i := range 60 {
		r := points(i, 1+i%7)
		if i%10 == 9 {
			r = Record{Kind: Delete, Body: []byte(`{"predicate":"a=b"}`)}
		}
		if p := mustAppend(t, j, r); p != Position(i+1) {
			t.Fatalf("position %d, want %d", p, i+1)
		}
		want = append(want, r)
	}
	wantRecords(t, readAll(t, j, 1), 1, want)
	if n, _, _ := j.kept(); n < 5 {
		t.Fatalf("%d segments, want several", n)
	}
	j = reopen(t, j, o)
	wantRecords(t, readAll(t, j, 1), 1, want)
	for from := range want {
		wantRecords(t, readAll(t, j, Position(from+1)), Position(from+1), want[from:])
	}
	if p := mustAppend(t, j, points(99, 1)); p != 61 {
		t.Fatalf("position %d after reopen, want 61", p)
	}
}

func TestEmptyJournalHasNextAndNextMinusOneAsBounds(t *testing.T) {
	j := open(t, Options{Dir: t.TempDir()})
	if first, last := j.Bounds(); first != 1 || last != 0 {
		t.Fatalf("bounds %d %d, want 1 0", first, last)
	}
	if got := readAll(t, j, 1); len(got) != 0 {
		t.Fatalf("read %v from an empty journal", got)
	}
}

func TestReaderFollowsAppends(t *testing.T) {
	j := open(t, Options{Dir: t.TempDir(), SegmentBytes: 1024})
	r, err := j.ReadFrom(1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end Next returned %v", err)
		}
		want := points(i, 3)
		p := mustAppend(t, j, want)
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := same(got, want, p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWaitReturnsWhenARecordIsDurable(t *testing.T) {
	j := open(t, Options{Dir: t.TempDir()})
	waited := make(chan error, 1)
	go func() { waited <- j.Wait(context.Background(), 0) }()
	mustAppend(t, j, points(1, 1))
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := j.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting for the future returned %v", err)
	}
	go func() { waited <- j.Wait(context.Background(), 1) }()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, ErrClosed) {
		t.Fatalf("waiting on a closed journal returned %v", err)
	}
}

func TestCursorKeepsItsPositionAndItsRecords(t *testing.T) {
	o := Options{Dir: t.TempDir(), SegmentBytes: 512}
	j := open(t, o)
	slow := cursorOf(t, j, "slow", false)
	fast := cursorOf(t, j, "Fast lane/1", false)
	for i := range 40 {
		mustAppend(t, j, points(i, 2))
	}
	if err := slow.Advance(10); err != nil {
		t.Fatal(err)
	}
	if err := fast.Advance(40); err != nil {
		t.Fatal(err)
	}
	if err := fast.Advance(41); err == nil {
		t.Fatal("a cursor went behind the end")
	}
	j = reopen(t, j, o)
	if got := fmt.Sprint(j.Cursors()); got != "[Fast lane/1 slow]" {
		t.Fatalf("cursors %s", got)
	}
	if p := cursorOf(t, j, "slow", false).Position(); p != 10 {
		t.Fatalf("slow is at %d, want 10", p)
	}
	if p := cursorOf(t, j, "Fast lane/1", false).Position(); p != 40 {
		t.Fatalf("fast is at %d, want 40", p)
	}
	if first, last := j.Bounds(); first > 11 || last != 40 {
		t.Fatalf("bounds %d %d do not hold what slow needs", first, last)
	}
}

func cursorOf(t testing.TB, j *Journal, name string, pins bool) Cursor {
	t.Helper()
	c, err := j.Cursor(name, CursorOptions{Pins: pins})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSixteenWritersGetConsecutivePositionsAndReadersSeeThemAll(t *testing.T) {
	j := open(t, Options{Dir: t.TempDir(), SegmentBytes: 16 << 10})
	const writers, each = 16, 60
	var mu sync.Mutex
	acked := make(map[Position]Record)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				r := points(w*each+i, 1+i%5)
				p, err := j.Append(context.Background(), r)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked[p] = r
				mu.Unlock()
			}
		})
	}
	results := make([][]Record, 4)
	for i := range results {
		wg.Go(func() { results[i] = follow(t, j, writers*each) })
	}
	wg.Wait()
	if len(acked) != writers*each {
		t.Fatalf("%d positions for %d appends", len(acked), writers*each)
	}
	for _, got := range results {
		for i, r := range got {
			if err := same(r, acked[Position(i+1)], Position(i+1)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// follow reads n records as they become durable.
func follow(t testing.TB, j *Journal, n int) []Record {
	r, err := j.ReadFrom(1)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer r.Close()
	var got []Record
	for len(got) < n {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			if err := j.Wait(context.Background(), Position(len(got))); err != nil {
				t.Error(err)
				return got
			}
			continue
		}
		if err != nil {
			t.Error(err)
			return got
		}
		rec.Body = append([]byte(nil), rec.Body...)
		got = append(got, rec)
	}
	return got
}
