//go:build unix

package render

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFolder keeps other processes from a folder until the file is closed, however this one ends. It leaves nothing behind.
func lockFolder(root *os.Root, _ string) (*os.File, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was done with it
		return nil, err
	}
	return f, nil
}
