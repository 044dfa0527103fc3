package replicate

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

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
