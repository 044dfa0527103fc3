// Package render turns what a repository is written in (jsonnet, Kustomize, Helm, plain YAML and JSON) into one file for each object, named
// after it: "apps.v1.StatefulSet-influx.kafka.yaml".
//
// The same input gives the same bytes. No two objects get one file, on file systems that do not tell upper case from lower case either:
// that, and an object that is there twice, whatever its version, are errors that show both places, and then nothing is written. All files of an
// output are written beside their names first, and renamed when the last of them is complete; what a crash leaves, the next run mends. It
// writes nowhere but in the output's folder, follows no link there, and removes nothing but files that have one object and its name.
//
// It does not know schemas, does not complete objects (a namespace that is not there stays so), and fetches nothing.
package render

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// MaxObjects is how many objects an output may have.
const MaxObjects = 200_000

// Source is one thing that is rendered.
type Source struct {
	// Path is in the tree: a file of jsonnet, YAML or JSON, or a folder with a chart, a kustomization, or such files.
	Path string
	// Recurse has the files of a folder's own folders rendered too.
	Recurse bool
	// Jsonnet and Helm are the options for what they render; File, Path and SkipCRDs of them are not heeded.
	Jsonnet engine.JsonnetOptions
	Helm    engine.HelmOptions
	// IncludeCRDs has a chart's crds folder rendered too.
	IncludeCRDs bool
}

// Output is a folder with all that some sources render to.
type Output struct {
	// Folder is relative to the tree, with slashes. It may be outside of the tree, and then nobody compares it with the sources' paths.
	Folder  string
	Outside bool
	Sources []Source
	// Keep are patterns of the names of files in the folder that are another's.
	Keep []string
}

// ErrUnused is in errors about options that nothing would use.
var ErrUnused = errors.New("there are options")

// Renderer renders the sources of a tree.
type Renderer struct {
	Tree   tree.Tree
	Engine *engine.Engine
	// Scopes are of kinds that are not Kubernetes' own.
	Scopes object.Scopes
}

// source is a Source whose tool is known.
type source struct {
	*Source
	tool  engine.Tool // "" for plain files
	files []tree.File // plain ones and those of jsonnet
}

// sources looks at what an output is made of, before any of it is rendered.
func (r *Renderer) sources(o *Output) ([]source, error) {
	if len(o.Sources) == 0 {
		return nil, fmt.Errorf("the output %s has no source", o.Folder)
	}
	var found []source
	tools := make(map[engine.Tool]bool)
	for n := range o.Sources {
		s, err := r.source(o, &o.Sources[n])
		if err != nil {
			return nil, err
		}
		found = append(found, s)
		tools[s.tool] = true
		tools[engine.Jsonnet] = tools[engine.Jsonnet] || slices.ContainsFunc(s.files, isJsonnet)
	}
	for n := range o.Sources {
		s := &o.Sources[n]
		if j := s.Jsonnet; !tools[engine.Jsonnet] && len(j.Libraries)+len(j.ExtVars)+len(j.TLAs) > 0 {
			return nil, fmt.Errorf("%s: %w for jsonnet, and no jsonnet file to use them", s.Path, ErrUnused)
		}
		h := s.Helm
		helm := h.Release+h.Namespace+h.KubeVersion != "" || len(h.ValueFiles)+len(h.Parameters)+len(h.APIVersions) > 0 || s.IncludeCRDs
		if helm && !tools[engine.Helm] {
			return nil, fmt.Errorf("%s: %w for Helm, and no chart to use them", s.Path, ErrUnused)
		}
	}
	return found, nil
}

// source finds out what a source is.
func (r *Renderer) source(o *Output, s *Source) (source, error) {
	found := source{Source: s}
	s.Path = tree.Clean(s.Path)
	if f, ok := r.file(s.Path); ok {
		if !argo.Readable(f.Path) {
			return found, fmt.Errorf("%s is no .jsonnet, .yaml, .yml or .json file", s.Path)
		}
		found.files = []tree.File{f}
		return found, nil
	}
	under := tree.Under(r.Tree.Files(), s.Path)
	if len(under) == 0 {
		return found, fmt.Errorf("there is no file and no folder %s in %s", s.Path, r.Tree.Name())
	}
	if out := tree.Clean(o.Folder); !o.Outside && (out == s.Path || strings.HasPrefix(out, s.Path+"/") || s.Path == "") {
		return found, fmt.Errorf("the output %s is in its source %s: what was rendered would be rendered again", o.Folder, s.Path)
	}
	switch argo.ToolOf(&argo.Source{Path: s.Path}, r.Tree.Files()) {
	case argo.HelmTool:
		found.tool = engine.Helm
	case argo.KustomizeTool:
		found.tool = engine.Kustomize
	default:
		return found, r.folder(&found, under)
	}
	return found, nil
}

// folder finds the files of a plain folder.
func (r *Renderer) folder(s *source, under []tree.File) error {
	tools := argo.Tools(under)
	for _, f := range under {
		below := strings.Contains(strings.TrimPrefix(f.Path, s.Path+"/"), "/")
		if !argo.Readable(f.Path) || below && !s.Recurse {
			continue
		}
		for dir := path.Dir(f.Path); below && len(dir) > len(s.Path); dir = path.Dir(dir) {
			if tools[dir] {
				return fmt.Errorf("%s is rendered by a tool of its own: name it as a source, and do not recurse into it", dir)
			}
		}
		s.files = append(s.files, f)
	}
	if len(s.files) == 0 {
		return fmt.Errorf("the folder %s has no .jsonnet, .yaml, .yml or .json file: with --recurse (recurse: true) its folders are looked at too", s.Path)
	}
	return nil
}

// file finds a file of the tree.
func (r *Renderer) file(name string) (tree.File, bool) {
	files := r.Tree.Files()
	n, ok := slices.BinarySearchFunc(files, name, func(f tree.File, name string) int { return tree.Compare(f.Path, name) })
	if !ok {
		return tree.File{}, false
	}
	return files[n], true
}

func isJsonnet(f tree.File) bool { return strings.HasSuffix(f.Path, ".jsonnet") }
