package state

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lock waits for the lock of a file, which it makes, and returns what gives it up. The kernel gives it up when the process ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &windows.Overlapped{}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // which unlocks it
}

// syncDir has nothing to do: the file system journals renames.
func syncDir(string) error { return nil }
