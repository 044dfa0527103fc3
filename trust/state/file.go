package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File keeps the record in a file, for instances on one machine. Beside it is a file with the ending .lock, which is locked while the record
// is replaced.
type File struct {
	// Path is the file's. Its folder must be there.
	Path string
}

// Load implements Store.
func (f *File) Load(context.Context) ([]byte, string, error) {
	in, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the state: %w", err)
	}
	defer func() { _ = in.Close() }() // it was only read
	record, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err != nil {
		return nil, "", fmt.Errorf("reading the state: %w", err)
	}
	if len(record) > MaxSize {
		return nil, "", fmt.Errorf("the state %s has more than %d bytes", f.Path, MaxSize)
	}
	return record, revision(record), nil
}

func revision(record []byte) string {
	sum := sha256.Sum256(record)
	return hex.EncodeToString(sum[:])
}

// Save implements Store. The file is replaced as a whole and is on the disk before Save returns.
func (f *File) Save(ctx context.Context, record []byte, before string) (string, error) {
	if len(record) > MaxSize {
		return "", fmt.Errorf("the state would have %d bytes: at most %d are allowed", len(record), MaxSize)
	}
	unlock, err := lock(f.Path + ".lock")
	if err != nil {
		return "", fmt.Errorf("locking the state: %w", err)
	}
	defer unlock()
	there, found, err := f.Load(ctx)
	if err != nil {
		return "", err
	}
	if found != before {
		return "", ErrConflict
	}
	if bytes.Equal(there, record) && found != "" {
		return found, nil
	}
	if err := replace(f.Path, record); err != nil {
		return "", fmt.Errorf("writing the state: %w", err)
	}
	return revision(record), nil
}

func replace(path string, record []byte) (err error) {
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	_, err = out.Write(record)
	err = errors.Join(err, out.Sync(), out.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
