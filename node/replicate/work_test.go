package replicate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// W1: EDR sends one request for each local write, one after the other.
func TestW1SmallWritesOverALongRoundTripStayWithinSeconds(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.MaxDelay = 0 // the default
		b.add()
		b.remote.script(always(reply{delay: 200 * time.Millisecond}))
		for i := range 3000 {
			b.writeLines(fmt.Sprintf("m,host=a,pad=%s n=%di %d", strings.Repeat("p", 150), i, time.Now().UnixNano()))
			time.Sleep(10 * time.Millisecond)
			if lag := b.status().Lag; i%100 == 0 && lag > 3*time.Second {
				t.Fatalf("lag of %s after %d writes", lag, i)
			}
		}
		b.drained(5 * time.Second)
		b.delivered()
		if n := len(b.remote.requests()); n > 40 {
			t.Errorf("%d requests for 30 s of writes", n)
		}
	})
}

// W2: EDR opens a connection for each request and leaves it behind.
func TestW2OneConnectionServesManyRequestsAndReplications(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		for range 200 {
			b.write(1)
			time.Sleep(time.Second)
		}
		other := b.spec
		other.ID, other.RemoteBucketName = other.ID+1, "elsewhere"
		if err := b.set.Add(other); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			b.write(1)
			time.Sleep(time.Second)
		}
		if n := len(b.remote.requests()); n != 300 {
			t.Errorf("%d requests, want 300", n)
		}
		if n := b.remote.link.dialed(); n > 2 {
			t.Errorf("%d connections for two replications to one remote", n)
		}
	})
}

// W3: EDR writes and syncs a copy of every payload for each replication, while the writer waits.
func TestW3ManyReplicationsNeitherCopyPayloadsNorHoldWritersUp(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		b.remote.script(always(reply{hang: true}))
		for n := range 20 {
			spec := b.spec
			spec.ID += id.ID(n)
			if err := b.set.Add(spec); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for range 100 {
			b.write(100)
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("writers waited %s", took)
		}
		var size int64
		err := filepath.Walk(b.dir, func(_ string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				size += info.Size()
			}
			return err
		})
		if err != nil || size > 20*1024 {
			t.Errorf("%d bytes in the folders of 20 replications, %v", size, err)
		}
	})
}

// W4: EDR updates its database at every request.
func TestW4StateIsNotWrittenAtEveryRequest(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(1)
		b.drained(time.Minute)
		state := filepath.Join(b.dir, testReplication.String(), stateName)
		if err := os.Remove(state); err != nil {
			t.Fatal(err)
		}
		advances := b.memory.advanced()
		for range 25 {
			b.write(1)
			time.Sleep(time.Second)
		}
		if _, err := os.Stat(state); !os.IsNotExist(err) {
			t.Errorf("state was written within 25 s of plain sending: %v", err)
		}
		if n := b.memory.advanced() - advances; n != 25 {
			t.Errorf("position advanced %d times for 25 requests", n)
		}
	})
}

// W5: EDR compresses each tiny write by itself.
func TestW5ManySmallRecordsCompressTogether(t *testing.T) {
	for _, level := range []int{-1, 0, 1, 9} {
		inBubble(t, func(b *bench) {
			b.spec.GzipLevel = level
			b.spec.Paused = true
			b.add()
			for range 500 {
				b.write(1)
			}
			b.spec.Paused = false
			if err := b.set.Update(b.spec); err != nil {
				t.Fatal(err)
			}
			b.drained(time.Minute)
			b.delivered()
			s := b.status()
			ratio := float64(s.BytesRead) / float64(s.BytesSent)
			if level == -1 && ratio != 1 || level != -1 && ratio < 4 {
				t.Errorf("level %d: ratio %.1f", level, ratio)
			}
		})
	}
}

// W6: EDR gives every request 2 minutes and never makes it smaller.
func TestW6ThinLinkGetsSmallerRequestsAndEnoughTime(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.GzipLevel = -1
		b.add()
		b.remote.link.rate = 1200
		for range 200 {
			b.write(100)
		}
		b.drained(time.Hour)
		b.delivered()
		s := b.status()
		if again := s.BytesTried - s.BytesSent; again > s.BytesSent/2 {
			t.Errorf("%d bytes sent, %d in vain", s.BytesSent, again)
		}
	})
}

func TestW6RequestsShrinkToWhatTheRemoteTakes(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(func(c *call) reply {
			if size := len(strings.Join(c.lines, "\n")); size > 10_000 {
				return reply{code: 413, body: `{"error":"Request Entity Too Large"}`}
			}
			return reply{}
		})
		for range 100 {
			b.write(200)
		}
		b.drained(time.Minute)
		b.delivered()
		if n := len(b.dead()); n != 0 {
			t.Errorf("%d dead letters", n)
		}
		refused := 0
		for _, c := range b.remote.requests() {
			if c.code == 413 {
				refused++
			}
		}
		if refused > 20 {
			t.Errorf("%d requests were too large", refused)
		}
	})
}

// W7: EDR has no rate limit, no order, no pause and no estimate.
func TestW7BandwidthLimitHolds(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.BytesPerSecond, b.spec.GzipLevel, b.spec.Paused = 2000, -1, true
		b.add()
		for range 50 {
			b.write(50)
		}
		total := b.status().RemainingBytes
		b.spec.Paused = false
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		b.until(time.Minute, "estimating", func() bool { return b.status().ETA > 0 })
		b.drained(time.Hour)
		took := time.Since(began)
		b.delivered()
		least := time.Duration(float64(total)/2000*float64(time.Second)) - time.Second
		if took < least || took > 2*least {
			t.Errorf("%d bytes at 2000 a second took %s", total, took)
		}
	})
}

func TestW7NewestFirstSendsWhatArrivesBeforeTheBacklog(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.Order, b.spec.MaxBatchBytes, b.spec.GzipLevel = NewestFirst, MinBatchBytes, -1
		b.add()
		b.remote.link.set(true)
		for range 100 {
			b.write(30)
			time.Sleep(time.Second)
		}
		b.remote.link.set(false)
		b.remote.link.rate = 4000
		b.set.Wake()
		time.Sleep(5 * time.Second)
		for i := range 10 {
			line := b.write(1)[0]
			b.until(4*time.Second, "sent before the backlog", func() bool { return b.remote.lines()[line] > 0 })
			if b.status().RemainingBytes < 10_000 {
				t.Fatalf("the backlog is gone after %d writes: the test shows nothing", i)
			}
			if i == 4 {
				b.restart() // both positions are durable
			}
		}
		if s := b.status(); s.Lag < time.Minute {
			t.Errorf("lag of %s leaves the backlog out", s.Lag)
		}
		b.remote.link.rate = 0
		b.drained(10 * time.Minute)
		b.delivered()
		again := 0
		for _, n := range b.remote.lines() {
			again += n - 1
		}
		if again > 100 {
			t.Errorf("%d lines were sent again", again)
		}
		if s := b.status(); s.Position != s.LastPosition {
			t.Errorf("position %d of %d", s.Position, s.LastPosition)
		}
	})
}

func TestW7PauseStopsAndResumeGoesOn(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(3)
		b.drained(time.Second)
		b.spec.Paused = true
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := len(b.remote.requests())
		b.write(3)
		time.Sleep(time.Hour)
		if s := b.status(); s.State != Paused || len(b.remote.requests()) != before || s.Lag < 59*time.Minute {
			t.Errorf("paused: %+v", s)
		}
		b.restart()
		time.Sleep(time.Minute)
		b.spec.Paused = false
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		b.drained(time.Second)
		b.delivered()
	})
}

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

// W10 and W11: the bound of the queue counts what is unsent, and what leaves it is filled later.
func TestW11QueueCountsOnlyWhatIsUnsent(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		for range 20 {
			b.write(100)
		}
		b.drained(time.Minute)
		if s := b.status(); s.QueueBytes != 0 || s.RemainingBytes != 0 {
			t.Errorf("synced, and yet %d bytes in the queue, %d remaining", s.QueueBytes, s.RemainingBytes)
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
		b.t.Cleanup(b.stop) // before the journal closes
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

func TestDeadLettersAreRetriedAndPurged(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(refuseLines(422, "n=3i", "n=5i", "n=8i"))
		b.write(10)
		b.drained(time.Minute)
		b.restart()
		if got := b.dead(); !slices.Equal(got, []string{b.sent[2], b.sent[4], b.sent[7]}) {
			t.Fatalf("dead letters: %q", got)
		}
		b.remote.script(refuseLines(422, "n=5i"))
		if err := b.set.RetryDeadLetters(testReplication); err != nil {
			t.Fatal(err)
		}
		b.until(time.Minute, "retried", func() bool { return b.status().DeadLetters == 1 })
		b.delivered(b.sent[4])
		if n, err := b.set.PurgeDeadLetters(testReplication); n != 1 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
		b.until(time.Minute, "counted", func() bool { return b.status().Dropped[DroppedPurged] == 1 })
		if got := b.dead(); len(got) != 0 {
			t.Errorf("left: %q", got)
		}
	})
}

func TestDeadLettersAreBounded(t *testing.T) {
	dir := t.TempDir()
	l, _, err := openLetters(dir, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	evicted := 0
	for i := range 500 {
		n, err := l.add([]DeadLetter{{Line: fmt.Appendf(nil, "m n=%di 1", i), Reason: "no"}})
		if err != nil {
			t.Fatal(err)
		}
		evicted += n
	}
	rows, err := l.list()
	if err != nil || len(rows)+evicted != 500 || string(rows[len(rows)-1].Line) != "m n=499i 1" {
		t.Errorf("%d rows, %d evicted, %v", len(rows), evicted, err)
	}
	if info, err := os.Stat(l.path); err != nil || info.Size() > 10_000 {
		t.Errorf("%v, %v", info, err)
	}
}

// The property: whatever the remote does and however often the node restarts, at the end the remote has exactly what was
// acknowledged, except for the dead letters, which are exactly the bad lines.
func TestPropertyRemoteHasWhatWasAcknowledged(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(b *bench) { randomRun(b, seed) })
		})
	}
}

func randomRun(b *bench, seed uint64) {
	rnd, faults := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
	b.spec.MaxBatchBytes = MinBatchBytes << rnd.IntN(6)
	if rnd.IntN(2) == 0 {
		b.spec.Order = NewestFirst
	}
	b.rows = newMemoryRows()
	bad := func(l string) bool {
		return strings.Contains(l, "7i ") && strings.HasPrefix(l, "m,host=a n=") && len(l)%3 == 0
	}
	b.remote.script(func(c *call) reply { return randomReply(faults, c, bad) })
	b.add()
	for range 120 {
		switch rnd.IntN(12) {
		case 0:
			b.restart()
		case 1:
			b.remote.link.set(rnd.IntN(2) == 0)
		case 2:
			b.set.Wake()
		case 3:
			_, last := b.log.Bounds()
			if pos := b.status().Position; last > pos+4 && rnd.IntN(2) == 0 {
				b.memory.lose(pos+2, pos+3, "dropped")
			}
		case 4:
			time.Sleep(time.Duration(rnd.IntN(100)) * time.Second)
		default:
			b.write(1 + rnd.IntN(40))
			time.Sleep(time.Duration(rnd.IntN(2000)) * time.Millisecond)
		}
	}
	b.remote.link.set(false)
	b.remote.script(func(c *call) reply {
		if slices.ContainsFunc(c.lines, bad) {
			return reply{code: 400}
		}
		return reply{}
	})
	b.drained(time.Hour)
	var dead []string
	for _, l := range b.sent {
		if bad(l) {
			dead = append(dead, l)
		}
	}
	b.delivered(dead...)
	got := b.dead()
	slices.Sort(got)
	slices.Sort(dead)
	if !slices.Equal(got, dead) {
		b.t.Errorf("%d dead letters, want %d", len(got), len(dead))
	}
	gaps, err := b.set.Gaps(testReplication)
	if err != nil {
		b.t.Error(err)
	}
	b.t.Logf("%d lines, %d bad, %d gaps, %d requests", len(b.sent), len(dead), len(gaps), len(b.remote.requests()))
}

// randomReply answers as a remote in trouble does, and refuses bad lines in one of the ways that are known.
func randomReply(rnd *rand.Rand, c *call, bad func(string) bool) reply {
	switch rnd.IntN(12) {
	case 0:
		return reply{code: 500}
	case 1:
		return reply{hang: true}
	case 2:
		return reply{reset: true}
	case 3:
		return reply{hang: true, store: good(c.lines, bad)} // stored, but the answer is lost
	case 4:
		return reply{code: 429, header: retryAfterSeconds(rnd.IntN(60))}
	case 5:
		return reply{code: []int{401, 403, 404, 503, 502}[rnd.IntN(5)]}
	case 6:
		if len(c.lines) > 20 {
			return reply{code: 413}
		}
	}
	if !slices.ContainsFunc(c.lines, bad) {
		return reply{code: []int{200, 204}[rnd.IntN(2)]}
	}
	var v3, quoted []string
	n := 0
	for i, l := range c.lines {
		if bad(l) {
			n++
			v3 = append(v3, fmt.Sprintf(`{"line_number":%d,"error_message":"bad"}`, i+1))
			quoted = append(quoted, fmt.Sprintf("unable to parse '%s': bad", l))
		}
	}
	switch rnd.IntN(4) {
	case 0:
		return reply{code: 400, store: good(c.lines, bad), body: `{"error":"partial write of line protocol occurred","data":[` + strings.Join(v3, ",") + `]}`}
	case 1:
		return reply{code: 400, body: `{"code":"invalid","message":"` + strings.Join(quoted, `\n`) + `"}`}
	case 2:
		return reply{code: 422, store: good(c.lines, bad), body: fmt.Sprintf(`{"code":"unprocessable entity","message":"failure writing points to database: partial write: something dropped=%d"}`, n)}
	}
	return reply{code: 400, body: `{"message":"no"}`}
}

func good(lines []string, bad func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(lines), bad)
}
