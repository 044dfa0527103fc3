package rule

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Changes are files as they are to be, and what each change is for.
type Changes struct {
	files map[string]*change // by the file that is changed
}

// change is what becomes of one file.
type change struct {
	was    []byte
	write  map[string][]byte // where it does not have the file itself, that one goes
	edited []*object.Object  // of which the content changes
	done   []string
}

// Empty says that there is nothing to change.
func (c *Changes) Empty() bool { return len(c.files) == 0 }

// Edits says whether the content of an object is changed, in the inventory that the changes were made from.
func (c *Changes) Edits(o inventory.Origin) bool {
	of := c.files[o.Path]
	return of != nil && slices.Contains(of.edited, o.Object)
}

// Drop leaves the files alone of which one of the paths, old or new, is among those, and says whether there was one.
func (c *Changes) Drop(paths map[string]bool) bool {
	before := len(c.files)
	maps.DeleteFunc(c.files, func(p string, of *change) bool {
		for name := range of.write {
			if paths[name] {
				return true
			}
		}
		return paths[p]
	})
	return len(c.files) < before
}

// Over returns a tree as it is with the changes made.
func (c *Changes) Over(t tree.Tree) tree.Tree {
	write, removed := make(map[string][]byte), make(map[string]bool)
	for p, of := range c.files {
		maps.Copy(write, of.write)
		removed[p] = of.write[p] == nil
	}
	return tree.With(t, write, removed)
}

// Apply makes the changes in a folder. A file that is no longer what it was is left alone, and an error. New files are there before old
// ones go. It returns a line for each change.
func (c *Changes) Apply(folder string) ([]string, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // every file in it was closed with its error
	paths := slices.Sorted(maps.Keys(c.files))
	for _, p := range paths {
		if now, err := root.ReadFile(filepath.FromSlash(p)); err != nil || string(now) != string(c.files[p].was) {
			return nil, fmt.Errorf("%s has changed since it was read: nothing was written; check again", p)
		}
	}
	var done []string
	for _, p := range paths {
		for _, name := range slices.Sorted(maps.Keys(c.files[p].write)) {
			if err := writeFile(root, filepath.FromSlash(name), c.files[p].write[name], name != p); err != nil {
				return nil, fmt.Errorf("writing %s: %w", name, err)
			}
		}
		done = append(done, c.files[p].done...)
	}
	for _, p := range paths {
		if c.files[p].write[p] == nil {
			if err := root.Remove(filepath.FromSlash(p)); err != nil {
				return nil, err
			}
		}
	}
	return done, nil
}

// writeFile replaces a file by one that is whole, or makes a new one where there is none.
func writeFile(root *os.Root, name string, data []byte, fresh bool) error {
	mode := os.FileMode(0o644) // as git has files
	if about, err := root.Stat(name); err == nil {
		if fresh {
			return errors.New("it is there already")
		}
		mode = about.Mode().Perm()
	}
	temporary := name + ".holdfast-new"
	f, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return nil
}
