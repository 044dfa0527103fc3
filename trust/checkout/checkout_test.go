package checkout_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/trust/checkout"
)

func TestAFolderIsReadAsFarAsItIsItsOwn(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "a.yaml"), "a")
	write(filepath.Join(dir, "deep", "b.yaml"), "b")
	write(filepath.Join(dir, "deep", "c.txt"), "c")
	write(filepath.Join(dir, ".git", "d.yaml"), "d")
	write(filepath.Join(dir, "..data", "e.yaml"), "e")
	write(filepath.Join(outside, "f.yaml"), "f")
	link(filepath.Join("..data", "e.yaml"), "e.yaml") // as a mounted ConfigMap has it
	link(filepath.Join(outside, "f.yaml"), "f.yaml")
	link("nowhere.yaml", "g.yaml")
	yaml := func(base string) bool { return strings.HasSuffix(base, ".yaml") }
	var got []string
	read := func(at string) error {
		got = nil
		return checkout.Read(at, yaml, func(file string, text []byte) { got = append(got, strings.TrimPrefix(file, dir)+"="+string(text)) })
	}
	if err := read(dir); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/a.yaml=a", "/deep/b.yaml=b", "/e.yaml=e"}; !slices.Equal(got, want) {
		t.Errorf("it reads %v, and not %v", got, want)
	}
	if err := read(filepath.Join(dir, "deep", "c.txt")); err != nil || !slices.Equal(got, []string{"/deep/c.txt=c"}) {
		t.Errorf("a file that was named: %v, %v", got, err)
	}
	// A file that is too large does not keep the others from being read.
	write(filepath.Join(dir, "aa.yaml"), strings.Repeat("x", checkout.MaxSize+1))
	if err := read(dir); err == nil || !strings.Contains(err.Error(), "aa.yaml: it has more than") || len(got) != 3 {
		t.Errorf("with a large file: %v, %v", got, err)
	}
	if err := read(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there is read")
	}
}
