package keystore

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

const (
	noFollow = 0
	nonBlock = 0
)

// modes is false: what Go tells as the mode of a file follows from its read-only attribute. Who may read it is in its access list.
const modes = false

// tryLock takes the lock unless it is held. It is given back when the file is closed, also by the end of the process.
func tryLock(file *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return false, nil
	}
	return false, &os.PathError{Op: "LockFileEx", Path: file.Name(), Err: err}
}

// syncDir does nothing: NTFS journals its folders itself and offers no call to flush one.
func syncDir(string) error { return nil }

// rename replaces a file. That is refused while another process reads the old one, which is soon over.
func rename(path, newPath string) error {
	for attempt := 1; ; attempt++ {
		err := os.Rename(path, newPath)
		if attempt == 100 || !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func owner(fs.FileInfo) (uid, self int, ok bool) { return 0, 0, false }
