package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// syncDir makes the names in a folder durable. Windows has no such call and orders them itself.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// tempSuffix marks files that are not whole yet. They are removed when the bucket is opened.
const tempSuffix = ".tmp"

// writeFile writes a file whole or not at all: under a temporary name, synced, renamed. The folder is not synced.
func writeFile(path string, data []byte) error {
	f, err := createTemp(path)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(data)
	return finishFile(f, path, err)
}

// createTemp makes the temporary file of path. Points are for their owner's eyes only.
func createTemp(path string) (*os.File, error) {
	return os.OpenFile(path+tempSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// finishFile syncs and closes the temporary file of path and gives it its name, or removes it when err is not nil.
func finishFile(f *os.File, path string, err error) error {
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", filepath.Base(path), err), removeFile(f.Name()))
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
