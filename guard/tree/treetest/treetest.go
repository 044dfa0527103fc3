// Package treetest makes trees for tests.
package treetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Folder opens a folder with files, texts by their paths, until the test ends.
func Folder(t testing.TB, files map[string]string) tree.Tree {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	return folder
}
