package rule

import (
	"bytes"
	"path"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

func layoutRules() []*Rule {
	return []*Rule{
		{ID: "HG020", Name: "multi-object-file", Severity: finding.Error, Fixable: true,
			Catches: "A file has more than one object.",
			Why:     "With one object in each file, named by it, a second definition of an object is a visible overwrite of a file. In a file of many it is some lines more in a large diff.",
			Mend:    "write each object into a file of its own", run: multiObject},
		{ID: "HG021", Name: "filename-mismatch", Severity: finding.Warning, Fixable: true,
			Catches: "A file with one object is not named after it: `apps.v1.StatefulSet-influx.kafka.yaml`, `v1.Service-influx.etcd.yaml`, `v1.Namespace-influx.yaml`.",
			Why:     "Two files for one object then have the same name, and cannot both be there.",
			Mend:    "rename the file", run: fileNames},
		{ID: "HG022", Name: "file-not-selected", Severity: finding.Error,
			Catches: "A file in an Application's folder has manifests that Argo CD does not read: its ending is another, it is in a subfolder and `recurse` is off, a pattern leaves it out, or it carries the marker that skips it. What a pattern leaves out is a warning: that may be meant.",
			Why:     "To a text diff it was moved or renamed. To Argo CD its objects left git, and are pruned.",
			Mend:    "move the file to where it is read, let the Application read it, or delete it", run: unselected},
		{ID: "HG024", Name: "unparseable", Severity: finding.Error,
			Catches: "A file that an Application reads is not YAML or JSON, or an object in it has no kind or no name, or one of Argo CD's resources has fields that it cannot have. A YAML file that does not look like a manifest at all is a warning.",
			Why:     "Argo CD then fails to render the whole Application, or passes over the file in silence, and prunes what was in it.",
			Mend:    "correct the file", run: unparseable},
		{ID: "HG025", Name: "list-object", Severity: finding.Warning,
			Catches: "A `List` of objects.",
			Why:     "Argo CD flattens it. For everything that looks at files, one object after the other is out of sight.",
			Mend:    "write each object into a file of its own", run: lists},
		{ID: "HG026", Name: "app-too-large", Severity: finding.Warning,
			Catches: "The manifests of an Application come near to the size that Argo CD takes, or are beyond it.",
			Why:     "Beyond it, by default 10 MiB, Argo CD does not sync the Application at all.",
			Mend:    "split the Application, or raise reposerver.max.combined.directory.manifests.size and max-manifests in guard.yaml", Setting: "`max-manifests`", run: tooLarge},
	}
}

func multiObject(p *pass) {
	for n := range p.Files {
		f := &p.Files[n]
		if f.File == nil || len(f.Objects) < 2 || f.Lists || !p.looked(f) {
			continue
		}
		second := inventory.Origin{Path: f.Path, Object: &f.Objects[1]}
		found := p.find(second, nil, "the file has %d objects, of which this is the second", len(f.Objects))
		found.Related = []finding.Place{{Path: f.Path, Line: f.Objects[0].Line, Column: f.Objects[0].Column}}
	}
}

func fileNames(p *pass) {
	for n := range p.Files {
		f := &p.Files[n]
		if f.File == nil || len(f.Objects) != 1 || f.Lists || !p.looked(f) {
			continue
		}
		o := inventory.Origin{Path: f.Path, Object: &f.Objects[0]}
		if want, right := p.named(o); !right {
			found := p.find(o, nil, "the file of %s is named %s, and not %s", p.key(o), path.Base(f.Path), want)
			found.Place = finding.Place{Path: f.Path, Line: 1, Column: 1}
		}
	}
}

// named says how a file is to be named, and whether it is. The name may have the namespace that the object says, or the one that it gets.
func (c *check) named(o inventory.Origin) (want string, right bool) {
	want = object.FileName(c.key(o), o.Object.Version)
	written := object.FileName(c.Scopes.Normalise(o.Object.Key, ""), o.Object.Version)
	base := path.Base(o.Path)
	ending := path.Ext(base)
	stem := strings.TrimSuffix(base, ending)
	if ending == ".json" || ending == ".yml" {
		want, written = strings.TrimSuffix(want, ".yaml")+ending, strings.TrimSuffix(written, ".yaml")+ending
	}
	return want, stem+ending == want || stem+ending == written
}

// maxLook is how many bytes of a file that Argo CD does not read are looked at.
const maxLook = 1 << 20

// unselected finds manifests in Applications' folders that nobody reads.
func unselected(p *pass) {
	seen := make(map[string]bool)
	for _, a := range p.Applications {
		sources := a.Spec.AllSources()
		for n := range sources {
			selection := p.Selection(&sources[n])
			folder := clean(sources[n].Path)
			if selection == nil || folder == "" || seen[folder] {
				continue
			}
			seen[folder] = true
			for _, f := range tree.Under(p.Tree().Files(), folder) {
				p.unread(a, folder, f)
			}
		}
	}
}

// unread looks at one file of an Application's folder.
func (p *pass) unread(a *inventory.Application, folder string, f tree.File) {
	if p.looks[f.Path] || hidden(f.Path) {
		return
	}
	p.looks[f.Path] = true
	file := p.File(f.Path)
	if file != nil && file.Skipped {
		if objects := p.within(f); len(objects) > 0 {
			p.unreadFile(a, f.Path, objects, "carries the marker that has Argo CD skip it")
		}
		return
	}
	if len(p.readers[f.Path]) > 0 || p.Rendered(f.Path) || p.maySetRead(f.Path) || p.belongsElsewhere(folder, f.Path) {
		return
	}
	if file != nil {
		if file.Bad == nil && len(file.Objects) > 0 {
			p.unreadFile(a, f.Path, file.Objects, p.whyUnread(folder, f.Path))
		}
		return
	}
	if argo.Readable(f.Path) || f.Escapes || p.Options.Ignore != nil && p.Options.Ignore(f.Path) || neverManifests[path.Ext(f.Path)] {
		return
	}
	if objects := p.within(f); len(objects) > 0 {
		p.unreadFile(a, f.Path, objects, "has an ending that it does not read")
	}
}

// neverManifests are endings of files that are no manifests, whatever is in them.
var neverManifests = map[string]bool{".md": true, ".libsonnet": true, ".go": true, ".py": true, ".sh": true, ".png": true, ".svg": true, ".tpl": true, ".gotmpl": true, ".j2": true}

// within returns the objects of a file that was not read.
func (p *pass) within(f tree.File) []object.Object {
	data, err := p.Tree().Read(f)
	if err != nil || len(data) > maxLook || !bytes.Contains(data, []byte("apiVersion")) || !bytes.Contains(data, []byte("kind")) {
		return nil
	}
	data = bytes.ReplaceAll(data, []byte(object.SkipMarker), nil)
	read := object.Read("file.yaml", data, nil)
	if read.Bad != nil {
		return nil
	}
	return read.Objects
}

// belongsElsewhere says whether a file below a folder is in one that some other Application has as its source.
func (p *pass) belongsElsewhere(folder, file string) bool {
	for at := parentOf(file); len(at) > len(folder); at = parentOf(at) {
		if p.readFrom(at) {
			return true
		}
	}
	return false
}

// byPattern is why a file is not read that the Application itself leaves out. That may be meant.
const byPattern = "is left out by a pattern"

func (p *pass) whyUnread(folder, file string) string {
	if strings.Contains(strings.TrimPrefix(file, folder+"/"), "/") && !p.recursive[folder] {
		return "is in a subfolder, into which it does not go"
	}
	return byPattern
}

func (p *pass) unreadFile(a *inventory.Application, file string, objects []object.Object, why string) {
	first := &objects[0]
	f := p.findFile(finding.Place{Path: file, Line: first.Line, Column: first.Column}, "%s/%s does not apply this file, which has %s: it %s", a.Metadata.Namespace, a.Metadata.Name, described(objects), why)
	f.Key, f.Application = p.Scopes.Normalise(first.Key, a.Spec.Destination.Namespace), a.Metadata.Name
	if why == byPattern {
		p.lower(f, finding.Warning)
	}
}

func described(objects []object.Object) string {
	if len(objects) == 1 {
		return objects[0].String()
	}
	return objects[0].String() + " and " + count(len(objects)-1, "other object")
}

// unparseable finds files that cannot be read.
func unparseable(p *pass) {
	for n := range p.Files {
		f := &p.Files[n]
		if f.File == nil || f.Bad == nil || len(p.readers[f.Path]) == 0 {
			continue
		}
		a := p.readers[f.Path][0]
		at := finding.Place{Path: f.Path, Line: f.Bad.Line, Column: f.Bad.Column}
		id := a.Metadata.Namespace + "/" + a.Metadata.Name
		if f.Bad.Manifest || strings.HasSuffix(f.Path, ".json") {
			p.findFile(at, "%s cannot be rendered: %s", id, f.Bad.Message).Application = a.Metadata.Name
			continue
		}
		found := p.findFile(at, "%s passes over this file in silence: %s", id, f.Bad.Message)
		found.Application = a.Metadata.Name
		p.lower(found, finding.Warning)
	}
	for _, r := range p.Refused {
		p.find(r.Origin, way("spec"), "the API server refuses it: %v", r.Err)
	}
	for _, set := range p.Sets {
		if set.Broken != nil {
			p.find(set.Origin, way("spec"), "the ApplicationSet %s generates nothing: %v", p.key(set.Origin).Name, set.Broken)
		}
	}
	for _, a := range p.Applications {
		if a.Broken != nil && !p.brokenByFile(a) {
			p.find(a.Origin, specField(a), "%s/%s cannot be rendered: %v", a.Metadata.Namespace, a.Metadata.Name, a.Broken)
		}
	}
}

// brokenByFile says whether what breaks an Application is in a file that it reads, where it is reported.
func (p *pass) brokenByFile(a *inventory.Application) bool {
	sources := a.Spec.AllSources()
	for n := range sources {
		selection := p.Selection(&sources[n])
		if selection == nil {
			continue
		}
		for _, f := range selection.Files(p.Tree().Files()) {
			if file := p.File(f.Path); file != nil && file.Bad != nil {
				return true
			}
		}
	}
	return false
}

func lists(p *pass) {
	for n := range p.Files {
		f := &p.Files[n]
		if f.File == nil || !f.Lists || len(f.Objects) == 0 || !p.looked(f) {
			continue
		}
		p.find(inventory.Origin{Path: f.Path, Object: &f.Objects[0]}, nil, "the file has a list of objects: %d in all", len(f.Objects))
	}
}

// tooLarge finds Applications near the size that Argo CD takes.
func tooLarge(p *pass) {
	limit := p.config.MaxManifests
	for _, a := range p.Applications {
		var size int64
		last := ""
		for _, t := range a.Targets {
			if t.Path != last {
				if file := p.File(t.Path); file != nil {
					size += file.Size
				}
				last = t.Path
			}
		}
		if limit > 0 && size > limit/10*8 {
			p.find(a.Origin, specField(a), "%s/%s has %d bytes of manifests; Argo CD takes %d", a.Metadata.Namespace, a.Metadata.Name, size, limit)
		}
	}
}
