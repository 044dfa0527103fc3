package access

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// acquire takes a lock, and waits for it: who holds it only writes a small file. The system gives it back when its holder ends.
func acquire(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncDir does nothing: NTFS journals its folders itself and offers no call to flush one.
func syncDir(string) error { return nil }
