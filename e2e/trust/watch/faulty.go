package watch

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

// faulty is where the command of the same name was built by this process.
var faulty = struct {
	sync.Mutex
	dir string
}{}

// Faulty builds the command faulty, once, and returns its path. RemoveFaulty removes it.
func Faulty(ctx context.Context, t testing.TB) string {
	t.Helper()
	faulty.Lock()
	defer faulty.Unlock()
	if faulty.dir == "" {
		dir, err := os.MkdirTemp("", "faulty-")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-o", dir, "github.com/holdfast-telemetry/holdfast/e2e/trust/faulty")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building the command faulty: %v\n%s", err, out)
		}
		faulty.dir = dir
	}
	return filepath.Join(faulty.dir, "faulty")
}

// RemoveFaulty removes what Faulty built.
func RemoveFaulty() error {
	faulty.Lock()
	defer faulty.Unlock()
	dir := faulty.dir
	faulty.dir = ""
	if dir == "" {
		return nil
	}
	return os.RemoveAll(dir)
}

// Timing is the variable of the environment that gives the command faulty its times.
func Timing(t testing.TB, times rotation.Timing) string {
	t.Helper()
	if err := times.Validate(); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(times)
	if err != nil {
		t.Fatal(err)
	}
	return "FAULTY_TIMING=" + string(text)
}

// Kill is the variable that has the command faulty killed at a point of the rotation.
func Kill(point string) string { return "FAULTY_KILL=" + point }
