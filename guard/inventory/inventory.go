// Package inventory reads a whole tree as Argo CD would: its Applications, the objects that each of them owns, and where everything is
// written.
//
// Sources of jsonnet, Kustomize and Helm are rendered, and Applications that they render are Applications of the tree too. What cannot be
// known from the tree alone (remote charts, plugins, generators that ask a cluster) is listed as not analysed, never left out in silence. It
// does not judge: rules and plans do.
package inventory

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Options say how a tree is to be read.
type Options struct {
	// Keep has the kinds whose objects are kept whole, beside those that steer Argo CD.
	Keep object.Kinds
	// Scopes are of kinds that neither Kubernetes brings nor a CustomResourceDefinition in the tree.
	Scopes map[object.Kind]bool
	// Ignore says of a path that nothing there is a manifest: fixtures of tests, for one.
	Ignore func(path string) bool
	// Repositories are the URLs of the repository that is read. Without them every git source is taken to be in it.
	Repositories []string
	// Clusters has the server of each cluster's name.
	Clusters map[string]string
	// Cache keeps what was read, by the hash of the content. It may be nil.
	Cache Cache
	// Engine renders jsonnet, Kustomize and Helm; where it is nil, the one of the process does.
	Engine *engine.Engine
	// KubeVersion and APIVersions are what charts are told of the cluster. Argo CD asks the cluster; without them it is a bare Kubernetes.
	KubeVersion string
	APIVersions []string
}

// Cache keeps what files have. Both methods are called by several goroutines.
type Cache interface {
	Get(name, hash string) *object.File
	Put(name, hash string, f *object.File)
}

// File is a file of the tree that may have manifests.
type File struct {
	Path string
	// Hash is git's name of its content.
	Hash string
	*object.File
}

// Origin is where an object is written; of one that was rendered, the template, the jsonnet file or the kustomization that it comes from.
type Origin struct {
	Path   string
	Object *object.Object
}

// String returns "path:line".
func (o Origin) String() string { return fmt.Sprintf("%s:%d", o.Path, o.Object.Line) }

// Target is an object that an Application wants to have.
type Target struct {
	// Key is normalised: as Argo CD compares it.
	Key object.Key
	Origin
	// Source is the place of its source in the Application.
	Source int
}

// Application is an Application of the tree with what it owns.
type Application struct {
	*argo.Application
	// Origin is where it is defined; for one that a set generates, where the set is.
	Origin
	// Set is the name of the ApplicationSet that generates it.
	Set string
	// Parents are the Applications whose targets define it. Without any, someone applies it by hand, or from elsewhere.
	Parents []*Application
	// Targets are its objects, in Argo CD's order. Of those with one key the last one stands.
	Targets []Target
	// Broken is why Argo CD fails to render it: it then neither syncs nor prunes.
	Broken error
	// Unanalysed says of which sources the objects are not known, and why.
	Unanalysed []string

	within  *Application // that renders it
	nesting int
}

// Key is the Application's own.
func (a *Application) Key() object.Key {
	return object.Key{Group: object.ArgoGroup, Kind: "Application", Namespace: a.Metadata.Namespace, Name: a.Metadata.Name}
}

// Inventory is what a tree has.
type Inventory struct {
	// Name is the tree's, for messages.
	Name string
	// Files are all files that may have manifests, in Argo CD's order.
	Files []File
	// Applications, Sets and Projects are in the order of their definitions. Those of one name are all there.
	Applications []*Application
	Sets         []*Set
	Projects     []*Project
	// Refused are those that do not have the fields that Argo CD's resources have: the API server refuses them.
	Refused []Refused
	// Unread are folders of Helm or Kustomize with resources of Argo CD that no Application of the tree reads.
	Unread  []Unread
	Scopes  object.Scopes
	Options Options

	tree       tree.Tree
	index      map[string]int // of Files, by path
	tools      map[string]bool
	controlled map[Origin]bool         // of which the definition was read
	same       map[Origin]*Application // that an Application renders again
	parsed     *parsed
	recoded    []recoded

	mu        sync.Mutex // of what several Applications note at once
	documents map[*object.Object]*document
	used      map[string]bool // files that something was rendered from
}

// Set is an ApplicationSet of the tree.
type Set struct {
	*argo.Set
	Origin
	// Generated says how many Applications it generates.
	Generated int
	// Broken is why Argo CD generates nothing, and leaves the Applications as they are.
	Broken error
	// Unanalysed says of what is not known which Applications it makes.
	Unanalysed []string
}

// Refused is one of Argo CD's resources that cannot be one.
type Refused struct {
	Origin
	Err error
}

// Project is an AppProject of the tree.
type Project struct {
	*argo.Project
	Origin
}

// Load reads a tree. The tree stays open while the inventory is used.
func Load(ctx context.Context, t tree.Tree, o Options) (*Inventory, error) {
	o.Keep = object.Control().And(object.Stateful()).And(o.Keep)
	i := &Inventory{Name: t.Name(), Options: o, tree: t, tools: argo.Tools(t.Files()), index: make(map[string]int), parsed: new(parsed)}
	i.controlled, i.same = make(map[Origin]bool), make(map[Origin]*Application)
	i.documents, i.used = make(map[*object.Object]*document), make(map[string]bool)
	if m, ok := o.Cache.(sharing); ok {
		i.parsed = m.sharedParsed()
	}
	if err := i.read(ctx); err != nil {
		return nil, err
	}
	if err := i.attributes(); err != nil {
		return nil, err
	}
	i.scopes()
	if err := i.controls(ctx); err != nil {
		return nil, err
	}
	i.parents()
	return i, i.unread()
}

// File returns a file of the inventory, nil where there is none of that path.
func (i *Inventory) File(path string) *File {
	if n, ok := i.index[path]; ok {
		return &i.Files[n]
	}
	return nil
}

// Tree returns what was read.
func (i *Inventory) Tree() tree.Tree { return i.tree }

// read reads all files that may have manifests.
func (i *Inventory) read(ctx context.Context) error {
	var files []tree.File
	for _, f := range i.tree.Files() {
		if manifest(f.Path) && (i.Options.Ignore == nil || !i.Options.Ignore(f.Path)) {
			i.index[f.Path] = len(files)
			files = append(files, f)
		}
	}
	i.Files = make([]File, len(files))
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for n := range next {
				i.Files[n], errs[n] = i.readFile(files[n])
			}
		})
	}
	for n := range files {
		if ctx.Err() != nil {
			break
		}
		next <- n
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func manifest(p string) bool {
	return argo.Readable(p) && !strings.HasSuffix(p, ".jsonnet")
}

func (i *Inventory) readFile(f tree.File) (File, error) {
	file := File{Path: f.Path, Hash: f.Hash}
	if f.Escapes {
		file.File = &object.File{Bad: &object.Bad{Line: 1, Column: 1, Message: "it is a link out of the repository, with which Argo CD does not render", Manifest: true}}
		return file, nil
	}
	name := path.Ext(f.Path)
	if cache := i.Options.Cache; cache != nil && f.Hash != "" {
		if file.File = cache.Get(name, f.Hash); file.File != nil {
			return file, nil
		}
	}
	data, err := i.tree.Read(f)
	if err != nil {
		return file, fmt.Errorf("reading %s in %s: %w", f.Path, i.tree.Name(), err)
	}
	if file.Hash == "" {
		file.Hash = tree.Hash(data)
		if cache := i.Options.Cache; cache != nil {
			if file.File = cache.Get(name, file.Hash); file.File != nil {
				return file, nil
			}
		}
	}
	if pointer(data) {
		file.File = &object.File{Bad: &object.Bad{Line: 1, Column: 1, Message: pointed}}
		return file, nil
	}
	file.File = object.Read(f.Path, data, i.Options.Keep)
	file.Size = int64(len(data))
	if i.Options.Cache != nil {
		i.Options.Cache.Put(name, file.Hash, file.File)
	}
	return file, nil
}

// rendered says whether a file is in a folder that Helm or Kustomize render.
func (i *Inventory) rendered(file string) bool {
	return below(i.tools, file)
}

// scopes learns the scopes of kinds from the CustomResourceDefinitions of the tree.
func (i *Inventory) scopes() {
	i.Scopes.Custom = make(map[object.Kind]bool)
	for _, f := range i.Files {
		for n := range f.Objects {
			o := &f.Objects[n]
			if o.GroupKind() != (object.Kind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
				continue
			}
			spec, _ := o.Body["spec"].(map[string]any)
			names, _ := spec["names"].(map[string]any)
			group, _ := spec["group"].(string)
			kind, _ := names["kind"].(string)
			if scope, _ := spec["scope"].(string); scope != "" && kind != "" {
				i.Scopes.Custom[object.Kind{Group: group, Kind: kind}] = scope == "Namespaced"
			}
		}
	}
	for kind, namespaced := range i.Options.Scopes {
		i.Scopes.Custom[kind] = namespaced
	}
}

// parents joins Applications with those that define them.
func (i *Inventory) parents() {
	byOrigin := make(map[Origin][]*Application)
	for _, a := range i.Applications {
		byOrigin[a.Origin] = append(byOrigin[a.Origin], a)
	}
	for origin, a := range i.same {
		byOrigin[origin] = append(byOrigin[origin], a)
	}
	for _, a := range i.Applications {
		for _, target := range a.Targets {
			for _, child := range byOrigin[target.Origin] {
				if !slices.Contains(child.Parents, a) {
					child.Parents = append(child.Parents, a)
				}
			}
		}
	}
}

// Body reads an object whole, also of a kind that is not kept.
func (i *Inventory) Body(o Origin) (map[string]any, error) {
	if o.Object.Body != nil {
		return o.Object.Body, nil
	}
	i.mu.Lock()
	d := i.documents[o.Object]
	i.mu.Unlock()
	if d != nil {
		return bodyOf(o, d.name, d.data)
	}
	f := i.File(o.Path)
	if f == nil {
		return nil, fmt.Errorf("%s is no file of %s", o.Path, i.Name)
	}
	of, ok := tree.Find(i.tree.Files(), o.Path)
	if !ok {
		return nil, fmt.Errorf("%s is no file of %s", o.Path, i.Name)
	}
	data, err := i.tree.Read(of)
	if err != nil {
		return nil, err
	}
	return bodyOf(o, o.Path, data)
}

func bodyOf(o Origin, name string, data []byte) (map[string]any, error) {
	for _, found := range object.Read(name, data, object.Kinds{o.Object.GroupKind(): true}).Objects {
		if found.Document == o.Object.Document && found.Item == o.Object.Item {
			return found.Body, nil
		}
	}
	return nil, fmt.Errorf("%s changed while it was read", o.Path)
}
