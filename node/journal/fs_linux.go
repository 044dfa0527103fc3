package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync leaves out the times of the inode, which nothing here reads; the size is written.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}
