// Package tree lists and reads the files of a folder or of a git revision, in the order in which Argo CD walks them.
//
// A revision is read through the git program, which knows every form that a repository may have. Links are followed where their target
// is a file of the tree (Resolve does so for the folders that Applications name); one that leads nowhere is left out, and one that leads
// out of the tree is listed as such, for Argo CD refuses to render an application with it. Submodules are not entered, and listed by
// Submodules.
package tree

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
)

// File is a file of a tree.
type File struct {
	// Path is relative to the tree, with slashes.
	Path string
	// Hash is git's name of the content, where it is known without reading it, and otherwise empty.
	Hash string
	// Target is the path of the file that this one leads to, and its own where it is no link.
	Target string
	// Escapes says that it is a link out of the tree.
	Escapes bool
}

// Tree is a set of files that does not change, as long as nobody writes to the folder.
type Tree interface {
	// Name is for messages: "the folder env", "the revision main".
	Name() string
	// Files returns all files in Argo CD's order. The slice is the tree's: callers do not change it.
	Files() []File
	// Read returns the content of a file. It can be called by several goroutines.
	Read(File) ([]byte, error)
	// Close ends what the tree runs.
	Close() error
}

// Hash returns the name that git gives to a content.
func Hash(content []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// Compare orders paths as a walk meets them: names within a folder by their bytes, and a folder where its own name stands.
func Compare(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if x, y := a[i], b[i]; x != y {
			switch {
			case x == '/':
				return -1
			case y == '/':
				return 1
			}
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func sortFiles(files []File) {
	slices.SortFunc(files, func(a, b File) int { return Compare(a.Path, b.Path) })
}

// Under returns the files in a folder and below it, "" and "." for all. Files must be in the order of Compare.
func Under(files []File, folder string) []File {
	folder = Clean(folder)
	if folder == "" {
		return files
	}
	prefix := folder + "/"
	start, _ := slices.BinarySearchFunc(files, prefix, func(f File, p string) int { return Compare(f.Path, p) })
	end := start
	for end < len(files) && strings.HasPrefix(files[end].Path, prefix) {
		end++
	}
	return files[start:end]
}

// Find returns the file of a path. Files must be in the order of Compare.
func Find(files []File, path string) (File, bool) {
	n, found := slices.BinarySearchFunc(files, path, func(f File, p string) int { return Compare(f.Path, p) })
	if !found {
		return File{}, false
	}
	return files[n], true
}

// Clean returns a path relative to the tree in its shortest form, "" for the tree itself.
func Clean(p string) string {
	p = path.Clean("/" + p)[1:]
	return p
}

// Above yields the folders that a file of a tree is in, the innermost first, the tree itself ("") last.
func Above(file string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for file != "" {
			file = file[:max(strings.LastIndexByte(file, '/'), 0)]
			if !yield(file) {
				return
			}
		}
	}
}

// links resolves the links of a tree: targets has the target of each, as it is written. It returns the files without those that lead nowhere,
// and what those lead to that lead to folders.
func links(files []File, targets map[string]string) (kept []File, folders map[string]string) {
	if len(targets) == 0 {
		return files, nil
	}
	folders = make(map[string]string)
	byPath := make(map[string]File, len(files))
	for _, f := range files {
		byPath[f.Path] = f
	}
	for _, f := range files {
		if _, link := targets[f.Path]; link {
			path := f.Path
			var ok bool
			if f, ok = follow(f, byPath, targets); !ok {
				if len(Under(files, f.Target)) > 0 {
					folders[path] = f.Target
				}
				continue
			}
		}
		kept = append(kept, f)
	}
	return kept, folders
}

// maxLinks is how many links may lead to each other, as in Linux.
const maxLinks = 40

// follow finds what a link leads to, and says whether that is a file, or out of the tree.
// Of one that leads to no file, Target is the path that it leads to.
func follow(f File, byPath map[string]File, targets map[string]string) (File, bool) {
	at := f.Path
	for range maxLinks {
		target, link := targets[at]
		if !link {
			found, ok := byPath[at]
			f.Target, f.Hash = at, found.Hash
			return f, ok
		}
		joined := path.Join(path.Dir(at), target)
		if path.IsAbs(target) || joined == ".." || strings.HasPrefix(joined, "../") {
			f.Escapes = true
			return f, true
		}
		at = joined
	}
	f.Target = f.Path // they lead in a circle
	return f, false
}
