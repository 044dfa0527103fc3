package argo

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gobwas/glob"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// extensions of the files that a directory source reads.
var extensions = []string{".yaml", ".yml", ".json", ".jsonnet"}

// Readable says whether a directory source reads files of that name. Argo CD compares the ending exactly.
func Readable(name string) bool {
	return slices.ContainsFunc(extensions, func(ending string) bool { return strings.HasSuffix(name, ending) })
}

// Tool is what renders a source.
type Tool string

// The tools that Argo CD has built in.
const (
	DirectoryTool Tool = "directory"
	HelmTool      Tool = "helm"
	KustomizeTool Tool = "kustomize"
	PluginTool    Tool = "plugin"
)

// kustomizations are the names that make a folder one of Kustomize's.
var kustomizations = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// ToolOf says what renders a source: the tool that it names, and otherwise what Argo CD makes of the files of the folder. An empty tool is
// a source that renders nothing itself: it only lends its files to another, or names several tools.
func ToolOf(s *Source, files []tree.File) Tool {
	if s.Ref != "" && s.Path == "" && s.Chart == "" {
		return ""
	}
	explicit, err := s.Explicit()
	switch {
	case err != nil:
		return ""
	case explicit != "":
		return explicit
	case s.Chart != "":
		return HelmTool
	}
	folder := tree.Clean(s.Path)
	tool := DirectoryTool
	for _, f := range tree.Under(files, folder) {
		switch rel := relative(f.Path, folder); {
		case strings.Contains(rel, "/"):
		case strings.HasSuffix(rel, "Chart.yaml"):
			tool = HelmTool
		case slices.Contains(kustomizations, rel): // of a folder that has both, the last one in the order of the names counts
			tool = KustomizeTool
		}
	}
	return tool
}

func relative(file, folder string) string {
	if folder == "" {
		return file
	}
	return strings.TrimPrefix(file, folder+"/")
}

// Tools returns the folders of a tree that Helm or Kustomize render: what is in them and below them is no manifest by itself.
func Tools(files []tree.File) map[string]bool {
	folders := make(map[string]bool)
	for _, f := range files {
		if base := path.Base(f.Path); base == "Chart.yaml" || slices.Contains(kustomizations, base) {
			folders[tree.Clean(path.Dir("/"+f.Path))] = true
		}
	}
	return folders
}

// Selection is which of a folder's files a directory source reads.
type Selection struct {
	folder           string
	recurse          bool
	include, exclude glob.Glob
}

// Select returns the selection of a directory source.
func Select(s *Source) (*Selection, error) {
	d := s.Directory
	if d == nil {
		d = new(Directory)
	}
	selection := &Selection{folder: tree.Clean(s.Path), recurse: d.Recurse}
	for _, pattern := range []struct {
		name, text string
		to         *glob.Glob
	}{{"include", d.Include, &selection.include}, {"exclude", d.Exclude, &selection.exclude}} {
		if pattern.text == "" {
			continue
		}
		g, err := glob.Compile(pattern.text) // without separators: a wildcard crosses slashes
		if err != nil {
			return nil, fmt.Errorf("directory.%s %q is no pattern: %w", pattern.name, pattern.text, err)
		}
		*pattern.to = g
	}
	return selection, nil
}

// Reads says whether a file is read.
func (s *Selection) Reads(file string) bool {
	rel := relative(file, s.folder)
	switch {
	case !Readable(file), !s.recurse && strings.Contains(rel, "/"):
		return false
	case s.exclude != nil && s.exclude.Match(rel):
		return false
	}
	return s.include == nil || s.include.Match(rel)
}

// Files returns the files that are read, in their order.
func (s *Selection) Files(files []tree.File) []tree.File {
	var read []tree.File
	for _, f := range tree.Under(files, s.folder) {
		if s.Reads(f.Path) {
			read = append(read, f)
		}
	}
	return read
}
