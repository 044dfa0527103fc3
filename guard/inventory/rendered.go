package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// manifests are the objects of a source that a tool rendered.
type manifests struct {
	result    *engine.Result
	documents []document
}

// document is one text that was rendered, with its objects.
type document struct {
	path string // of the file that they come from
	name string // has the ending that says how the text is read
	data []byte
	hash string
	*object.File
}

// parsed keeps the objects of a result, for two inventories of one process: what renders to the same in both is there once.
type parsed struct {
	mu  sync.Mutex
	all map[*engine.Result]*manifests
}

// of reads the objects of a result. line says where an object of a file begins.
func (p *parsed) of(r *engine.Result, keep object.Kinds, line func(path string, o *object.Object) int) *manifests {
	p.mu.Lock()
	m, ok := p.all[r]
	p.mu.Unlock()
	if ok {
		return m
	}
	m = &manifests{result: r, documents: make([]document, len(r.Documents))}
	for n, d := range r.Documents {
		name := "rendered.yaml"
		if strings.HasPrefix(strings.TrimLeft(string(d.Data[:min(len(d.Data), 64)]), " \t\r\n"), "{") {
			name = "rendered.json"
		}
		f := object.Read(name, d.Data, keep)
		if f.Skipped { // the marker counts in files, and not in what is rendered
			f = object.Read(name, []byte(strings.ReplaceAll(string(d.Data), object.SkipMarker, "")), keep)
		}
		for o := range f.Objects {
			f.Objects[o].Line, f.Objects[o].Column = line(d.Origin, &f.Objects[o]), 1
		}
		m.documents[n] = document{path: d.Origin, name: name, data: d.Data, hash: tree.Hash(d.Data), File: f}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make(map[*engine.Result]*manifests)
	}
	if before, ok := p.all[r]; ok {
		return before
	}
	p.all[r] = m
	return m
}

// sharing is what inventories of one process may share.
type sharing interface{ sharedParsed() *parsed }

// engine returns what renders.
func (i *Inventory) engine() *engine.Engine {
	if i.Options.Engine != nil {
		return i.Options.Engine
	}
	return engine.Shared()
}

// tool adds the objects of a source that a tool renders.
func (i *Inventory) tool(ctx context.Context, a *Application, source int, s *argo.Source, tool argo.Tool) {
	r := argo.Rendering{Application: a.Application, Source: s, KubeVersion: i.Options.KubeVersion, APIVersions: i.Options.APIVersions}
	var spec *engine.Spec
	var err error
	switch tool {
	case argo.HelmTool:
		spec, err = r.Helm(i.elsewhere)
	case argo.KustomizeTool:
		spec, err = r.Kustomize()
	default:
		err = &argo.UnanalysedError{Why: fmt.Sprintf("the path %s is rendered by a %s", s.Path, tool)}
	}
	if err == nil {
		err = i.render(ctx, a, source, spec)
	}
	a.fail(err)
}

// fail notes why a source gives no objects.
func (a *Application) fail(err error) {
	var unanalysed *argo.UnanalysedError
	var failed *engine.Error
	switch {
	case err == nil:
	case errors.As(err, &unanalysed), errors.As(err, &failed) && failed.Fault != engine.OfSource:
		a.Unanalysed = append(a.Unanalysed, err.Error())
	case a.Broken == nil:
		a.Broken = err
	}
}

// jsonnet adds the objects of a jsonnet file of a directory source.
func (i *Inventory) jsonnet(ctx context.Context, a *Application, source int, s *argo.Source, file string) {
	r := argo.Rendering{Application: a.Application, Source: s}
	spec, err := r.Jsonnet(file)
	if err == nil {
		err = i.render(ctx, a, source, spec)
	}
	a.fail(err)
}

// render adds the objects of what is rendered.
func (i *Inventory) render(ctx context.Context, a *Application, source int, spec *engine.Spec) error {
	store, _ := i.Options.Cache.(engine.Store)
	result, err := i.engine().RenderWith(ctx, i.tree, spec, store)
	if err != nil {
		return err
	}
	m := i.parsed.of(result, i.Options.Keep, i.line)
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, path := range result.Files {
		i.used[path] = true
	}
	for n := range m.documents {
		d := &m.documents[n]
		if d.Bad != nil {
			return &engine.Error{Path: d.path, Message: fmt.Sprintf("what it renders to is no manifest: %v", d.Bad)}
		}
		for o := range d.Objects {
			o := &d.Objects[o]
			i.documents[o] = d
			a.Targets = append(a.Targets, Target{Key: i.Scopes.Normalise(o.Key, a.Spec.Destination.Namespace), Origin: Origin{i.known(d.path, spec), o}, Source: source})
		}
	}
	return nil
}

// line says where in a file an object begins that was rendered from it: at the only one of its kind, or at the one whose name is in its own.
func (i *Inventory) line(path string, o *object.Object) int {
	f := i.File(path)
	if f == nil || f.File == nil {
		return 1
	}
	line, found := 1, 0
	for n := range f.Objects {
		if of := &f.Objects[n]; of.GroupKind() == o.GroupKind() && strings.Contains(o.Name, of.Name) {
			line = of.Line
			found++
		}
	}
	if found != 1 {
		return 1
	}
	return line
}

// known returns the path of a file of the tree: what a document comes from, or the file that says how it is rendered.
func (i *Inventory) known(p string, spec *engine.Spec) string {
	if _, ok := tree.Find(i.tree.Files(), p); ok {
		return p
	}
	for _, name := range []string{"Chart.yaml", "kustomization.yaml", "kustomization.yml", "Kustomization"} {
		at := path.Join(spec.Path, name)
		if _, ok := tree.Find(i.tree.Files(), at); ok {
			return at
		}
	}
	return p
}

// Made says whether an object was rendered: the file of its origin has no such object.
func (i *Inventory) Made(o Origin) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.documents[o.Object] != nil
}

// Digest is of the text that an object is in. Where two are the same, objects of the same place in them are too.
func (i *Inventory) Digest(o Origin) string {
	i.mu.Lock()
	d := i.documents[o.Object]
	i.mu.Unlock()
	if d != nil {
		return d.hash
	}
	if f := i.File(o.Path); f != nil {
		return f.Hash
	}
	return ""
}

// Limits of Applications that are rendered by Applications.
const (
	MaxNesting  = 16     // of one in the other
	MaxRendered = 20_000 // in all
)

// children adds the Applications, sets and projects that an Application renders, and those of files that are no manifests unless something
// reads them. It returns the Applications.
func (i *Inventory) children(a *Application) (added []*Application) {
	for _, t := range a.Targets {
		if !object.Control()[t.Object.GroupKind()] || i.controlled[t.Origin] {
			continue
		}
		i.controlled[t.Origin] = true
		if a.nesting >= MaxNesting || len(i.Applications) >= MaxRendered {
			a.Unanalysed = append(a.Unanalysed, fmt.Sprintf("it renders %s, and Applications are read %d deep and %d in all", t.Key, MaxNesting, MaxRendered))
			continue
		}
		applications, sets := len(i.Applications), len(i.Sets)
		if err := i.control(t.Origin); err != nil {
			i.Refused = append(i.Refused, Refused{t.Origin, err})
		}
		for _, set := range i.Sets[sets:] {
			i.generate(set)
		}
		fresh := slices.Clone(i.Applications[applications:])
		i.Applications = i.Applications[:applications]
		for _, child := range fresh {
			child.nesting, child.within = a.nesting+1, a
			if again := child.again(); again != nil {
				i.same[t.Origin] = again
				continue
			}
			added = append(added, child)
			i.Applications = append(i.Applications, child)
		}
	}
	return added
}

// again returns the Application that renders this one, at whatever depth, and is the same.
func (a *Application) again() *Application {
	for above := a.within; above != nil; above = above.within {
		if above.Key() == a.Key() && reflect.DeepEqual(above.Spec, a.Spec) {
			return above
		}
	}
	return nil
}

// Unread is a folder that nobody is known to render.
type Unread struct {
	// Path is of a file in it that has resources of Argo CD.
	Path string
	Tool argo.Tool
	Why  string
}

// controlKind finds what may define one of Argo CD's resources, in a template too.
var controlKind = regexp.MustCompile(`(?m)^\s*(?:- )?kind:\s*["']?(?:Application|ApplicationSet|AppProject)["']?\s*$`)

// unread finds the folders of tools whose resources of Argo CD nobody is known to apply. Someone may, by hand or from another repository.
func (i *Inventory) unread() error {
	read := make(map[string]bool)
	for _, a := range i.Applications {
		for _, s := range a.Spec.AllSources() {
			read[tree.Clean(s.Path)] = true
		}
	}
	found := make(map[string]bool)
	for n := range i.Files {
		f := &i.Files[n]
		folder, ok := i.outermost(f.Path)
		if !ok || found[folder] || i.used[f.Path] || below(read, f.Path) {
			continue
		}
		has, err := i.controlsIn(f)
		if err != nil {
			return err
		}
		if has {
			found[folder] = true
			tool := argo.ToolOf(&argo.Source{Path: folder}, i.tree.Files())
			why := fmt.Sprintf("%s defines resources of Argo CD in a folder of %s that no Application of the tree reads: what they make is not known", f.Path, tool)
			i.Unread = append(i.Unread, Unread{f.Path, tool, why})
		}
	}
	return nil
}

// controlsIn says whether a file has resources of Argo CD, or a template of some.
func (i *Inventory) controlsIn(f *File) (bool, error) {
	if f.Bad == nil {
		return slices.ContainsFunc(f.Objects, func(o object.Object) bool { return object.Control()[o.GroupKind()] }), nil
	}
	of, ok := tree.Find(i.tree.Files(), f.Path)
	if !ok || of.Escapes {
		return false, nil
	}
	text, err := i.tree.Read(of)
	return bytes.Contains(text, []byte(object.ArgoGroup+"/")) && controlKind.Match(text), err
}

// outermost returns the highest folder over a file that Helm or Kustomize render.
func (i *Inventory) outermost(file string) (highest string, ok bool) {
	for folder := range tree.Above(file) {
		if i.tools[folder] {
			highest, ok = folder, true
		}
	}
	return highest, ok
}

// below says whether a file is in one of the folders, or below it.
func below(folders map[string]bool, file string) bool {
	for folder := range tree.Above(file) {
		if folders[folder] {
			return true
		}
	}
	return false
}
