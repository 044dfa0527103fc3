package tree

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// Linked is a tree that may have links to folders. They are in none of the lists.
type Linked interface {
	// LinkedFolders has what each of those links leads to, by its path.
	LinkedFolders() map[string]string
}

// LinkedFolders are the paths of a tree's links to folders, in the order of Compare.
func LinkedFolders(t Tree) []string {
	l, ok := t.(Linked)
	if !ok {
		return nil
	}
	return slices.SortedFunc(maps.Keys(l.LinkedFolders()), Compare)
}

// Resolve returns the path of a folder without the links that its parents are. A link that is the folder itself stays: who walks over it
// does not enter it.
func Resolve(t Tree, folder string) string {
	l, ok := t.(Linked)
	if !ok || len(l.LinkedFolders()) == 0 {
		return folder
	}
	targets, at := l.LinkedFolders(), Clean(folder)
	for n := range maxLinks {
		parent := path.Dir(at)
		for parent != "." && targets[parent] == "" {
			parent = path.Dir(parent)
		}
		switch {
		case parent == "." && n == 0:
			return folder
		case parent == ".":
			return at
		}
		at = path.Join(targets[parent], strings.TrimPrefix(at, parent+"/"))
	}
	return folder
}

// Submodules are the submodules of a tree, which are not entered: their paths and commits.
func Submodules(t Tree) []File {
	if r, ok := t.(*revision); ok {
		return r.submodules
	}
	return nil // those of a folder are folders as others
}
