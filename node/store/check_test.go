package store

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// checkedBucket returns the folder of a closed bucket.
func checkedBucket(t *testing.T) string {
	t.Helper()
	w := newDamageWorld(t)
	dirs, err := os.ReadDir(w.dir)
	if err != nil || len(dirs) != 1 {
		t.Fatal(dirs, err)
	}
	return filepath.Join(w.dir, dirs[0].Name())
}

func TestCheckFindsEveryFlippedByteAndChangesNothing(t *testing.T) {
	dir := checkedBucket(t)
	r, err := Check(t.Context(), dir)
	if err != nil || len(r.Damages) != 0 || r.Blocks == 0 || r.Rows == 0 {
		t.Fatalf("a whole bucket: %+v, %v", r, err)
	}
	whole := readFolder(t, dir)
	for _, name := range whole.names() {
		path, text := filepath.Join(dir, name), whole[name]
		for at := 0; at < len(text); at += max(len(text)/40, 1) {
			b := bytes.Clone(text)
			b[at] ^= 0x55
			must(t, os.WriteFile(path, b, 0o600))
			r, err := Check(t.Context(), dir)
			if err == nil && len(r.Damages) == 0 {
				t.Errorf("%s: the flipped byte %d of %d was not found", name, at, len(b))
			}
			for _, d := range r.Damages {
				if d.File != path {
					t.Errorf("%s: byte %d: damage of another file: %v", name, at, &d)
				}
			}
			after := readFolder(t, dir)
			if !bytes.Equal(after[name], b) || !slices.Equal(after.names(), whole.names()) {
				t.Fatalf("%s: byte %d: the check has changed the folder", name, at)
			}
		}
		must(t, os.WriteFile(path, text, 0o600))
	}
}

func TestCheckTellsOfMissingFiles(t *testing.T) {
	for pattern, lost := range map[string]bool{"*" + parquetSuffix: true, "*" + sidecarSuffix: false} {
		dir := checkedBucket(t)
		files, err := filepath.Glob(filepath.Join(dir, "*", pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		must(t, os.Remove(files[0]))
		r, err := Check(t.Context(), dir)
		if err != nil || len(r.Damages) == 0 || (r.Damages[len(r.Damages)-1].Lost != "") != lost {
			t.Errorf("without %s: %+v, %v", files[0], r.Damages, err)
		}
	}
}
