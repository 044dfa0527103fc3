package settings

import (
	"fmt"
	"path"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// In reads the settings of a tree. Where it has none, they are the defaults.
func In(t tree.Tree) (*Settings, error) {
	text, err := inTree(t, Name)
	if err != nil {
		return nil, err
	}
	s, err := parse(Name, text, func(name string) ([]byte, error) {
		more, err := inTree(t, path.Clean(name))
		if err == nil && more == nil {
			err = fmt.Errorf("%s is not in %s", name, t.Name())
		}
		return more, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", Name, t.Name(), err)
	}
	return s, nil
}

// inTree reads a file of a tree, nil where it is not there.
func inTree(t tree.Tree, name string) ([]byte, error) {
	files := t.Files()
	n, ok := slices.BinarySearchFunc(files, name, func(f tree.File, p string) int { return tree.Compare(f.Path, p) })
	if !ok {
		return nil, nil
	}
	text, err := t.Read(files[n])
	if err == nil && len(text) > MaxSize {
		err = fmt.Errorf("%s in %s has more than %d bytes", name, t.Name(), MaxSize)
	}
	if text == nil && err == nil {
		text = []byte{}
	}
	return text, err
}
