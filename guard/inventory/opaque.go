package inventory

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/gobwas/glob"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// recoded is a line of a .gitattributes that has git write files in another encoding than it keeps them in.
type recoded struct {
	folder, encoding string
	names            bool // the pattern is of names, and not of paths
	pattern          glob.Glob
}

// attributes finds those lines of the tree.
func (i *Inventory) attributes() error {
	for _, f := range i.tree.Files() {
		if path.Base(f.Path) != ".gitattributes" || f.Escapes {
			continue
		}
		text, err := i.tree.Read(f)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if r, ok := recodedBy(line); ok {
				r.folder = tree.Clean(path.Dir(f.Path))
				i.recoded = append(i.recoded, r)
			}
		}
	}
	return nil
}

// recodedBy reads a line of a .gitattributes.
func recodedBy(line string) (r recoded, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
		return r, false
	}
	for _, field := range fields[1:] {
		if name, value, _ := strings.Cut(field, "="); name == "working-tree-encoding" {
			r.encoding = value
		}
	}
	if r.encoding == "" || strings.EqualFold(r.encoding, "UTF-8") {
		return r, false
	}
	pattern := strings.Trim(fields[0], `"`)
	r.names = !strings.Contains(pattern, "/")
	var err error
	if r.pattern, err = glob.Compile(strings.TrimPrefix(pattern, "/"), '/'); err != nil {
		r.pattern = glob.MustCompile("**") // git may know what it means
	}
	return r, true
}

// writes says whether the line is about a file.
func (r *recoded) writes(file string) bool {
	if r.folder != "" {
		var below bool
		if file, below = strings.CutPrefix(file, r.folder+"/"); !below {
			return false
		}
	}
	if r.names {
		file = path.Base(file)
	}
	return r.pattern.Match(file)
}

// opaque notes what a source has that Argo CD's checkout makes, and that is not known from the tree.
func (i *Inventory) opaque(a *Application, s *argo.Source, tool argo.Tool) {
	folder := tree.Clean(s.Path)
	below := tool != argo.DirectoryTool || s.Directory != nil && s.Directory.Recurse
	for _, m := range tree.Submodules(i.tree) {
		if inside(folder, m.Path) || below && inside(m.Path, folder) {
			a.Unanalysed = append(a.Unanalysed, fmt.Sprintf("%s is a submodule at the commit %.12s, which Argo CD checks out and this does not read", m.Path, m.Hash))
		}
	}
	if len(i.recoded) == 0 {
		return
	}
	for _, f := range tree.Under(i.tree.Files(), folder) {
		for n := range i.recoded {
			if r := &i.recoded[n]; argo.Readable(f.Path) && r.writes(f.Path) {
				a.Unanalysed = append(a.Unanalysed, fmt.Sprintf("%s is checked out as %s (.gitattributes), which Argo CD may not read", f.Path, r.encoding))
				break
			}
		}
	}
}

// inside says whether a path is a folder, or in it.
func inside(p, folder string) bool {
	return folder == "" || p == folder || strings.HasPrefix(p, folder+"/")
}

// pointer says whether a content is a pointer of git LFS. With it turned on for the repository Argo CD reads what it stands for.
func pointer(data []byte) bool {
	return bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/"))
}

// pointed is what is wrong with a pointer.
const pointed = "it is a pointer of git LFS, and what it stands for is not known"
