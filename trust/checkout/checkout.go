// Package checkout reads the text files of a folder that something else keeps up to date, such as a checkout of a git repository or a mounted
// ConfigMap. It follows symbolic links within the folder only, and reads nothing below a name that begins with a dot.
package checkout

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Bounds of a folder.
const (
	MaxFiles = 20000   // files that are looked at
	MaxSize  = 4 << 20 // bytes of a file that is read
)

// Read gives a file, or each file of a folder whose base name is wanted, to a function, in the order of their names. A file that was named
// itself is wanted whatever its name. The function gets the path as one would type it. Files that cannot be read are in the error, and do
// not keep the others from being read.
func Read(at string, wanted func(base string) bool, do func(file string, text []byte)) error {
	info, err := os.Stat(at)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		// The file itself may be a link to wherever its owner keeps it.
		in, err := os.Open(at)
		return read(in, err, at, do)
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // it was only read
	return walk(root, at, wanted, do)
}

func walk(root *os.Root, at string, wanted func(base string) bool, do func(file string, text []byte)) error {
	var failed error
	seen := 0
	err := fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			failed = errors.Join(failed, err)
			return nil
		}
		if name != "." && strings.HasPrefix(path.Base(name), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() || !wanted(path.Base(name)) {
			return nil
		}
		if seen++; seen > MaxFiles {
			return fmt.Errorf("%s has more than %d files to read", at, MaxFiles)
		}
		if info, err := root.Stat(name); err != nil || !info.Mode().IsRegular() {
			return nil // a link to what is elsewhere, or to nothing
		}
		in, err := root.Open(name)
		failed = errors.Join(failed, read(in, err, filepath.Join(at, filepath.FromSlash(name)), do))
		return nil
	})
	return errors.Join(err, failed)
}

func read(in *os.File, err error, file string, do func(string, []byte)) error {
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	if len(text) > MaxSize {
		return fmt.Errorf("reading %s: it has more than %d bytes", file, MaxSize)
	}
	do(file, text)
	return nil
}
