package journal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// small builds a journal of several segments on a disk in memory, with two cursors, and returns its files and records.
func small(t testing.TB, clean bool) (files map[string][]byte, want []Record, o Options) {
	t.Helper()
	disk := newMemFS()
	o = Options{Dir: "/j", SegmentBytes: 640, FS: disk, CursorInterval: -1}
	j := open(t, o)
	cursorOf(t, j, "store", true)
	c := cursorOf(t, j, "remote", false)
	for i := range 10 {
		r := points(i, 1+3*(i%2))
		mustAppend(t, j, r)
		want = append(want, r)
		if i == 3 || i == 6 {
			if err := c.Advance(Position(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, _, _ := j.kept(); n < 3 {
		t.Fatalf("%d segments, want at least 3", n)
	}
	if !clean {
		return disk.snapshot(), want, o
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return disk.snapshot(), want, o
}

// checkReads verifies that got holds records of want as they were, each missing one in a gap, and no record in a gap. It
// returns the missing positions.
func checkReads(got []read, want []Record) (missing []Position, err error) {
	next := Position(1)
	for _, g := range got {
		if g.gap == nil {
			if g.Position != next {
				return nil, fmt.Errorf("position %d follows %d without a gap", g.Position, next-1)
			}
			if err := same(g.Record, want[next-1], next); err != nil {
				return nil, err
			}
			next++
			continue
		}
		if g.gap.From != next || g.gap.To < g.gap.From || int(g.gap.To) > len(want) {
			return nil, fmt.Errorf("%v where record %d is due", g.gap, next)
		}
		if err := checkGap(g.gap, want); err != nil {
			return nil, err
		}
		for ; next <= g.gap.To; next++ {
			missing = append(missing, next)
		}
	}
	if int(next) != len(want)+1 {
		return nil, fmt.Errorf("reading ended at %d of %d without a gap", next-1, len(want))
	}
	return missing, nil
}

// checkGap verifies what a gap says of the records it stands for.
func checkGap(g *Gap, want []Record) error {
	n := 0
	for _, r := range want[g.From-1 : g.To] {
		n += r.Count
		if r.Count > 0 && g.Points >= 0 && (r.MinTime < g.MinTime || r.MaxTime > g.MaxTime) {
			return fmt.Errorf("%v says times %d to %d, the record has %d to %d", g, g.MinTime, g.MaxTime, r.MinTime, r.MaxTime)
		}
	}
	if g.Points >= 0 && g.Points != n {
		return fmt.Errorf("%v says %d points, there were %d", g, g.Points, n)
	}
	if g.Reason == ReasonDamaged && g.Err == nil {
		return fmt.Errorf("%v does not say what is damaged", g)
	}
	return nil
}

// damages are the ways in which the tests spoil one byte, or all from it on.
var damages = map[string]func(b []byte, at int) []byte{
	"flipped":   func(b []byte, at int) []byte { b[at] ^= 0xff; return b },
	"one bit":   func(b []byte, at int) []byte { b[at] ^= 1 << (at % 8); return b },
	"zeroed":    func(b []byte, at int) []byte { b[at] = 0; return b },
	"truncated": func(b []byte, at int) []byte { return b[:at] },
	"zero tail": func(b []byte, at int) []byte { clear(b[at:]); return b },
}

func TestDamageToAnyByteCostsAtMostItsRecordAndIsReported(t *testing.T) {
	files, want, o := small(t, true)
	for name := range files {
		if !strings.HasSuffix(name, segmentSuffix) {
			continue
		}
		for how, spoil := range damages {
			for at := range files[name] {
				damaged := restore(files)
				f := damaged.now[name]
				f.data = spoil(f.data, at)
				o.FS = damaged
				if err := survives(t, o, want, files[name], at, how); err != nil {
					t.Fatalf("%s, byte %d %s: %v", name, at, how, err)
				}
			}
		}
	}
}

// survives opens a damaged journal, reads it, appends to it, and reads it again after a reopen.
func survives(t *testing.T, o Options, want []Record, original []byte, at int, how string) error {
	j, err := Open(o)
	if err != nil {
		return err
	}
	missing, err := checkReads(readAll(t, j, 1), want)
	if err != nil {
		return err
	}
	if most := mayLose(original, at, how); len(missing) > most {
		return fmt.Errorf("records %v are lost, at most %d may be", missing, most)
	}
	report, err := check(o.FS, o.Dir)
	if err != nil {
		return err
	}
	if len(missing) > 0 && report.Intact() {
		return fmt.Errorf("records %v are lost and the check says that the journal is intact", missing)
	}
	if lost := len(want) - report.Records; lost != len(missing) {
		return fmt.Errorf("the check misses %d records, readers %d", lost, len(missing))
	}
	more := points(77, 2)
	if p, err := j.Append(t.Context(), more); err != nil || int(p) != len(want)+1 {
		return fmt.Errorf("append gave position %d, %v", p, err)
	}
	if err := j.Close(); err != nil {
		return err
	}
	if j, err = Open(o); err != nil {
		return err
	}
	again, err := checkReads(readAll(t, j, 1), append(slices.Clone(want), more))
	if err != nil {
		return fmt.Errorf("after reopen: %w", err)
	}
	if !slices.Equal(again, missing) {
		return fmt.Errorf("after reopen %v are missing, before %v", again, missing)
	}
	return j.Close()
}

// mayLose returns how many records damage at the given byte of a segment may cost: the one that it is in, or all from
// there on when their bytes are gone.
func mayLose(segment []byte, at int, how string) int {
	if at < headerSize && how != "truncated" && how != "zero tail" {
		return 0
	}
	n := 0
	for off := headerSize; off < len(segment); {
		end := off + prefixSize + int(le.Uint32(segment[off:]))
		if at < end && (at >= off || how == "truncated" || how == "zero tail") {
			n++
		}
		off = end
	}
	return n
}

func TestDamageAfterACrashCostsAtMostItsRecord(t *testing.T) {
	files, want, o := small(t, false)
	for name := range files {
		if !strings.HasSuffix(name, segmentSuffix) {
			continue
		}
		for at := range files[name] {
			damaged := restore(files)
			damaged.now[name].data[at] ^= 0xff
			o.FS = damaged
			j, err := Open(o)
			if err != nil {
				t.Fatalf("%s, byte %d: %v", name, at, err)
			}
			got := readAll(t, j, 1)
			_, last := j.Bounds()
			missing, err := checkReads(got, want[:last])
			if err != nil {
				t.Fatalf("%s, byte %d: %v", name, at, err)
			}
			// Only the newest record may go without a gap: with its head spoilt it looks like one that was never finished.
			if lost := len(want) - int(last) + len(missing); lost > mayLose(files[name], at, "flipped") {
				t.Fatalf("%s, byte %d: %d records are lost", name, at, lost)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDamagedCursorGoesOnFromAnOlderPosition(t *testing.T) {
	files, _, o := small(t, true)
	name := "/j/" + cursorDir + "/remote" + cursorSuffix
	for how, spoil := range damages {
		for at := range files[name] {
			if at%cursorSlot > slotHeader+cursorBytes && at%199 != 0 { // all that is used of both slots, some of the rest
				continue
			}
			damaged := restore(files)
			f := damaged.now[name]
			f.data = spoil(f.data, at)
			o.FS = damaged
			j, err := Open(o)
			if err != nil {
				t.Fatalf("byte %d %s: %v", at, how, err)
			}
			if p := cursorOf(t, j, "remote", false).Position(); p != 6 && p != 3 && p != 0 || p == 0 && how != "truncated" && how != "zero tail" {
				t.Fatalf("byte %d %s: cursor is at %d, want 6 or the position before, 3", at, how, p)
			}
			if err := cursorOf(t, j, "remote", false).Advance(8); err != nil {
				t.Fatal(err)
			}
			j = reopen(t, j, o)
			if p := cursorOf(t, j, "remote", false).Position(); p != 8 {
				t.Fatalf("byte %d %s: cursor is at %d after it was saved again, want 8", at, how, p)
			}
		}
	}
}

func TestDamagedStateFileForgetsNothing(t *testing.T) {
	disk := newMemFS()
	o := Options{Dir: "/j", SegmentBytes: 512, MaxBytes: 4096, FS: disk}
	j := open(t, o)
	for i := range 60 {
		mustAppend(t, j, points(i, 2))
	}
	before := readAll(t, j, 1)
	if before[0].gap == nil {
		t.Fatal("nothing was dropped")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	files := disk.snapshot()
	name := "/j/" + stateName
	for at := range files[name] {
		if at%stateSlot > 400 {
			continue
		}
		damaged := restore(files)
		damaged.now[name].data[at] ^= 0xff
		o.FS = damaged
		j := open(t, o)
		after := readAll(t, j, 1)
		if len(after) != len(before) || *after[0].gap != *before[0].gap {
			t.Fatalf("byte %d: first read is %v, want %v", at, after[0], before[0].gap)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
