package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// folder is the files of a folder in memory.
type folder map[string][]byte

func readFolder(t testing.TB, dir string) folder {
	t.Helper()
	out := folder{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[name], err = os.ReadFile(path)
		return err
	}))
	return out
}

// restore makes dir have exactly these files.
func (f folder) restore(t testing.TB, dir string) {
	t.Helper()
	have := readFolder(t, dir)
	for name := range have {
		if _, ok := f[name]; !ok {
			must(t, os.Remove(filepath.Join(dir, name)))
		}
	}
	for name, data := range f {
		if bytes.Equal(have[name], data) {
			continue
		}
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, data, 0o600))
	}
}

func (f folder) names() []string {
	var out []string
	for name := range f {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// damageWorld is a small bucket with wide and narrow blocks and a tombstone, the journal it came from, and what it answers.
type damageWorld struct {
	dir     string
	clock   *clock
	bo      BucketOptions
	records []any // *line.Batch or Delete, by position from 1
	files   folder
	want    []string
}

func newDamageWorld(t *testing.T) *damageWorld {
	w := &damageWorld{dir: t.TempDir(), clock: newClock(day(1)), bo: BucketOptions{ShardDuration: 24 * time.Hour}}
	s, b := openTest(t, w.dir, w.clock, w.bo)
	s.wideValues = 60
	at := day(1).UnixNano()
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "wide,host=h%d,zone=z f=%d.5,i=%di,u=%du,b=%t,s=\"text %d\" %d\n", i%2, i, i, i, i%3 == 0, i, at+int64(i)*1e9)
		if i%5 == 0 {
			fmt.Fprintf(&text, "small,host=h%d f=%d,s=\"x\" %d\nother v=%di %d\n", i%2, i, at+int64(i), i, at+int64(i))
		}
	}
	w.apply(t, b, parse(t, text.String()))
	must(t, b.Flush(context.Background()))
	w.apply(t, b, Delete{Range: TimeRange{day(1).UnixNano(), day(1).UnixNano() + 3e9}, Tags: []TagMatcher{{Key: "host", Value: "h0"}}})
	must(t, b.Flush(context.Background()))
	w.want = dump(t, b, allTime, false)
	must(t, s.Close())
	w.files = readFolder(t, w.dir)
	return w
}

func (w *damageWorld) apply(t *testing.T, b *Bucket, record any) {
	t.Helper()
	w.records = append(w.records, record)
	switch r := record.(type) {
	case *line.Batch:
		if partial := b.Admit(r, w.clock.now()); partial != nil {
			t.Fatal(partial)
		}
		b.Apply(uint64(len(w.records)), r)
	case Delete:
		b.ApplyDelete(uint64(len(w.records)), r)
	}
}

// replay is the journal.
func (w *damageWorld) replay(_ context.Context, from, to uint64, points func(uint64, *line.Batch) error, remove func(uint64, Delete) error) error {
	for pos := from; pos <= min(to, uint64(len(w.records))); pos++ {
		var err error
		switch r := w.records[pos-1].(type) {
		case *line.Batch:
			err = points(pos, r)
		case Delete:
			err = remove(pos, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// open opens the bucket quietly.
func (w *damageWorld) open(t *testing.T) (*Store, *Bucket) {
	t.Helper()
	s, err := Open(Options{Dir: w.dir, Now: w.clock.now, Manual: true, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	s.wideValues = 60
	b, err := s.Bucket(testBucket, w.bo)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, b
}

// missing returns what of want is not in got, and fails when got has something that want has not.
func missing(t *testing.T, what string, got, want []string) []string {
	t.Helper()
	have := make(map[string]bool)
	for _, v := range got {
		have[v] = true
	}
	var out []string
	for _, v := range want {
		if !have[v] {
			out = append(out, v)
		}
		delete(have, v)
	}
	for v := range have {
		t.Fatalf("%s: a value that was never written is read: %s", what, v)
	}
	return out
}

// TestDamageCostsAtMostTheDamagedBlockAndIsReported damages a small folder in every way and place, one at a time.
func TestDamageCostsAtMostTheDamagedBlockAndIsReported(t *testing.T) {
	t.Parallel()
	w := newDamageWorld(t)
	stride := 1
	if testing.Short() {
		stride = 23
	}
	cases, lossless := 0, 0
	for _, name := range w.files.names() {
		data := w.files[name]
		for at := 0; at < len(data); at += stride {
			flipped := slices.Clone(data)
			flipped[at] ^= 1 << (at % 8)
			w.suffer(t, fmt.Sprintf("%s with byte %d of %d flipped", name, at, len(data)), name, flipped, &cases, &lossless)
		}
		for _, cut := range []int{0, 1, len(data) / 3, len(data) / 2, len(data) - 1} {
			w.suffer(t, fmt.Sprintf("%s cut to %d of %d bytes", name, cut, len(data)), name, data[:cut], &cases, &lossless)
		}
		zeroed := slices.Clone(data)
		clear(zeroed[len(data)/4 : len(data)/2])
		w.suffer(t, name+" with a quarter zeroed", name, zeroed, &cases, &lossless)
	}
	t.Logf("%d files, %d cases; %d of them lost nothing", len(w.files), cases, lossless)
}

// suffer opens the folder with one file changed and checks what the store makes of it.
func (w *damageWorld) suffer(t *testing.T, what, name string, data []byte, cases, lossless *int) {
	t.Helper()
	*cases++
	w.files.restore(t, w.dir)
	must(t, os.WriteFile(filepath.Join(w.dir, name), data, 0o600))
	s, b := w.open(t)
	defer func() { must(t, s.Close()) }()
	lost := missing(t, what, dump(t, b, allTime, *cases%2 == 0), w.want)
	if len(lost) > 100 {
		t.Fatalf("%s: %d values are lost, more than a block has", what, len(lost))
	}
	_, err := b.Verify(context.Background())
	must(t, err)
	damages := b.Damages()
	if len(damages) == 0 {
		t.Fatalf("%s: nothing was reported", what)
	}
	admits := slices.ContainsFunc(damages, func(d Damage) bool { return d.Lost != "" })
	if len(lost) > 0 && !admits {
		t.Fatalf("%s: %d values are lost but the report says that nothing is: %v", what, len(lost), damages[0].Error())
	}
	if len(lost) == 0 {
		*lossless++
	}
	if !admits || *cases%8 != 0 { // a restore syncs many files
		return
	}
	for _, d := range damages {
		if err := b.Restore(context.Background(), d, w.replay); err != nil && !strings.Contains(err.Error(), "merged into another") {
			t.Fatalf("%s: %v", what, err)
		}
	}
	compareDumps(t, what+", after the restore from the journal", dump(t, b, allTime, false), w.want)
}

func TestBothManifestsLostAreMadeAgainFromTheBlocks(t *testing.T) {
	w := newDamageWorld(t)
	for _, name := range w.files.names() {
		if strings.Contains(name, "MANIFEST") {
			must(t, os.WriteFile(filepath.Join(w.dir, name), []byte("garbage"), 0o600))
		}
	}
	s, b := w.open(t)
	defer func() { must(t, s.Close()) }()
	if n := b.Flushed(); n != 1 {
		t.Errorf("flushed position %d, want 1: that of the newest block", n)
	}
	b.ApplyDelete(2, w.records[1].(Delete)) // the journal is replayed from there
	compareDumps(t, "after the replay", dump(t, b, allTime, false), w.want)
	if partial := b.Admit(parse(t, fmt.Sprintf("small f=1i %d", day(1).UnixNano())), w.clock.now()); partial == nil {
		t.Error("the field types were lost")
	}
	if d := b.Damages(); len(d) != 3 {
		t.Errorf("%d damages are reported, want those of both files and of the loss: %v", len(d), d)
	}
}

func TestStoreOfANewerVersionIsNotTouched(t *testing.T) {
	w := newDamageWorld(t)
	for name, data := range w.files {
		if strings.Contains(name, "MANIFEST") {
			data = slices.Clone(data)
			data[4]++
			must(t, os.WriteFile(filepath.Join(w.dir, name), data, 0o600))
		}
	}
	before := readFolder(t, w.dir)
	s, err := Open(Options{Dir: w.dir, Manual: true})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	if _, err := s.Bucket(testBucket, w.bo); !errors.Is(err, errManifestVersion) {
		t.Errorf("open: %v", err)
	}
	after := readFolder(t, w.dir)
	if !slices.Equal(before.names(), after.names()) {
		t.Error("files were removed")
	}
}

func TestLeftOverFilesAreRemovedAtOpen(t *testing.T) {
	w := newDamageWorld(t)
	var part string
	for _, name := range w.files.names() {
		if strings.HasSuffix(name, parquetSuffix) {
			part = filepath.Dir(name)
		}
	}
	for _, name := range []string{"000000000099.parquet", "000000000099.idx", "000000000098.parquet.tmp"} {
		must(t, os.WriteFile(filepath.Join(w.dir, part, name), []byte("x"), 0o600))
	}
	s, b := w.open(t)
	defer func() { must(t, s.Close()) }()
	if got := readFolder(t, w.dir).names(); !slices.Equal(got, w.files.names()) {
		t.Errorf("files %q, want %q", got, w.files.names())
	}
	compareDumps(t, "after open", dump(t, b, allTime, false), w.want)
}
