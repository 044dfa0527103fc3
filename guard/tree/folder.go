package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// folder is a tree on the disk.
type folder struct {
	root  *os.Root
	path  string
	files []File

	linked map[string]string
}

// LinkedFolders implements Linked.
func (t *folder) LinkedFolders() map[string]string { return t.linked }

// Folder opens a folder. Folders named .git are left out.
func Folder(path string) (Tree, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening the folder %s: %w", path, err)
	}
	t := &folder{root: root, path: path}
	if err := t.list(); err != nil {
		return nil, errors.Join(fmt.Errorf("listing the folder %s: %w", path, err), root.Close())
	}
	return t, nil
}

func (t *folder) list() error {
	targets := make(map[string]string)
	err := fs.WalkDir(t.root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := t.root.Readlink(path)
			if err != nil {
				return err
			}
			targets[path] = filepath.ToSlash(target)
		case !entry.Type().IsRegular():
			return nil
		}
		t.files = append(t.files, File{Path: path, Target: path})
		return nil
	})
	sortFiles(t.files)
	t.files, t.linked = links(t.files, targets)
	return err
}

func (t *folder) Name() string  { return "the folder " + t.path }
func (t *folder) Files() []File { return t.files }
func (t *folder) Close() error  { return t.root.Close() }

func (t *folder) Read(f File) ([]byte, error) {
	if f.Escapes {
		return nil, fmt.Errorf("%s leads out of %s", f.Path, t.Name())
	}
	return t.root.ReadFile(f.Target)
}
