package engine

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// files answers questions about a tree. It is the one place that says what is in it and what is not.
type files struct {
	tree  tree.Tree
	all   []tree.File
	asked map[question]string // and what was answered, as a hash
	count int

	linked []string // links to folders
}

// question is what was asked.
type question struct {
	Op   operation
	Path string
}

func newFiles(t tree.Tree) *files {
	return &files{tree: t, all: t.Files(), linked: tree.LinkedFolders(t), asked: make(map[question]string)}
}

// clean returns a path of the tree, and says whether it is in it.
func clean(p string) (string, bool) {
	p = path.Clean(p)
	switch {
	case p == "." || p == "":
		return "", true
	case p == ".." || strings.HasPrefix(p, "../"), strings.HasPrefix(p, "/"), strings.ContainsRune(p, 0):
		return p, false
	}
	return p, true
}

// find returns what is at a path, and where its files begin in the tree's order.
func (f *files) find(p string) (kind, int) {
	if p == "" {
		return folder, 0
	}
	at, found := slices.BinarySearchFunc(f.all, p, func(file tree.File, p string) int { return tree.Compare(file.Path, p) })
	if found {
		if f.all[at].Escapes {
			return link, at
		}
		return file, at
	}
	at, _ = slices.BinarySearchFunc(f.all, p+"/", func(file tree.File, p string) int { return tree.Compare(file.Path, p) })
	if at < len(f.all) && strings.HasPrefix(f.all[at].Path, p+"/") {
		return folder, at
	}
	for _, l := range f.linked {
		if p == l || strings.HasPrefix(p, l+"/") {
			return behind, at
		}
	}
	return missing, at
}

// links says whether a link to a folder is in a folder.
func (f *files) links(p string) bool {
	return slices.ContainsFunc(f.linked, func(l string) bool { return path.Join(".", path.Dir(l)) == path.Join(".", p) })
}

// list returns the entries of a folder whose files begin at a place.
func (f *files) list(p string, at int) []entry {
	prefix := ""
	if p != "" {
		prefix = p + "/"
	}
	var entries []entry
	for at < len(f.all) && strings.HasPrefix(f.all[at].Path, prefix) {
		name, _, below := strings.Cut(f.all[at].Path[len(prefix):], "/")
		entries = append(entries, entry{name, below})
		if !below {
			at++
			continue
		}
		under := prefix + name + "/"
		for at < len(f.all) && strings.HasPrefix(f.all[at].Path, under) {
			at++
		}
	}
	return entries
}

// answer answers a question, and notes it.
func (f *files) answer(q question) (answer, []byte, error) {
	if f.count++; f.count > Questions {
		return answer{}, nil, &Error{Fault: OfLimit, Message: fmt.Sprintf("it asks more than %d times for files", Questions)}
	}
	p, inside := clean(q.Path)
	if !inside {
		return answer{Kind: outside}, nil, nil // whatever the tree has
	}
	q.Path = p
	is, at := f.find(p)
	a := answer{Kind: is}
	var data []byte
	hash := string(is)
	switch {
	case q.Op == statOf && is == file && f.all[at].Target != p:
		a.Target = f.all[at].Target
		hash += " " + a.Target
	case q.Op == listOf && is == folder && f.links(p):
		a.Kind, hash = behind, string(behind)
	case q.Op == listOf && is == folder:
		a.Entries = f.list(p, at)
		hash = hashEntries(a.Entries)
	case q.Op == readOf && is == file:
		var err error
		if data, err = f.tree.Read(f.all[at]); err != nil {
			return answer{}, nil, err
		}
		if len(data) > MaxFile {
			return answer{}, nil, &Error{Fault: OfLimit, Path: p, Message: fmt.Sprintf("the file has %d bytes, and %d are read", len(data), MaxFile)}
		}
		if hash = f.all[at].Hash; hash == "" {
			hash = tree.Hash(data)
		}
	}
	f.asked[q] = hash
	return a, data, nil
}

// same says whether a question would get the same answer.
func (f *files) same(q question, hash string) bool {
	is, at := f.find(q.Path)
	switch {
	case q.Op == statOf && is == file && f.all[at].Target != q.Path:
		return string(is)+" "+f.all[at].Target == hash
	case q.Op == listOf && is == folder && f.links(q.Path):
		return hash == string(behind)
	case q.Op == listOf && is == folder:
		return hashEntries(f.list(q.Path, at)) == hash
	case q.Op == readOf && is == file:
		if f.all[at].Hash != "" {
			return f.all[at].Hash == hash
		}
		data, err := f.tree.Read(f.all[at])
		return err == nil && tree.Hash(data) == hash
	}
	return string(is) == hash
}

// read returns the files that were read.
func (f *files) read() []string {
	var paths []string
	for q := range f.asked {
		if is, _ := f.find(q.Path); q.Op == readOf && is == file {
			paths = append(paths, q.Path)
		}
	}
	slices.SortFunc(paths, tree.Compare)
	return paths
}

func hashEntries(entries []entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s\x00%t\x00", e.Name, e.Folder)
	}
	return tree.Hash([]byte(b.String()))
}
