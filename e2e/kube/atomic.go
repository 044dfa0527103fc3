package kube

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	dataLink    = "..data"     // points at the folder with the current files
	newDataLink = "..data_tmp" // becomes dataLink
)

// WriteVolume puts files into dir the way the kubelet's atomic writer does (pkg/volume/util/atomic_writer.go), so that a program
// that watches dir sees the same events:
//
//	dir/..2026_01_02_15_04_05.123456/  the files, in folders if their paths have any
//	dir/..data                         a symlink to that folder, which one rename replaces
//	dir/<name>                         a symlink to ..data/<name> for the first element of each path
//
// When the contents are the same and no file has gone, nothing is written. Links of files that have gone, and then the old
// folder, are removed last.
func WriteVolume(dir string, files map[string]File) error {
	files, err := cleanPaths(files)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = writer{dir: dir}.write(files)
	}
	if err != nil {
		return fmt.Errorf("writing volume %s: %w", dir, err)
	}
	return nil
}

// cleanPaths refuses paths that leave the volume or that would be taken for its own links.
func cleanPaths(files map[string]File) (map[string]File, error) {
	clean := make(map[string]File, len(files))
	for name, f := range files {
		if !filepath.IsLocal(filepath.FromSlash(name)) || strings.HasPrefix(name, "..") {
			return nil, fmt.Errorf("invalid path of a file: %q", name)
		}
		clean[path.Clean(name)] = f
	}
	return clean, nil
}

type writer struct{ dir string }

func (w writer) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w writer) write(files map[string]File) error {
	old, err := os.Readlink(w.path(dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var gone []string
	if old != "" {
		if gone, err = w.gone(old, files); err != nil {
			return err
		}
	}
	if old != "" && len(gone) == 0 && w.same(old, files) {
		return w.link(files)
	}
	if err := w.publish(files); err != nil {
		return err
	}
	if err := w.link(files); err != nil {
		return err
	}
	for _, name := range gone {
		if strings.Contains(name, "/") {
			continue // it had no link of its own
		}
		if err := os.Remove(w.path(name)); err != nil {
			return err
		}
	}
	if old == "" {
		return nil
	}
	return os.RemoveAll(w.path(old))
}

// gone returns the files and folders of the old folder that are in none of the new paths.
func (w writer) gone(old string, files map[string]File) ([]string, error) {
	kept := map[string]bool{".": true}
	for name := range files {
		for p := name; p != "."; p = path.Dir(p) {
			kept[p] = true
		}
	}
	var gone []string
	err := fs.WalkDir(os.DirFS(w.path(old)), ".", func(p string, _ fs.DirEntry, err error) error {
		if err == nil && !kept[p] {
			gone = append(gone, p)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) { // somebody removed the folder: there is nothing to keep
		return nil, nil
	}
	return gone, err
}

// same tells whether the old folder has all files with these contents. Their modes do not count, as with the kubelet.
func (w writer) same(old string, files map[string]File) bool {
	for name, f := range files {
		b, err := os.ReadFile(w.path(path.Join(old, name)))
		if err != nil || !bytes.Equal(b, f.Data) {
			return false
		}
	}
	return true
}

// publish writes the files into a folder of their own and has dataLink point there.
func (w writer) publish(files map[string]File) (err error) {
	folder, err := os.MkdirTemp(w.dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(folder)
		}
	}()
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeFile(filepath.Join(folder, filepath.FromSlash(name)), files[name]); err != nil {
			return err
		}
	}
	if err := os.Symlink(filepath.Base(folder), w.path(newDataLink)); err != nil {
		return err
	}
	return os.Rename(w.path(newDataLink), w.path(dataLink))
}

// writeFile gives the file its mode whatever the umask is.
func writeFile(name string, f File) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(name, f.Data, 0o600); err != nil {
		return err
	}
	return os.Chmod(name, f.Mode)
}

// link makes the links that are missing for the first elements of the paths.
func (w writer) link(files map[string]File) error {
	for name := range files {
		first, _, _ := strings.Cut(name, "/")
		err := os.Symlink(filepath.Join(dataLink, first), w.path(first))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
