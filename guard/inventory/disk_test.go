package inventory

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

func TestACacheGivesWhatItGot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	file := object.Read("a.yaml", []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"), object.Stateful())
	open := func() *Disk {
		t.Helper()
		d, err := OpenDisk(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	if d.Get(".yaml", "x") != nil {
		t.Error("an empty cache has something")
	}
	d.Put(".yaml", "x", file)
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	if d = open(); !reflect.DeepEqual(d.Get(".yaml", "x"), file) || d.Get(".json", "x") != nil {
		t.Error("it does not give what it got, or gives it for another ending")
	}
	if other, err := OpenDisk(dir, object.Kinds{{Kind: "Pod"}: true}); err != nil || other.Get(".yaml", "x") != nil {
		t.Errorf("a cache for other kinds has it: %v", err)
	}
	d.Put(".yaml", "y", file)
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	damaged(t, open, dir)
}

// damaged flips each byte of the cache's file: what is still given must be right.
func damaged(t *testing.T, open func() *Disk, dir string) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	good, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	whole := open()
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x55
		if err := os.WriteFile(paths[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, hash := range []string{"x", "y"} {
			if got := open().Get(".yaml", hash); got != nil && !reflect.DeepEqual(got, whole.Get(".yaml", hash)) {
				t.Fatalf("with byte %d flipped it gives %+v", i, got)
			}
		}
	}
}
