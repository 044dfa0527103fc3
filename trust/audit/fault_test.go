package audit

import (
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

// faultyDisk fails calls at random, with half of a write done, as a full disk does.
type faultyDisk struct {
	osDisk
	random *rand.Rand
	chance float64
}

func (d *faultyDisk) fails() bool { return d.random.Float64() < d.chance }

func (d *faultyDisk) open(name string, flag int) (file, error) {
	if d.fails() {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	f, err := d.osDisk.open(name, flag)
	return faultyFile{f, d}, err
}

func (d *faultyDisk) remove(name string) error {
	if d.fails() {
		return syscall.EIO
	}
	return d.osDisk.remove(name)
}

func (d *faultyDisk) syncDir(dir string) error {
	if d.fails() {
		return syscall.EIO
	}
	return nil
}

type faultyFile struct {
	file
	disk *faultyDisk
}

func (f faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if f.disk.fails() {
		n, err := f.file.WriteAt(p[:f.disk.random.IntN(len(p)+1)], off)
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.file.WriteAt(p, off)
}

func (f faultyFile) Sync() error {
	if f.disk.fails() {
		return syscall.EIO
	}
	return nil // no test here cuts the power
}

func (f faultyFile) Truncate(size int64) error {
	if f.disk.fails() {
		return syscall.EIO
	}
	return f.file.Truncate(size)
}

// TestWhatWasAppendedStaysAndWhatFailedIsNotThereOverFaults runs a log on a disk that fails at every call now and then, closes and opens
// it again, and compares it with the list of what Append took.
func TestWhatWasAppendedStaysAndWhatFailedIsNotThereOverFaults(t *testing.T) {
	for seed := range uint64(60) {
		dir := t.TempDir()
		d := &faultyDisk{random: rand.New(rand.NewPCG(seed, 1))}
		var heads []Head
		failures := 0
		for range 4 {
			d.chance = 0
			l, report, err := open(dir, d)
			if err != nil || report != (Report{}) {
				t.Fatalf("seed %d: opening: %+v, %v", seed, report, err)
			}
			l.SegmentBytes = 3000
			for i := range 40 {
				d.chance = 0.2
				head, err := l.Append(entry(i))
				if err != nil {
					failures++
					continue
				}
				heads = append(heads, head)
			}
			d.chance = 0
			heads = append(heads, appended(t, l, 40)) // the disk works again
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		result, err := Verify(dir, heads...)
		if err != nil || result.Entries != uint64(len(heads)) {
			t.Fatalf("seed %d: %d entries were taken, and the log verifies as %+v, %v", seed, len(heads), result, err)
		}
		if failures == 0 {
			t.Fatalf("seed %d: nothing failed", seed)
		}
	}
}

// TestAKillBetweenFaultsLeavesALogThatOpens leaves the log as it is after a fault, with whatever is half done, as a kill does.
func TestAKillBetweenFaultsLeavesALogThatOpens(t *testing.T) {
	for seed := range uint64(100) {
		dir := t.TempDir()
		d := &faultyDisk{random: rand.New(rand.NewPCG(seed, 2))}
		var heads []Head
		for range 4 {
			d.chance = 0
			l, report, err := open(dir, d)
			if err != nil || report.Damage != nil {
				t.Fatalf("seed %d: opening: %+v, %v", seed, report, err)
			}
			l.SegmentBytes = 3000
			d.chance = 0.3
			for i := range 20 {
				head, err := l.Append(entry(i))
				if err == nil {
					heads = append(heads, head)
				}
			}
			if err := l.Close(); err != nil { // lets go of the lock; it writes nothing
				t.Fatal(err)
			}
		}
		d.chance = 0
		l, _, err := open(dir, d)
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, appended(t, l, 0))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(dir, heads...); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
