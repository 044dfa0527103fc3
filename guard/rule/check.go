package rule

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/gobwas/glob"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// check is what all rules know of one inventory.
type check struct {
	*inventory.Inventory
	config   *Config
	findings []finding.Finding
	waivers  []*finding.Waiver
	err      error           // that ends the check
	ctx      context.Context // of the run

	conventions []convention
	instances   *tree.Pattern // nil where there is one instance
	quorum      []glob.Glob
	kinds       map[object.Kind]bool // that hold state

	readers  map[string][]*inventory.Application // of each path, by directory sources in the tree
	controls map[control][]*definition           // by identity
	all      []*definition
	projects map[object.Key][]*inventory.Project
	folders  map[string]home // that match a convention and have manifests
	expected map[string]home // the same by the Application's name
	// clusterNames and projectNames are those that folders give by their convention.
	clusterNames, projectNames map[string]bool
	sourceFolders              map[string]bool // that Applications name, once readFrom was asked
	recursive                  map[string]bool // of those, the ones that are read with what is below them
	looks                      map[string]bool // files that HG022 has looked at

	services map[*inventory.Application]map[object.Key]inventory.Origin // of those that HG064 has asked for

	sets     []setPath // folders that ApplicationSets may read
	byOrigin map[*object.Object][]*inventory.Application
	made     []inventory.Origin                        // what tools render
	makers   map[*object.Object]*inventory.Application // for which Application
}

// convention is a compiled Convention.
type convention struct {
	Convention
	path *tree.Pattern
}

// home is a folder that follows a convention.
type home struct {
	folder string
	parts  map[string]string
	by     *convention
}

// control is the identity of a resource of Argo CD, among all instances that the tree steers.
type control struct {
	cluster string
	object.Key
}

// definition is a place that defines one.
type definition struct {
	inventory.Origin
	control
	reader *inventory.Application
	order  int // in which the reader applies it
}

func newCheck(i *inventory.Inventory, config *Config) (*check, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	c := &check{Inventory: i, config: config, readers: make(map[string][]*inventory.Application), controls: make(map[control][]*definition),
		projects: make(map[object.Key][]*inventory.Project), folders: make(map[string]home), expected: make(map[string]home),
		byOrigin: make(map[*object.Object][]*inventory.Application), makers: make(map[*object.Object]*inventory.Application), kinds: make(map[object.Kind]bool), clusterNames: make(map[string]bool), projectNames: make(map[string]bool), looks: make(map[string]bool), services: make(map[*inventory.Application]map[object.Key]inventory.Origin)}
	for _, convention_ := range config.Conventions {
		p, err := tree.ParsePattern(tree.Clean(convention_.Path), false)
		if err != nil {
			return nil, err
		}
		c.conventions = append(c.conventions, convention{convention_, p})
	}
	if config.Instance != "" {
		var err error
		if c.instances, err = tree.ParsePattern(tree.Clean(config.Instance), true); err != nil {
			return nil, err
		}
	}
	for _, text := range config.Quorum {
		g, err := glob.Compile(text)
		if err != nil {
			return nil, err
		}
		c.quorum = append(c.quorum, g)
	}
	for _, k := range append([]object.Kind{{Group: "apps", Kind: "StatefulSet"}, {Kind: "PersistentVolumeClaim"}, {Kind: "PersistentVolume"}}, config.Stateful...) {
		c.kinds[k] = true
	}
	c.index()
	return c, nil
}

// index finds who reads what.
func (c *check) index() {
	for _, a := range c.Applications {
		c.byOrigin[a.Object] = append(c.byOrigin[a.Object], a)
		sources := a.Spec.AllSources()
		for n := range sources {
			selection := c.Selection(&sources[n])
			if selection == nil {
				continue
			}
			for _, f := range selection.Files(c.Tree().Files()) {
				if readers := c.readers[f.Path]; len(readers) == 0 || readers[len(readers)-1] != a {
					c.readers[f.Path] = append(readers, a)
				}
			}
		}
	}
	for _, p := range c.Projects {
		k := object.Key{Group: object.ArgoGroup, Kind: "AppProject", Namespace: p.Metadata.Namespace, Name: p.Metadata.Name}
		c.projects[k] = append(c.projects[k], p)
	}
	c.indexMade()
	c.indexFolders()
	c.indexSets()
	c.indexControls()
}

// indexMade finds the objects that tools render for Applications. What several Applications with the same options render to the same text,
// as overlays of one base do, is there once: it is mended in one place.
func (c *check) indexMade() {
	type same struct{ path, digest, name, options string }
	seen := make(map[same]bool)
	for _, a := range c.Applications {
		options := strings.Join(a.Spec.SyncPolicy.SyncOptions, " ")
		for _, t := range a.Targets {
			if c.makers[t.Object] != nil || !c.Made(t.Origin) {
				continue
			}
			c.makers[t.Object] = a
			k := same{t.Path, c.Digest(t.Origin), t.Key.String(), options}
			if !seen[k] {
				seen[k] = true
				c.made = append(c.made, t.Origin)
			}
		}
	}
}

// indexFolders finds the folders that follow a convention.
func (c *check) indexFolders() {
	seen := make(map[string]bool)
	for n := range c.Files {
		folder := tree.Clean(path.Dir("/" + c.Files[n].Path))
		if seen[folder] || len(c.Files[n].Objects) == 0 {
			continue
		}
		seen[folder] = true
		if p, ok := c.conventional(folder); ok {
			c.folders[folder] = p
			c.clusterNames[p.parts["cluster"]] = true
			c.projectNames[tree.Fill(p.by.Project, p.parts)] = true
			if name := tree.Fill(p.by.Application, p.parts); name != "" {
				c.expected[name] = p
			}
		}
	}
}

// conventional returns the convention that a folder follows.
func (c *check) conventional(folder string) (home, bool) {
	for n := range c.conventions {
		if parts := c.conventions[n].path.Of(folder); parts != nil {
			return home{folder, parts, &c.conventions[n]}, true
		}
	}
	return home{}, false
}

// indexControls finds the definitions of Argo CD's resources.
func (c *check) indexControls() {
	order := make(map[*object.Object]int)
	for _, a := range c.Applications {
		for n := range a.Targets {
			if o := a.Targets[n].Object; isControl(o) {
				order[o] = n
			}
		}
	}
	for n := range c.Files {
		f := &c.Files[n]
		if c.Rendered(f.Path) {
			continue
		}
		for m := range f.Objects {
			if o := &f.Objects[m]; isControl(o) && !o.Generated {
				d := &definition{Origin: inventory.Origin{Path: f.Path, Object: o}, order: order[o]}
				if readers := c.readers[f.Path]; len(readers) > 0 {
					d.reader = readers[0]
				}
				d.control = c.identify(d)
				c.all = append(c.all, d)
				c.controls[d.control] = append(c.controls[d.control], d)
			}
		}
	}
}

func isControl(o *object.Object) bool {
	switch o.GroupKind() {
	case argo.ApplicationKind, argo.ApplicationSetKind, argo.ProjectKind:
		return true
	}
	return false
}

// identify says which resource a definition is about.
func (c *check) identify(d *definition) control {
	id := control{cluster: c.instance(d.Path) + argo.Server, Key: d.Object.Key}
	if id.Namespace == "" {
		id.Namespace = argo.DefaultNamespace
	}
	if d.reader != nil {
		id.cluster = c.cluster(d.reader)
		if ns := d.reader.Spec.Destination.Namespace; d.Object.Namespace == "" && ns != "" {
			id.Namespace = ns
		}
	}
	return id
}

// instance names the Argo CD that reads a path.
func (c *check) instance(path string) string {
	if c.instances == nil {
		return ""
	}
	return c.instances.Prefix(path) + "|"
}

// cluster names the cluster of an Application's destination. What is in the cluster of Argo CD itself is in that of its instance.
func (c *check) cluster(a *inventory.Application) string {
	server := a.Spec.Destination.Cluster(c.config.Clusters)
	if server == argo.Server {
		return c.instance(a.Path) + server
	}
	return server
}

// key returns the identity of an object, normalised for the first that reads it.
func (c *check) key(o inventory.Origin) object.Key {
	destination := ""
	if a := c.reader(o); a != nil {
		destination = a.Spec.Destination.Namespace
	}
	return c.Scopes.Normalise(o.Object.Key, destination)
}

// looked says whether the objects of a file are for a cluster: somebody reads it, or it defines resources of Argo CD, or its folder follows
// a convention. Where the tree has no Application at all, every file that is rendered by nobody is.
func (c *check) looked(f *inventory.File) bool {
	if len(c.readers[f.Path]) > 0 {
		return true
	}
	if c.Rendered(f.Path) || hidden(f.Path) {
		return false
	}
	if len(c.Applications) == 0 && len(c.Sets) == 0 || slices.ContainsFunc(f.Objects, func(o object.Object) bool { return isControl(&o) }) {
		return true
	}
	if _, ok := c.conventional(tree.Clean(path.Dir("/" + f.Path))); ok {
		return true
	}
	return c.maySetRead(f.Path)
}

// hidden says whether a path is in a folder of tools: .github and its like.
func hidden(p string) bool { return strings.HasPrefix(p, ".") || strings.Contains(p, "/.") }

// each calls a function for every object that is for a cluster, once: those of files, and those that tools render.
func (c *check) each(do func(inventory.Origin)) {
	for n := range c.Files {
		f := &c.Files[n]
		if f.File == nil || f.Skipped || len(f.Objects) == 0 || !c.looked(f) {
			continue
		}
		for m := range f.Objects {
			do(inventory.Origin{Path: f.Path, Object: &f.Objects[m]})
		}
	}
	for _, o := range c.made {
		do(o)
	}
}

// read returns the content of a file.
func (c *check) read(p string) ([]byte, error) {
	return c.Tree().Read(c.file(p))
}

func (c *check) file(p string) tree.File {
	files := c.Tree().Files()
	n, _ := slices.BinarySearchFunc(files, p, func(f tree.File, p string) int { return tree.Compare(f.Path, p) })
	if n < len(files) && files[n].Path == p {
		return files[n]
	}
	return tree.File{Path: p, Target: p}
}

// holdsState says whether objects of a kind hold state.
func (c *check) holdsState(k object.Kind) bool { return c.kinds[k] }

// stateful returns the objects of an Application that hold state.
func (c *check) stateful(a *inventory.Application) []inventory.Target {
	var held []inventory.Target
	for _, t := range a.Targets {
		if c.holdsState(t.Object.GroupKind()) {
			held = append(held, t)
		}
	}
	return held
}

// parent says whether an Application has nothing but resources of Argo CD: it is an app of apps.
func parent(a *inventory.Application) bool {
	return len(a.Targets) > 0 && !slices.ContainsFunc(a.Targets, func(t inventory.Target) bool { return !isControl(t.Object) })
}

// get returns what an object's body has at a way, nil where there is nothing.
func get(body any, steps ...string) any {
	for _, step := range steps {
		m, ok := body.(map[string]any)
		if !ok {
			return nil
		}
		body = m[step]
	}
	return body
}

func text(body any, steps ...string) string {
	s, _ := get(body, steps...).(string)
	return s
}

func list(body any, steps ...string) []any {
	l, _ := get(body, steps...).([]any)
	return l
}
