package render

import (
	"fmt"
	"path"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Committed is an output as a tree has it: a folder, or a revision.
type Committed struct {
	tree  tree.Tree
	files map[string]tree.File
	names []string
}

// NewCommitted looks at a folder of a tree.
func NewCommitted(t tree.Tree, folder string) *Committed {
	c := &Committed{tree: t, files: make(map[string]tree.File)}
	folder = tree.Clean(folder)
	for _, f := range tree.Under(t.Files(), folder) {
		if name := path.Base(f.Path); tree.Clean(path.Dir("/"+f.Path)) == folder {
			c.files[name] = f
			c.names = append(c.names, name)
		}
	}
	return c
}

// Names returns the names of the folder's files and links.
func (c *Committed) Names() ([]string, error) { return c.names, nil }

// Read reads a file of the folder. It follows no link.
func (c *Committed) Read(name string) ([]byte, bool, error) {
	f, ok := c.files[name]
	switch {
	case !ok:
		return nil, false, nil
	case f.Escapes || f.Target != f.Path:
		return nil, true, errNotPlain{"a link"}
	}
	data, err := c.tree.Read(f)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s in %s: %w", f.Path, c.tree.Name(), err)
	}
	return data, true, nil
}

// Same says whether two names are one file.
func (c *Committed) Same(a, b string) bool { return a == b }
