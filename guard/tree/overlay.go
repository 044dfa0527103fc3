package tree

import "slices"

// overlay is a tree with other contents on top of it.
type overlay struct {
	Tree
	files []File
	write map[string][]byte
}

// With returns a tree as it is once files are written and others are removed. Links go with what they lead to. It reads the tree beneath, which
// stays the caller's to close.
func With(t Tree, write map[string][]byte, removed map[string]bool) Tree {
	o := &overlay{Tree: t, write: write}
	there := make(map[string]bool)
	for _, f := range t.Files() {
		there[f.Path] = true
		if removed[f.Target] {
			continue
		}
		if data, ok := write[f.Target]; ok && !f.Escapes {
			f.Hash = Hash(data)
		}
		o.files = append(o.files, f)
	}
	for p, data := range write {
		if !there[p] {
			o.files = append(o.files, File{Path: p, Target: p, Hash: Hash(data)})
		}
	}
	sortFiles(o.files)
	return o
}

func (o *overlay) Files() []File { return slices.Clip(o.files) }
func (o *overlay) Close() error  { return nil }

func (o *overlay) Read(f File) ([]byte, error) {
	if data, ok := o.write[f.Target]; ok && !f.Escapes {
		return data, nil
	}
	return o.Tree.Read(f)
}

// LinkedFolders implements Linked.
func (o *overlay) LinkedFolders() map[string]string {
	if linked, ok := o.Tree.(Linked); ok {
		return linked.LinkedFolders()
	}
	return nil
}
