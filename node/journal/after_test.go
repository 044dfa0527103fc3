package journal

import (
	"os"
	"testing"
)

func TestPositionsGoOnAfterTheFolderWasLost(t *testing.T) {
	dir := t.TempDir()
	for _, after := range []Position{0, 7} {
		j, err := Open(Options{Dir: dir, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for want := after + 1; want < after+4; want++ {
			if p, err := j.Append(t.Context(), Record{Kind: Points, Body: []byte("m v=1 1\n"), Count: 1}); err != nil || p != want {
				t.Fatalf("append after %d: position %d, %v; want %d", after, p, err, want)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}
