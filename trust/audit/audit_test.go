package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func entry(n int) Entry {
	return Entry{
		Who:     Who{Kind: "oidc", Name: "https://issuer.example#repo:acme/app", Rule: "app"},
		What:    What{Action: "sign", Repository: "reg.example/acme/app", Digest: "sha256:" + strings.Repeat("ab", 32)},
		Key:     "images/7",
		Outcome: Signed,
		Request: fmt.Sprintf("r%d", n),
		Remote:  "192.0.2.7:4711",
	}
}

// opened opens a log that must have nothing to report.
func opened(t testing.TB, dir string) *Log {
	t.Helper()
	l, report, err := Open(dir)
	if err != nil || report != (Report{}) {
		t.Fatalf("opening the log: %+v, %v", report, err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing the log: %v", err)
		}
	})
	return l
}

func appended(t testing.TB, l *Log, n int) Head {
	t.Helper()
	head, err := l.Append(entry(n))
	if err != nil {
		t.Fatalf("appending entry %d: %v", n, err)
	}
	return head
}

// written is the folder of a closed log of n entries in segments of about size bytes, and its head.
func written(t testing.TB, n int, size int64) (dir string, head Head) {
	t.Helper()
	dir = t.TempDir()
	l := opened(t, dir)
	l.SegmentBytes = size
	l.Now = func() time.Time { return time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC) }
	for i := range n {
		head = appended(t, l, i)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, head
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t testing.TB, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnEntryIsInTheLogWhenAppendReturns(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	for i := range 3 {
		head := appended(t, l, i)
		if head != l.Head() {
			t.Errorf("the head is %v after line %v", l.Head(), head)
		}
		result, err := Verify(dir, head)
		if want := (Result{Segments: 1, Lines: uint64(i) + 2, Entries: uint64(i) + 1, Head: head}); err != nil || result != want {
			t.Errorf("the log verifies as %+v, %v; want %+v", result, err, want)
		}
	}
	lines := bytes.Split(read(t, segmentName(dir, 1)), []byte{'\n'})
	var got struct{ Who, What map[string]string }
	if err := json.Unmarshal(lines[2], &got); err != nil || got.Who["rule"] != "app" || got.What["repository"] != "reg.example/acme/app" {
		t.Errorf("the second entry is %s, %v", lines[2], err)
	}
}

func TestALogGoesOnAfterItWasClosed(t *testing.T) {
	dir, head := written(t, 3, DefaultSegmentBytes)
	l := opened(t, dir)
	if l.Head() != head {
		t.Errorf("the head is %v after opening, and was %v", l.Head(), head)
	}
	last := appended(t, l, 3)
	if result, err := Verify(dir, head, last); err != nil || result.Entries != 4 {
		t.Errorf("the log verifies as %+v, %v", result, err)
	}
}

func TestSegmentsAreBoundedAndChained(t *testing.T) {
	const size = 2000
	dir, head := written(t, 50, size)
	numbers, err := segments(dir)
	if err != nil || len(numbers) < 5 {
		t.Fatalf("segments are %v, %v", numbers, err)
	}
	for _, n := range numbers {
		if text := read(t, segmentName(dir, n)); len(text) > size+1000 {
			t.Errorf("segment %d has %d bytes", n, len(text))
		}
	}
	if result, err := Verify(dir, head); err != nil || result.Entries != 50 || result.Segments != len(numbers) {
		t.Errorf("the log verifies as %+v, %v", result, err)
	}
	if l := opened(t, dir); l.Head() != head {
		t.Errorf("the head is %v after opening, and was %v", l.Head(), head)
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	dir, _ := written(t, 4, 1000)
	numbers, err := segments(dir)
	if err != nil || len(numbers) != 2 {
		t.Fatalf("segments are %v, %v: two are wanted", numbers, err)
	}
	for _, n := range numbers {
		name := segmentName(dir, n)
		text := read(t, name)
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		put := func(at int, b byte) {
			if _, err := f.WriteAt([]byte{b}, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		for i, b := range text {
			for _, mask := range []byte{0x01, 0x20, 0xff} {
				put(i, b^mask)
				_, err := Verify(dir)
				var damage *Damage
				if !errors.As(err, &damage) {
					t.Fatalf("byte %d of segment %d was flipped by %#x, and Verify says %v", i, n, mask, err)
				}
				if want := bytes.Count(text[:i], []byte{'\n'}) + 1; damage.File != name || damage.Line != want {
					t.Fatalf("byte %d of segment %d is in line %d, and Verify says %v", i, n, want, damage)
				}
			}
			put(i, b)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Verify(dir); err != nil {
		t.Errorf("the log as it was: %v", err)
	}
}

func TestLinesThatAreRemovedMovedOrInsertedAreFound(t *testing.T) {
	dir, head := written(t, 6, DefaultSegmentBytes)
	name := segmentName(dir, 1)
	lines := bytes.SplitAfter(read(t, name), []byte{'\n'})
	lines = lines[:7]
	join := func(order ...int) []byte {
		var b []byte
		for _, i := range order {
			b = append(b, lines[i]...)
		}
		return b
	}
	for what, text := range map[string][]byte{
		"the first":      join(1, 2, 3, 4, 5, 6),
		"one removed":    join(0, 1, 2, 4, 5, 6),
		"one twice":      join(0, 1, 2, 2, 3, 4, 5, 6),
		"two swapped":    join(0, 1, 3, 2, 4, 5, 6),
		"the last":       join(0, 1, 2, 3, 4, 5),
		"all but one":    join(0),
		"all":            {},
		"a second start": join(0, 1, 2, 0, 3, 4, 5, 6),
	} {
		write(t, name, text)
		if _, err := Verify(dir, head); err == nil {
			t.Errorf("%s: Verify finds nothing", what)
		}
	}
	write(t, name, join(0, 1, 2, 3, 4, 5))
	if _, err := Verify(dir, head); !errors.Is(err, ErrTruncated) {
		t.Errorf("the last line is missing and its head is known: %v", err)
	}
	if _, err := Verify(dir); err != nil {
		t.Errorf("no chain shows that its end is missing when no head is known, and Verify says %v", err)
	}
}

func TestALogWrittenAnewIsNotTheOneWhoseHeadIsKnown(t *testing.T) {
	_, head := written(t, 6, DefaultSegmentBytes)
	dir := t.TempDir()
	l := opened(t, dir)
	for i := range 20 {
		appended(t, l, 100+i)
	}
	if _, err := Verify(dir, head); !errors.Is(err, ErrRewritten) {
		t.Errorf("another log has the known head's line: %v", err)
	}
}

func TestSegmentsThatAreMissingAreFound(t *testing.T) {
	for what, remove := range map[string]uint64{"the first": 1, "one in the middle": 3} {
		dir, _ := written(t, 50, 2000)
		if err := os.Remove(segmentName(dir, remove)); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(dir); err == nil {
			t.Errorf("%s is missing, and Verify finds nothing", what)
		}
	}
	if _, err := Verify(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder without a log verifies as %v", err)
	}
}

func TestArchivedSegmentsMayBeMissingWhenTheirHeadIsKnown(t *testing.T) {
	dir, _ := written(t, 50, 2000)
	r := reader{path: segmentName(dir, 1), number: 1}
	if damage := r.read(); damage != nil {
		t.Fatal(damage)
	}
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir, r.head); err != nil {
		t.Errorf("the last line of the missing segment is known, and Verify says %v", err)
	}
	if _, err := Verify(dir, Head{r.head.Sequence, Hash{1}}); err == nil {
		t.Error("another line is known, and Verify finds nothing")
	}
}

func TestATornLineIsCutAndReported(t *testing.T) {
	dir, _ := written(t, 3, DefaultSegmentBytes)
	name := segmentName(dir, 1)
	text := read(t, name)
	end := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
	for cut := end + 1; cut < len(text); cut += 7 {
		if err := os.Remove(segmentName(dir, 2)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		write(t, name, text[:cut])
		if _, err := Verify(dir); !errors.Is(err, ErrTorn) {
			t.Fatalf("%d bytes of a line verify as %v", cut-end, err)
		}
		l, report, err := Open(dir)
		if err != nil || report.Torn != int64(cut-end) || report.Damage != nil {
			t.Fatalf("%d bytes of a line are opened as %+v, %v", cut-end, report, err)
		}
		head := appended(t, l, 9)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if result, err := Verify(dir, head); err != nil || result.Entries != 3 {
			t.Fatalf("after %d bytes of a line were cut: %+v, %v", cut-end, result, err)
		}
		if !bytes.Contains(read(t, segmentName(dir, 2)), fmt.Appendf(nil, `"torn":%d`, cut-end)) {
			t.Fatalf("the new segment does not say that %d bytes were cut", cut-end)
		}
	}
}

func TestASegmentWhoseStartIsTornIsStartedAnew(t *testing.T) {
	for _, entries := range []int{0, 10} { // in the first segment, and in a later one
		dir, head := written(t, entries, 2000)
		numbers, err := segments(dir)
		if err != nil {
			t.Fatal(err)
		}
		name := segmentName(dir, uint64(len(numbers)+1))
		if entries == 0 {
			name = segmentName(dir, 1)
		}
		for _, torn := range []string{"", `{"sequence":`} {
			write(t, name, []byte(torn))
			l, report, err := Open(dir)
			if err != nil || report.Torn != int64(len(torn)) || report.Damage != nil {
				t.Fatalf("%d entries, and %q after them, are opened as %+v, %v", entries, torn, report, err)
			}
			last := appended(t, l, 1)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			known := []Head{last}
			if entries > 0 {
				known = append(known, head)
			}
			if result, err := Verify(dir, known...); err != nil || result.Entries != uint64(entries)+1 {
				t.Fatalf("%d entries, and %q after them, verify as %+v, %v", entries, torn, result, err)
			}
		}
	}
}

func TestADamagedSegmentIsReportedAndTheLogGoesOnAfterIt(t *testing.T) {
	dir, _ := written(t, 6, DefaultSegmentBytes)
	name := segmentName(dir, 1)
	text := read(t, name)
	at := bytes.Index(text, []byte(`"request":"r3"`))
	text[at+len(`"request":"`)] = 'R'
	write(t, name, text)

	l, report, err := Open(dir)
	if err != nil || report.Damage == nil || report.Damage.File != name || report.Damage.Line != 5 || report.Torn != 0 {
		t.Fatalf("a changed line is opened as %+v, %v", report, err)
	}
	if !strings.Contains(report.Damage.Error(), name+":5: ") {
		t.Errorf("the damage reads %q", report.Damage)
	}
	head := appended(t, l, 6)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, name), text) {
		t.Error("the damaged segment was changed")
	}
	if l := opened(t, dir); l.Head() != head {
		t.Errorf("the head is %v, want %v", l.Head(), head)
	}
	var damage *Damage
	result, err := Verify(dir, head)
	if !errors.As(err, &damage) || damage.Line != 5 || damage.File != name {
		t.Errorf("Verify names %v", err)
	}
	if result.Head != head || result.Segments != 2 || result.Entries != 4 {
		t.Errorf("Verify sees %+v, and not what is after the damage", result)
	}

	// The new segment holds the hash of the damaged one, so that even that cannot be changed any more.
	text[len(text)-10] ^= 1
	write(t, name, text)
	if result, _ := Verify(dir, head); result.Head == head {
		t.Error("what is after a damage that was changed again still verifies")
	}
}

func TestALastSegmentThatDoesNotFollowTheOneBeforeIsDamaged(t *testing.T) {
	dir, _ := written(t, 12, 2000)
	numbers, err := segments(dir)
	if err != nil || len(numbers) < 2 {
		t.Fatal(numbers, err)
	}
	before := segmentName(dir, numbers[len(numbers)-2])
	text := read(t, before)
	write(t, before, text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1])
	l, report, err := Open(dir)
	if err != nil || report.Damage == nil || report.Damage.Line != 1 {
		t.Fatalf("it is opened as %+v, %v", report, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTwoCannotAppendToOneLog(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	_, _, err := Open(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("the second is told: %v", err)
	}
	appended(t, l, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	opened(t, dir)
}

func TestAnAppendAfterCloseFails(t *testing.T) {
	l := opened(t, t.TempDir())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(entry(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("it returns %v", err)
	}
}

func TestFieldsAreBoundedAndMadeValid(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	e := entry(1)
	e.Reason = strings.Repeat("ü", maxField)
	e.Who.Name = "a\xffb\n\u2028<&>\x00"
	if _, err := l.Append(e); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir); err != nil {
		t.Error(err)
	}
	lines := bytes.Split(read(t, segmentName(dir, 1)), []byte{'\n'})
	var got Entry
	if err := json.Unmarshal(lines[1], &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Reason) > maxField || !strings.HasSuffix(got.Reason, "ü…") || got.Who.Name != "a\ufffdb\n\u2028<&>\x00" {
		t.Errorf("the entry reads %d bytes of reason, name %q", len(got.Reason), got.Who.Name)
	}
	if _, err := l.Append(Entry{Outcome: Signed}); err == nil {
		t.Error("an entry without an action was taken")
	}
}

func TestTheLongestEntryFitsIntoALine(t *testing.T) {
	long := strings.Repeat("\x01", maxField) // six bytes each in JSON
	e := Entry{Who{long, long, long}, What{long, long, long}, long, long, long, long, long}
	text, _, err := line{Sequence: 1 << 63, Time: utc(time.Now()), Entry: &e}.encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxLine {
		t.Errorf("it has %d bytes, and %d are read", len(text), maxLine)
	}
}

func TestHeadsAreReadAsWritten(t *testing.T) {
	_, head := written(t, 1, DefaultSegmentBytes)
	if got, err := ParseHead(head.String()); err != nil || got != head {
		t.Errorf("%v is read as %v, %v", head, got, err)
	}
	hash := strings.Repeat("a", 64)
	for _, text := range []string{"", "1", "1:", ":" + hash, "-1:" + hash, "01:" + hash, "1:" + hash[1:], "1:" + hash + "aa", "1:" + strings.ToUpper(hash), "1:" + hash + "\n"} {
		if _, err := ParseHead(text); err == nil {
			t.Errorf("%q was taken for a head", text)
		}
	}
}

// slowDisk counts syncs, and lets each last until others wait.
type slowDisk struct {
	osDisk
	syncs atomic.Int64
	gate  chan struct{} // a sync waits for it; closed when syncs are to be fast
}

type slowFile struct {
	file
	disk *slowDisk
}

func (d *slowDisk) open(name string, flag int) (file, error) {
	f, err := d.osDisk.open(name, flag)
	return slowFile{f, d}, err
}

func (f slowFile) Sync() error {
	if f.disk.syncs.Add(1) > 1 { // the first is for the start of the segment
		<-f.disk.gate
	}
	return f.file.Sync()
}

func TestAppendsAtTheSameTimeShareASync(t *testing.T) {
	const writers = 40
	dir := t.TempDir()
	d := &slowDisk{gate: make(chan struct{})}
	l, _, err := open(dir, d)
	if err != nil {
		t.Fatal(err)
	}
	heads := make([]Head, writers)
	var group sync.WaitGroup
	add := func(i int) {
		group.Go(func() {
			var err error
			if heads[i], err = l.Append(entry(i)); err != nil {
				t.Errorf("appending entry %d: %v", i, err)
			}
		})
	}
	until := func(what func() bool) {
		for deadline := time.Now().Add(10 * time.Second); !what(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("the writers do not get to where they must wait")
				return
			}
		}
	}
	add(0)
	until(func() bool { return d.syncs.Load() == 2 }) // the first commit is held at its sync
	for i := 1; i < writers; i++ {
		add(i)
	}
	until(func() bool {
		l.queue.Lock()
		defer l.queue.Unlock()
		return len(l.queue.waiting) == writers-1
	})
	close(d.gate)
	group.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := d.syncs.Load() - 1; n != 2 {
		t.Errorf("%d appends took %d syncs", writers, n)
	}
	if _, err := Verify(dir, heads...); err != nil {
		t.Errorf("heads of appends are not in the log: %v", err)
	}
}

// TestTheFormatDocumentIsTrue reads the example of FORMAT.md by what the document says, without this package's reader.
func TestTheFormatDocumentIsTrue(t *testing.T) {
	document := string(read(t, "FORMAT.md"))
	_, rest, _ := strings.Cut(document, "```json\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("FORMAT.md has no example")
	}
	previous := make([]byte, 32)
	lines := strings.Split(strings.TrimSuffix(example, "\n"), "\n")
	for i, text := range lines {
		body, hash, _ := strings.Cut(text, `,"hash":"`)
		h := sha256.New()
		h.Write(previous)
		h.Write([]byte(body + "}"))
		previous = h.Sum(nil)
		if hash != hex.EncodeToString(previous)+`"}` {
			t.Errorf("line %d has the hash %s, and the document's rule gives %x", i+1, hash, previous)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "0000000001.jsonl"), []byte(example))
	if result, err := Verify(dir); err != nil || result.Lines != uint64(len(lines)) || len(lines) < 3 {
		t.Errorf("the example verifies as %+v, %v", result, err)
	}
}
