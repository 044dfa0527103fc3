package store

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// filesBelow lists the files of a bucket's partitions.
func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Dir(path) != dir {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// On a full disk a block may still fit where the manifest does not. What is left then would keep the disk full.
func TestAManifestThatCannotBeWrittenLeavesNoBlocks(t *testing.T) {
	c := newClock(day(2))
	_, b := openTest(t, t.TempDir(), c, BucketOptions{})
	write(t, b, "m v=1 1772323200000000000\n")
	obstacle := filepath.Join(b.dir, manifestNames[0]+tempSuffix)
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.Flush(t.Context()); err == nil {
			t.Fatal("a flush succeeded without its manifest")
		}
	}
	if left := filesBelow(t, b.dir); len(left) > 0 {
		t.Errorf("left of the failed flushes: %s", strings.Join(left, " "))
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, b, allTime, false); len(got) != 1 {
		t.Errorf("after the flush there is %q", got)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	_, b := openTest(t, t.TempDir(), newClock(day(2)), BucketOptions{})
	write(t, b, "m v=1 1772323200000000000\n")
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := filesBelow(t, b.dir)
	if len(files) < 2 {
		t.Fatalf("a block and its sidecar are not in %q", files)
	}
	for _, path := range append(files, filepath.Join(b.dir, manifestNames[0])) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
			t.Errorf("%s may be read by others: %v", path, info.Mode())
		}
	}
}
