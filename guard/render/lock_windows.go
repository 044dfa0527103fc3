package render

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// lockFolder keeps other processes from a folder until the file is closed, however this one ends. Folders cannot be locked here, so there
// is an empty file for each in the folder of temporary files.
func lockFolder(_ *os.Root, path string) (*os.File, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("holdfast-render-%x.lock", sha256.Sum256([]byte(strings.ToLower(whole))))
	f, err := os.OpenFile(filepath.Join(os.TempDir(), name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped)); err != nil {
		_ = f.Close() // nothing was done with it
		return nil, err
	}
	return f, nil
}
