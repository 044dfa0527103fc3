package keystore

import (
	"context"
	"io"
	"io/fs"
	"os"
	"time"
)

// FS is the disk as the key store uses it. Options.FS replaces it where faults are injected.
type FS interface {
	// Mkdir makes one folder for this account only. Its error wraps fs.ErrExist when there is something of this name.
	Mkdir(dir string) error
	Stat(path string) (fs.FileInfo, error)
	// List returns the names in a folder, sorted.
	List(dir string) ([]string, error)
	// Read returns a regular file, of which it reads at most a byte more than limit. It follows no symbolic link.
	Read(path string, limit int) ([]byte, fs.FileInfo, error)
	// Create makes a file for this account only. There must be none.
	Create(path string) (File, error)
	Remove(path string) error
	// Rename replaces what has the new name.
	Rename(path, newPath string) error
	// SyncDir makes the making, renaming and removing of a folder's files durable.
	SyncDir(dir string) error
	// Lock waits until no other goroutine or process holds the lock on a file, which it makes when it is not there.
	Lock(ctx context.Context, path string) (unlock func(), err error)
}

// File is a file that is written once, from its beginning.
type File interface {
	io.WriteCloser
	// Sync makes what was written durable.
	Sync() error
}

const (
	filePerm = 0o600
	dirPerm  = 0o700
)

type osFS struct{}

func (osFS) Mkdir(dir string) error                { return os.Mkdir(dir, dirPerm) }
func (osFS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }
func (osFS) Remove(path string) error              { return os.Remove(path) }
func (osFS) Rename(path, newPath string) error     { return rename(path, newPath) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, err
}

func (osFS) Read(path string, limit int) ([]byte, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &PermissionError{path, info.Mode().Perm(), "it is not a file"}
	}
	text, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	return text, info, err
}

func (osFS) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
}

func (osFS) SyncDir(dir string) error { return syncDir(dir) }

func (osFS) Lock(ctx context.Context, path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, filePerm)
	if err != nil {
		return nil, err
	}
	// No system's lock can be waited for together with a context, so it is asked again and again.
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		held, err := tryLock(file)
		if held {
			return func() { _ = file.Close() }, nil // which gives the lock back
		}
		if err != nil {
			_ = file.Close()
			return nil, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			_ = file.Close()
			return nil, ctx.Err()
		}
	}
}

// create makes a durable file.
func create(disk FS, path string, text []byte) error {
	file, err := disk.Create(path)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
