package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is the disk as the journal uses it. Options.FS replaces it where faults are injected.
type FS interface {
	// OpenFile opens a file as os.OpenFile does.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// ReadDir lists a folder, sorted by name.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// Mkdir creates one folder. The folder above must exist.
	Mkdir(dir string, perm fs.FileMode) error
	Remove(name string) error
	// Rename replaces newName when it exists.
	Rename(oldName, newName string) error
	// SyncDir makes the creation, renaming and removal of the folder's entries durable, where the system needs that.
	SyncDir(dir string) error
	// Free returns the bytes that an unprivileged process may still write to the file system of dir.
	Free(dir string) (uint64, error)
}

// File is an open file. Reads and writes name their offset, so that one File serves many goroutines.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes all that was written durable, and the size with it.
	Sync() error
	// Size returns the file's length in bytes.
	Size() (int64, error)
}

// Files and folders are for the node's account only: line protocol may hold what nobody else should read.
const (
	filePerm = 0o600
	dirPerm  = 0o700
)

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }
func (osFS) Mkdir(dir string, perm fs.FileMode) error  { return os.Mkdir(dir, perm) }
func (osFS) Remove(name string) error                  { return os.Remove(name) }
func (osFS) Rename(oldName, newName string) error      { return os.Rename(oldName, newName) }
func (osFS) SyncDir(dir string) error                  { return syncDir(dir) }
func (osFS) Free(dir string) (uint64, error)           { return freeBytes(dir) }

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// makeDir makes sure that a folder exists, with those above it, and that each one's entry in the one above is durable:
// otherwise a cut of power may take away the folder with all that was synced in it.
func makeDir(fsys FS, dir string) error {
	parent := filepath.Dir(dir)
	err := fsys.Mkdir(dir, dirPerm)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
		err = fsys.Mkdir(dir, dirPerm)
	}
	existed := errors.Is(err, fs.ErrExist)
	if err != nil && !existed {
		return err
	}
	if err := fsys.SyncDir(parent); err != nil && !(existed && errors.Is(err, fs.ErrPermission)) {
		return fmt.Errorf("sync the folder of %s: %w", dir, err)
	}
	return nil
}
