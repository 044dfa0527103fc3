package replicate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// realJournal opens a journal on disk for the bench.
func (b *bench) realJournal(dir string, segment int64) *journal.Journal {
	b.t.Helper()
	j, err := journal.Open(journal.Options{Dir: dir, SegmentBytes: segment})
	if err != nil {
		b.t.Fatal(err)
	}
	b.log, b.memory = j, nil
	return j
}

func closeJournal(t *testing.T, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// L1: EDR destroys the next segment when a request takes long at a segment's last record.
func TestL1SlowRequestsAtSegmentBoundariesLoseNothing(t *testing.T) {
	dir := t.TempDir()
	inBubble(t, func(b *bench) {
		j := b.realJournal(dir, 2000)
		b.spec.MaxBatchBytes = MinBatchBytes
		b.remote.script(always(reply{delay: 12 * time.Second}))
		b.add()
		for range 40 {
			b.write(20)
		}
		b.drained(30 * time.Minute)
		b.delivered()
		b.stop()
		closeJournal(t, j)
	})
}

// L2: EDR queues nothing of a request that the local store accepted in part.
func TestL2AcceptedPointsOfAPartialWriteReplicate(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		var p line.Parser
		var batch line.Batch
		if err := p.Parse(&batch, []byte("m a=1i 1\nm a=2.5 2\nm a=3i 3\n"), line.Options{}); err != nil {
			t.Fatal(err)
		}
		batch.Filter(func(i int, _ *line.Point) bool { return i != 1 }) // the type conflict
		accepted := strings.Split(strings.TrimSuffix(string(line.AppendBatch(nil, &batch)), "\n"), "\n")
		b.writeLines(accepted...)
		b.drained(5 * time.Second)
		b.delivered()
		if n := len(b.remote.lines()); n != 2 {
			t.Errorf("the remote has %d lines, want 2", n)
		}
	})
}

// L3: between EDR's local commit and its queue a crash leaves points that never replicate.
func TestL3CrashAtAnyMomentLosesNothing(t *testing.T) {
	dir := t.TempDir()
	inBubble(t, func(b *bench) {
		j := b.realJournal(filepath.Join(dir, "0"), 4000)
		b.dir = filepath.Join(dir, "0", "replications")
		b.remote.script(always(reply{delay: 300 * time.Millisecond}))
		b.add()
		for crash := 1; crash <= 5; crash++ {
			for range 30 {
				b.write(3)
				time.Sleep(17 * time.Millisecond)
			}
			// What is on disk now is what a kill would leave.
			copyDir := filepath.Join(dir, fmt.Sprint(crash))
			if err := os.CopyFS(copyDir, os.DirFS(filepath.Join(dir, fmt.Sprint(crash-1)))); err != nil {
				t.Fatal(err)
			}
			b.stop()
			closeJournal(t, j)
			j = b.realJournal(copyDir, 4000)
			b.dir = filepath.Join(copyDir, "replications")
			b.add()
		}
		b.drained(time.Minute)
		b.delivered()
		b.stop()
		closeJournal(t, j)
	})
}

// L4: EDR acknowledges what does not fit its queue, and drops it.
func TestL4FullQueueLosesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.rows = newMemoryRows()
		b.spec.MaxQueueBytes = MinQueueBytes
		b.add()
		b.remote.link.set(true)
		pad := strings.Repeat("x", 1<<20)
		for i := range 40 {
			b.writeLines(fmt.Sprintf("m n=%di,pad=\"%s\" %d", i, pad, time.Now().UnixNano()))
			time.Sleep(5 * time.Second)
		}
		b.until(5*time.Minute, "within its bound", func() bool { return b.status().QueueBytes <= MinQueueBytes })
		s := b.status()
		if s.OpenGaps != 1 || s.GapPoints < 8 {
			t.Errorf("what left the queue is not listed as a gap: %+v", s)
		}
		b.restart()
		b.remote.link.set(false)
		b.drained(10 * time.Minute)
		b.delivered()
		gaps, err := b.set.Gaps(testReplication)
		if err != nil || len(gaps) != 1 || gaps[0].State != GapFilled || gaps[0].Reason != ReasonQueueFull || gaps[0].Sent < gaps[0].Points {
			t.Errorf("gaps: %+v, %v", gaps, err)
		}
	})
}

// L5: EDR deletes a queue that it cannot open, and fails the list of all replications.
func TestL5FolderThatCannotBeReadIsKeptAndReported(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(5)
		b.drained(5 * time.Second)
		b.stop()
		b.write(5)
		state := filepath.Join(b.dir, testReplication.String(), stateName)
		content, err := os.ReadFile(state)
		if err != nil {
			t.Fatal(err)
		}
		obstruct(t, state)
		b.start()
		if err := b.set.Add(b.spec); err == nil {
			t.Error("no error for a replication that cannot open its files")
		}
		other := b.spec
		other.ID++
		if err := b.set.Add(other); err != nil {
			t.Error(err)
		}
		b.write(5)
		b.until(time.Minute, "sent by the other", func() bool { return len(b.remote.lines()) == 10 })
		all := b.set.Statuses()
		if len(all) != 2 || all[0].State != Failed || !strings.Contains(all[0].Reason, "state") || all[1].State != Idle {
			t.Errorf("statuses: %+v", all)
		}
		if err := os.Remove(filepath.Join(state, "in the way")); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(state); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(state, content, 0o600); err != nil {
			t.Fatal(err)
		}
		b.drained(2 * time.Minute)
		b.delivered()
	})
}

// obstruct puts a folder in a file's place.
func obstruct(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// L6: EDR's queue mixes up records after a write that failed half-way.
func TestL6DiskThatTakesNothingLosesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		dead := filepath.Join(b.dir, testReplication.String(), deadName)
		obstruct(t, dead)
		b.remote.script(refuseLines(400, "n=7i"))
		b.write(20)
		b.until(time.Minute, "failed", func() bool { return b.status().State == Failed })
		if s := b.status(); !strings.Contains(s.Reason, "dead letters") {
			t.Errorf("reason: %s", s.Reason)
		}
		if p := b.status().Position; p != 0 {
			t.Errorf("position %d passed a line that is neither sent nor kept", p)
		}
		time.Sleep(5 * time.Minute)
		for l, n := range b.remote.lines() {
			if n > 1 {
				t.Errorf("sent %d times while the disk takes nothing: %s", n, l)
			}
		}
		if err := os.RemoveAll(dead); err != nil {
			t.Fatal(err)
		}
		b.drained(2 * time.Minute)
		b.delivered(b.sent[6])
		if got := b.dead(); !slices.Equal(got, b.sent[6:7]) {
			t.Errorf("dead letters: %q", got)
		}
	})
}

// L7: EDR sends damaged records as they are.
func TestL7DamagedRecordIsReportedAndFilledFromTheStore(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.rows = newMemoryRows()
		b.spec.Paused = true
		b.add()
		b.write(4)
		synctest.Wait() // a paused stream looks at the first record and at no more
		for range 8 {
			b.write(4)
		}
		b.memory.lose(5, 5, "damaged")
		b.spec.Paused = false
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		b.drained(time.Minute)
		b.delivered()
		gaps, err := b.set.Gaps(testReplication)
		if err != nil || len(gaps) != 1 || gaps[0].Reason != "damaged" || gaps[0].From != 5 || gaps[0].To != 5 || gaps[0].State != GapFilled {
			t.Errorf("gaps: %+v, %v", gaps, err)
		}
	})
}

func TestL7DamageWithoutAStoreIsCountedAsLoss(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.link.set(true)
		b.write(1)
		time.Sleep(time.Second) // it is being sent, so that nothing more is read
		lost := b.write(4)
		b.write(1)
		b.memory.lose(2, 2, "damaged")
		b.remote.link.set(false)
		b.drained(2 * time.Minute)
		b.delivered(lost...)
		gaps, err := b.set.Gaps(testReplication)
		if s := b.status(); err != nil || s.Dropped[DroppedUnfillable] != 4 || len(gaps) != 1 || gaps[0].State != GapUnfillable {
			t.Errorf("loss is not reported: %+v, %+v, %v", s, gaps, err)
		}
	})
}

// L8: EDR drops what is too old without a word.
func TestL8RecordsThatGrowTooOldBecomeAListedGap(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.rows = newMemoryRows()
		b.spec.MaxAge, b.spec.NoFill = time.Hour, true
		b.add()
		b.remote.link.set(true)
		old := b.write(7)
		time.Sleep(50 * time.Minute)
		b.write(3)
		time.Sleep(20 * time.Minute)
		gaps, err := b.set.Gaps(testReplication)
		if err != nil || len(gaps) != 1 || gaps[0].Reason != ReasonTooOld || gaps[0].Points != 7 || gaps[0].From != 1 || gaps[0].To != 1 {
			t.Fatalf("gaps: %+v, %v", gaps, err)
		}
		b.remote.link.set(false)
		b.until(2*time.Minute, "sent", func() bool { return len(b.remote.lines()) == 3 })
		time.Sleep(10 * time.Minute)
		b.delivered(old...)
		if err := b.set.Fill(b.ctx, testReplication, gaps[0].ID); err != nil {
			t.Fatal(err)
		}
		b.drained(time.Minute)
		b.delivered()
	})
}

// L9: EDR drops 5000 lines for one that is bad, and forgets the reason.
func TestL9OneBadLineInFiveThousandIsTheOnlyOneKeptBack(t *testing.T) {
	for _, code := range []int{400, 422} {
		inBubble(t, func(b *bench) {
			b.add()
			b.remote.script(refuseLines(code, "n=3217i"))
			b.write(5000)
			b.write(100)
			b.drained(time.Minute)
			bad := b.sent[3216]
			b.delivered(bad)
			rows, err := b.set.DeadLetters(testReplication)
			if err != nil || len(rows) != 1 || string(rows[0].Line) != bad || rows[0].Code != code || !strings.Contains(rows[0].Reason, "something is wrong with it") {
				t.Errorf("dead letters: %+v, %v", rows, err)
			}
			if n := len(b.remote.requests()); n > 30 {
				t.Errorf("%d requests to find one line in 5000", n)
			}
			s := b.status()
			if s.LastRefusal == nil || s.LastRefusal.Code != code || s.LastRefusal.Line != bad || s.LatestErrorMessage != "" {
				t.Errorf("the reason is lost: %+v", s)
			}
		})
	}
}

func TestL9DropNonRetryableDropsTheBadLineAndCountsIt(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.DropNonRetryable = true
		b.add()
		b.remote.script(refuseLines(400, "n=17i", "n=18i"))
		b.write(100)
		b.drained(time.Minute)
		b.delivered(b.sent[16:18]...)
		s := b.status()
		if len(b.dead()) != 0 || s.Dropped[DroppedRefused] != 2 || s.BytesDropped != int64(len(b.sent[16])+len(b.sent[17])+2) || s.LastRefusal == nil {
			t.Errorf("status: %+v", s)
		}
	})
}

// L10: EDR discards a backlog without a word when its replication goes.
func TestL10RemoveTellsWhatWasDiscarded(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(refuseLines(400, "n=2i"))
		b.write(10)
		b.drained(time.Minute)
		b.remote.link.set(true)
		b.write(10)
		time.Sleep(time.Minute)
		last, err := b.set.Remove(testReplication)
		if err != nil || last.DeadLetters != 1 || last.RemainingBytes == 0 {
			t.Errorf("last status: %+v, %v", last, err)
		}
		if _, err := os.Stat(filepath.Join(b.dir, testReplication.String())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("files of the removed replication are still there: %v", err)
		}
		if names := b.log.Cursors(); len(names) != 0 {
			t.Errorf("cursors left: %v", names)
		}
		if _, err := b.set.Status(testReplication); !errors.Is(err, ErrNotFound) {
			t.Errorf("status of a removed replication: %v", err)
		}
	})
}

func TestFoldersOfUnknownReplicationsAreKept(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(refuseLines(400, "n=2i"))
		b.write(10)
		b.drained(time.Minute)
		b.stop()
		b.start() // without the replication
		left, err := b.set.Leftovers()
		if err != nil || !slices.Equal(left, []id.ID{testReplication}) {
			t.Errorf("leftovers: %v, %v", left, err)
		}
		if err := b.set.Add(b.spec); err != nil {
			t.Fatal(err)
		}
		if len(b.dead()) != 1 {
			t.Error("dead letters did not survive")
		}
	})
}

func TestJournalThatCannotBeReadIsReportedAndTriedAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(3)
		b.drained(time.Minute)
		b.memory.fail(fmt.Errorf("read segment: %w", io.ErrUnexpectedEOF))
		b.write(3)
		b.until(time.Minute, "failed", func() bool { return b.status().State == Failed })
		b.memory.fail(nil)
		b.drained(2 * time.Minute)
		b.delivered()
	})
}

func TestRemovingAReplicationThatHangsBlocksNobody(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(always(reply{hang: true}))
		b.write(3)
		synctest.Wait()
		other := b.spec
		other.ID++
		if err := b.set.Add(other); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := b.set.Remove(testReplication); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("removing a replication with a hanging request took %s", took)
		}
		if got := b.set.Statuses(); len(got) != 1 || got[0].ID != other.ID {
			t.Errorf("statuses: %+v", got)
		}
	})
}
