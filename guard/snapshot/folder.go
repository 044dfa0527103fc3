package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// draftPrefix begins the names of folders that are not snapshots yet.
const draftPrefix = ".taking-"

// Folder is a folder with snapshots, or with one. A snapshot is a folder in it, which is written beside its name, synced, and renamed.
type Folder string

func (f Folder) place(name, file string) string { return filepath.Join(string(f), name, file) }

func (f Folder) begin(_ context.Context, name string) (draft, error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of snapshots: %w", err)
	}
	final := f.place(name, "")
	if _, err := os.Lstat(final); err == nil {
		return nil, fmt.Errorf("the snapshot %s is there already: %w", final, fs.ErrExist)
	}
	tmp, err := os.MkdirTemp(string(f), draftPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a snapshot: %w", err)
	}
	return &folderDraft{tmp, final}, nil
}

type folderDraft struct{ tmp, final string }

func (d *folderDraft) write(_ context.Context, file string, content []byte) error {
	f, err := os.OpenFile(filepath.Join(d.tmp, file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func (d *folderDraft) commit(ctx context.Context, header []byte) error {
	if err := d.write(ctx, headerFile, header); err != nil {
		return err
	}
	if err := syncFolder(d.tmp); err != nil {
		return err
	}
	if err := os.Rename(d.tmp, d.final); err != nil {
		return fmt.Errorf("naming the snapshot: %w", err)
	}
	return syncFolder(filepath.Dir(d.final))
}

func (d *folderDraft) abandon() { _ = os.RemoveAll(d.tmp) } // the next run removes what is left

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	// Some systems cannot sync a folder; the rename is then as durable as they make it.
	_ = f.Sync()
	return f.Close()
}

func (f Folder) has(_ context.Context, name string) (bool, error) {
	info, err := os.Lstat(f.place(name, headerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode().IsRegular(), err
}

func (f Folder) names(ctx context.Context) (names []string, err error) {
	entries, err := os.ReadDir(string(f)) // by name, which is by age
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, ok := snapshotName(e.Name()); !ok || !e.IsDir() {
			continue
		}
		if ok, err := f.has(ctx, e.Name()); err != nil {
			return nil, err
		} else if ok {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (f Folder) read(_ context.Context, name, file string) ([]byte, error) {
	r, err := os.Open(f.place(name, file))
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it is only read
	return readAll(r, f.place(name, file))
}

func (f Folder) remove(_ context.Context, name string) error {
	if err := os.Remove(f.place(name, headerFile)); err != nil {
		return err
	}
	return os.RemoveAll(f.place(name, ""))
}

// tidy removes drafts, and what an interrupted remove left.
func (f Folder) tidy(ctx context.Context, now time.Time) error {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		path := f.place(e.Name(), "")
		if taken, ok := snapshotName(e.Name()); ok && e.IsDir() && now.Sub(taken) > 24*time.Hour {
			if whole, err := f.has(ctx, e.Name()); err == nil && !whole {
				errs = append(errs, os.RemoveAll(path))
			}
		}
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), draftPrefix) && now.Sub(info.ModTime()) > 24*time.Hour {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}
