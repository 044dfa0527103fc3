package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// mounted is where Kustomize sees the repository: what is not below is outside of it.
const mounted = "/repository/"

// mount is the repository as Kustomize's file system, which nobody can write to.
type mount struct {
	r       *repository
	over    map[string][]byte // files that are other than the tree has them
	refused *Error            // what was asked for, and is not given
}

var errReadOnly = errors.New("the repository is only read")

// in returns the path in the repository.
func (m *mount) in(name string) (string, bool) {
	p := path.Join("/", filepath.ToSlash(name))
	if p+"/" == mounted {
		return "", true
	}
	rest, ok := strings.CutPrefix(p, mounted)
	if !ok && p != "/" {
		m.refused = refuse(outside, strings.TrimPrefix(p, "/"))
	}
	return rest, ok
}

func (m *mount) kind(name string) (string, kind) {
	p, ok := m.in(name)
	if !ok {
		return p, missing
	}
	is := m.r.stat(p)
	if is == link || is == behind {
		m.refused = refuse(is, p)
	}
	return p, is
}

func (m *mount) IsDir(name string) bool {
	_, is := m.kind(name)
	return is == folder
}

func (m *mount) Exists(name string) bool {
	_, is := m.kind(name)
	return is == folder || is == file
}

func (m *mount) ReadFile(name string) ([]byte, error) {
	p, is := m.kind(name)
	if is != file {
		return nil, &fs.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	if text, ok := m.over[p]; ok {
		return text, nil
	}
	data, is := m.r.read(p)
	if is != file {
		return nil, &fs.PathError{Op: "read", Path: name, Err: os.ErrNotExist}
	}
	return data, nil
}

// CleanedAbs says which folder a path is in, and what its name there is. A link is where it leads to.
func (m *mount) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	p, is := m.kind(name)
	switch is {
	case folder:
		return filesys.ConfirmedDir(path.Clean(mounted + p)), "", nil
	case file:
		if target := m.r.target(p); target != "" {
			p = target
		}
		return filesys.ConfirmedDir(path.Dir(mounted + p)), path.Base(p), nil
	}
	return "", "", fmt.Errorf("'%s' is not there", name)
}

func (m *mount) ReadDir(name string) (names []string, err error) {
	p, is := m.kind(name)
	if is != folder {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: os.ErrNotExist}
	}
	entries, _ := m.r.list(p)
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names, nil
}

// Glob matches the names of one folder: patterns of folders are not used by Kustomize where it builds.
func (m *mount) Glob(pattern string) (found []string, err error) {
	folder, last := path.Split(filepath.ToSlash(pattern))
	names, err := m.ReadDir(path.Clean(folder))
	if err != nil {
		return nil, nil
	}
	for _, name := range names {
		ok, err := path.Match(last, name)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, folder+name)
		}
	}
	return found, nil
}

func (m *mount) Open(name string) (filesys.File, error) {
	data, err := m.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &opened{strings.NewReader(string(data)), path.Base(name)}, nil
}

func (*mount) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (*mount) Mkdir(string) error                   { return errReadOnly }
func (*mount) MkdirAll(string) error                { return errReadOnly }
func (*mount) RemoveAll(string) error               { return errReadOnly }
func (*mount) WriteFile(string, []byte) error       { return errReadOnly }
func (*mount) Walk(string, filepath.WalkFunc) error { return errReadOnly }

// opened is a file that is read.
type opened struct {
	io.Reader
	name string
}

func (*opened) Write([]byte) (int, error)    { return 0, errReadOnly }
func (*opened) Close() error                 { return nil }
func (o *opened) Stat() (os.FileInfo, error) { return info{entry{Name: o.name}}, nil }
