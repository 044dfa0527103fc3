package replicate

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// damages calls f with every single-byte corruption and every truncation of content.
func damages(content []byte, f func(what string, damaged []byte)) {
	for i := range content {
		for _, c := range []byte{0, content[i] ^ 0x01, content[i] ^ 0x80} {
			if c == content[i] {
				continue
			}
			damaged := bytes.Clone(content)
			damaged[i] = c
			f(fmt.Sprintf("byte %d is %#x", i, c), damaged)
		}
		f(fmt.Sprintf("cut to %d bytes", i), content[:i])
	}
}

func TestDamagedStateIsSetAsideAndToldOf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateName)
	d := durable{Start: 5, Head: 9, Backlog: []Stretch{{6, 8, time.Unix(1, 0).UTC()}}, Counts: Counts{PointsSent: 7}}
	d.addGap(Gap{Reason: "dropped", From: 2, To: 4, Points: 3, MinTime: 10, MaxTime: 20})
	if err := d.save(dir); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, found, err := loadState(dir)
	if err != nil || !found || !reflect.DeepEqual(got, d) {
		t.Fatalf("read back %+v, %v, %v", got, found, err)
	}
	damages(content, func(what string, damaged []byte) {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		got, found, err := loadState(dir)
		if err != nil || found || got.Damage == "" || got.Start != 0 {
			t.Fatalf("%s: %+v, %v, %v", what, got, found, err)
		}
		aside, _, _ := strings.Cut(got.Damage, " ")
		if kept, err := os.ReadFile(aside); err != nil || !bytes.Equal(kept, damaged) {
			t.Fatalf("%s: the damaged file is not kept: %v", what, err)
		}
		if err := os.Remove(aside); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLostStateGoesOnAtThePosition(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(5)
		b.drained(time.Minute)
		b.stop()
		b.write(5)
		state := filepath.Join(b.dir, testReplication.String(), stateName)
		if err := os.WriteFile(state, []byte("holdfast-replication 1 00000000\n{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.add()
		b.drained(time.Minute)
		b.delivered()
		if s := b.status(); !strings.Contains(s.Damage, "checksum") {
			t.Errorf("damage: %q", s.Damage)
		}
	})
}

func TestDamageCostsAtMostTheDamagedDeadLetter(t *testing.T) {
	dir := t.TempDir()
	l, _, err := openLetters(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"m a=1 1", "m \xff=2 2", "m a=\"x\ny\" 3"}
	for _, text := range lines {
		if _, err := l.add([]DeadLetter{{At: time.Unix(9, 0).UTC(), Code: 400, Reason: "no", Line: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	damages(content, func(what string, damaged []byte) {
		if err := os.WriteFile(l.path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		again, told, err := openLetters(dir, 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		rows, err := again.list()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		lost := len(lines) - len(rows)
		cut := bytes.Count(damaged, []byte("\n")) < len(lines) // a newline is gone, or more
		if lost > 1 && !cut || lost > 0 && told == "" && len(damaged) == len(content) {
			t.Fatalf("%s: %d dead letters lost, told %q", what, lost, told)
		}
		for _, row := range rows {
			if !slices.Contains(lines, string(row.Line)) {
				t.Fatalf("%s: altered line %q", what, row.Line)
			}
		}
	})
}

func TestALineIsListedOnceAmongTheDeadLetters(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		l, _, err := openLetters(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := l.add([]DeadLetter{{Line: []byte("m a=1 1")}, {Line: []byte("m a=2 2")}}); err != nil {
				t.Fatal(err)
			}
		}
		if rows, err := l.list(); err != nil || len(rows) != 2 || rows[0].ID != 1 || rows[1].ID != 2 || l.len() != 2 {
			t.Errorf("%+v, %v", rows, err)
		}
	}
}

func TestGapsThatTouchBecomeOne(t *testing.T) {
	var d durable
	add := func(from, to journal.Position, points, low, high int64) {
		d.addGap(Gap{Reason: "dropped", From: from, To: to, Points: points, MinTime: low, MaxTime: high})
	}
	add(1, 10, 100, 50, 60)
	add(11, 20, 100, 60, 70)
	add(5, 8, 40, 52, 55) // found again
	add(30, 40, 5, 90, 95)
	add(25, 45, 9, 80, 99) // found again, larger
	want := []Gap{
		{ID: 1, Reason: "dropped", From: 1, To: 20, Points: 200, MinTime: 50, MaxTime: 70, NextMin: 50, NextMax: 70, State: GapOpen},
		{ID: 2, Reason: "dropped", From: 25, To: 45, Points: 9, MinTime: 80, MaxTime: 99, NextMin: 80, NextMax: 99, State: GapOpen},
	}
	if !reflect.DeepEqual(d.Gaps, want) {
		t.Errorf("got %+v", d.Gaps)
	}
}

func TestListOfGapsIsBounded(t *testing.T) {
	var d durable
	points := int64(0)
	for i := range 3 * maxOpenGaps {
		d.addGap(Gap{Reason: "dropped", From: journal.Position(10 * i), To: journal.Position(10*i + 3), Points: 2, MinTime: int64(i), MaxTime: int64(i)})
	}
	for _, g := range d.Gaps {
		points += g.Points
	}
	if n := len(d.Gaps); n > maxOpenGaps || points != 6*maxOpenGaps || d.Gaps[0].MinTime != 0 {
		t.Errorf("%d gaps with %d points, first from %d", n, points, d.Gaps[0].MinTime)
	}
	for i := range d.Gaps {
		d.Gaps[i].State = GapFilled
	}
	d.addGap(Gap{Reason: "damaged", From: 1, To: 1, Points: 1})
	if n := len(d.Gaps); n > keptFilled+1 {
		t.Errorf("%d gaps after all were filled", n)
	}
}

func TestWindowsOfAGapCoverItOnce(t *testing.T) {
	for _, order := range []Order{OldestFirst, NewestFirst} {
		for _, bounds := range [][2]int64{{0, 99}, {minTime, maxTime}, {maxTime - 5, maxTime}, {minTime, minTime}, {-3, 3}} {
			var d durable
			d.addGap(Gap{Reason: ReasonResync, MinTime: bounds[0], MaxTime: bounds[1]})
			g, width, covered := &d.Gaps[0], int64(7), uint64(0)
			for steps := 0; g.State == GapOpen; steps++ {
				low, high := g.edge(width, order)
				if low > high || low < bounds[0] || high > bounds[1] || steps > 100 {
					t.Fatalf("%v: window %d to %d at step %d", bounds, low, high, steps)
				}
				covered += uint64(high) - uint64(low) + 1
				g.take(low, high, 1, time.Now())
				width = grow(width, true)
			}
			if want := uint64(bounds[1]) - uint64(bounds[0]) + 1; covered != want {
				t.Errorf("%v: windows cover %d, want %d", bounds, covered, want)
			}
		}
	}
}
