//go:build unix

package keystore

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// noFollow refuses symbolic links, and does not wait for the other end of a named pipe.
const noFollow = syscall.O_NOFOLLOW | nonBlock

const nonBlock = syscall.O_NONBLOCK

// modes says that the mode of a file tells who may read it.
const modes = true

// tryLock takes the lock unless it is held. It is given back when the file is closed, also by the end of the process.
func tryLock(file *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, &os.PathError{Op: "flock", Path: file.Name(), Err: err}
		}
	}
}

// syncDir makes the making, renaming and removing of a folder's files durable.
func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func rename(path, newPath string) error { return os.Rename(path, newPath) }

// owner returns the account that a file belongs to and the one of this process.
func owner(info fs.FileInfo) (uid, self int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), os.Geteuid(), true
}
