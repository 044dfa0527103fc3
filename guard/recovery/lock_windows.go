package recovery

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock keeps other processes from the file until it is closed, however this one ends.
func lock(f *os.File) error {
	// Far beyond the end, so that the file can be read meanwhile.
	at := &windows.Overlapped{OffsetHigh: 1 << 30}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
}
