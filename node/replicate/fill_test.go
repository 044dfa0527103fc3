package replicate

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// W8: EDR sends nothing from before the replication, and cannot send a range again.
func TestW8BackfillSendsWhatTheBucketHeld(t *testing.T) {
	for _, order := range []Order{OldestFirst, NewestFirst} {
		inBubble(t, func(b *bench) {
			b.rows = newMemoryRows()
			for i := range 500 {
				b.writeLines(fmt.Sprintf("m n=%di %d", i, (int64(i)-250)*int64(time.Hour)*97))
			}
			b.write(1000) // many within one second
			b.spec.Backfill, b.spec.Order, b.spec.MaxBatchBytes = true, order, 4096
			b.rows.apply(0)
			b.add()
			b.write(5)
			time.Sleep(10 * time.Second)
			if n := len(b.remote.lines()); n != 5 {
				t.Errorf("%d lines before the store knew the journal, want 5", n)
			}
			b.rows.apply(math.MaxUint64)
			b.until(time.Minute, "begun", func() bool { return b.status().PointsFilled > 50 })
			b.restart()
			b.drained(time.Minute)
			b.delivered()
			again := 0
			for _, n := range b.remote.lines() {
				again += n - 1
			}
			if again > 200 {
				t.Errorf("%d of 1505 lines were sent again over one restart", again)
			}
			b.restart()
			time.Sleep(time.Minute)
			if s := b.status(); s.OpenGaps != 0 {
				t.Error("a backfill began anew after a restart")
			}
		})
	}
}

func TestW8ResyncSendsARangeAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.rows = newMemoryRows()
		b.add()
		for i := range 10 {
			b.writeLines(fmt.Sprintf("m n=%di %d", i, i))
		}
		b.drained(time.Minute)
		if err := b.set.Resync(b.ctx, testReplication, 3, 5); err != nil {
			t.Fatal(err)
		}
		b.drained(time.Minute)
		for l, n := range b.remote.lines() {
			at, _ := lineTime([]byte(l))
			if want := 1 + btoi(at >= 3 && at <= 5); n != want {
				t.Errorf("%s was sent %d times, want %d", l, n, want)
			}
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestW8FillNeverPutsAnOldValueOverANewer(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.rows = newMemoryRows()
		b.add()
		b.remote.link.set(true)
		b.writeLines("m a=1i 100", "m b=1i 200")
		b.memory.lose(1, 1, "dropped")
		failures := 0
		b.remote.script(func(c *call) reply {
			if failures < 3 && strings.Contains(strings.Join(c.lines, "\n"), "b=1i") {
				failures++
				b.writeLines(fmt.Sprintf("m a=%di 100", failures+1)) // overwritten while the fill is in trouble
				return reply{code: 500}
			}
			return reply{}
		})
		b.remote.link.set(false)
		b.drained(5 * time.Minute)
		last := ""
		for _, c := range b.remote.requests() {
			for _, l := range c.lines {
				if c.code == 204 && strings.Contains(l, "a=") {
					last = l
				}
			}
		}
		if last != "m a=4i 100" {
			t.Errorf("the last value at the remote is %q", last)
		}
	})
}

func TestStoreThatCannotBeReadHoldsOnlyTheFillUp(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.rows = newMemoryRows()
		b.add()
		b.remote.link.set(true)
		b.write(5)
		b.memory.lose(1, 1, "dropped")
		b.rows.fail(errors.New("block is damaged"))
		b.remote.link.set(false)
		for range 10 {
			b.write(5)
			time.Sleep(10 * time.Second)
		}
		b.delivered(b.sent[:5]...)
		gaps, err := b.set.Gaps(testReplication)
		if err != nil || len(gaps) != 1 || gaps[0].State != GapOpen || gaps[0].Error != "block is damaged" {
			t.Errorf("gaps: %+v, %v", gaps, err)
		}
		b.rows.fail(nil)
		b.drained(time.Minute)
		b.delivered()
	})
}

func TestGapOfTheJournalsOwnBoundsIsFilledFromTheStore(t *testing.T) {
	dir := t.TempDir()
	inBubble(t, func(b *bench) {
		j, err := journal.Open(journal.Options{Dir: dir, SegmentBytes: 1000, MaxBytes: 8000})
		if err != nil {
			t.Fatal(err)
		}
		b.t.Cleanup(func() { closeJournal(t, j) })
		b.log, b.memory, b.rows = j, nil, newMemoryRows()
		b.spec.MaxBatchBytes = MinBatchBytes // what is read ahead is small
		b.t.Cleanup(b.stop)                  // before the journal closes
		b.add()
		b.remote.link.set(true)
		for range 100 {
			b.write(30)
			time.Sleep(time.Second)
		}
		b.remote.link.set(false)
		b.drained(5 * time.Minute)
		b.delivered()
		gaps, err := b.set.Gaps(testReplication)
		if err != nil || len(gaps) == 0 || gaps[0].Reason != journal.ReasonDropped || gaps[0].State != GapFilled {
			t.Errorf("gaps: %+v, %v", gaps, err)
		}
	})
}
