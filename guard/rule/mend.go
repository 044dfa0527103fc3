package rule

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Mend returns the changes that mend findings. Comments, order and everything else stay as they are, byte for byte. What cannot be mended
// that way is left as it is, and found again. A file is not moved where the order of files decides what counts of it.
func Mend(i *inventory.Inventory, findings []finding.Finding) (*Changes, error) {
	c := &Changes{files: make(map[string]*change)}
	m := &mender{check: &check{Inventory: i}, changes: c, names: make(map[string]bool)}
	byPath := make(map[string][]finding.Finding)
	for _, f := range findings {
		if f.In == nil || !i.Made(inventory.Origin{Path: f.Path, Object: f.In}) { // what a tool renders is mended in what it renders it from
			byPath[f.Path] = append(byPath[f.Path], f)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(byPath)) {
		if file := i.File(p); file == nil || file.File == nil || m.file(p).Target != p {
			continue // links are left alone: what they lead to has a path of its own
		}
		if err := m.mend(p, byPath[p]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// mender makes changes.
type mender struct {
	*check
	changes *Changes
	names   map[string]bool // of files that will be there
	// defined counts in how many places each object is, for each Application that reads it; made when the first asks.
	defined map[definedIn]int
}

// definedIn is an object of whoever reads it: of an Application, or of nobody that is known.
type definedIn struct {
	key    object.Key
	reader *inventory.Application
}

// ordered says whether an object of a file is defined in another place too, so that the order of files decides which of the two counts.
func (m *mender) ordered(p string) bool {
	if m.defined == nil {
		m.defined = make(map[definedIn]int)
		for n := range m.Files {
			if f := &m.Files[n]; f.File != nil && !f.Skipped {
				m.identities(f, func(id definedIn) { m.defined[id]++ })
			}
		}
	}
	found := false
	m.identities(m.File(p), func(id definedIn) { found = found || m.defined[id] > 1 })
	return found
}

// identities calls a function with each object of a file, for each Application that reads it. What steers Argo CD is one for all of them.
func (m *mender) identities(f *inventory.File, do func(definedIn)) {
	readers := m.reading(f.Path)
	for n := range f.Objects {
		o := &f.Objects[n]
		switch {
		case o.Generated:
		case isControl(o):
			key := m.Scopes.Normalise(o.Key.Canonical(), m.destination(f.Path))
			key.Namespace = cmp.Or(key.Namespace, argo.DefaultNamespace)
			do(definedIn{key: key})
		case len(readers) == 0:
			do(definedIn{key: m.Scopes.Normalise(o.Key.Canonical(), "")})
		}
		for _, a := range readers {
			if !o.Generated && !isControl(o) {
				do(definedIn{m.Scopes.Normalise(o.Key.Canonical(), a.Spec.Destination.Namespace), a})
			}
		}
	}
}

// mend mends the findings of one file.
func (m *mender) mend(p string, findings []finding.Finding) error {
	data, err := m.read(p)
	if err != nil {
		return err
	}
	of := &change{was: data, write: make(map[string][]byte)}
	edited := m.edit(p, of, findings)
	has := func(id string) bool {
		return slices.ContainsFunc(findings, func(f finding.Finding) bool { return f.Rule == id })
	}
	switch {
	case m.ordered(p): // nor where two definitions of an object are told apart by where they are
		of.write[p] = edited
	case has("HG020") && m.split(p, of, edited):
	case has("HG021") && m.rename(p, of, edited):
	default:
		of.write[p] = edited
	}
	if string(of.write[p]) != string(data) {
		m.changes.files[p] = of
		for name := range of.write {
			m.names[name] = true
		}
	}
	return nil
}

// wanted returns what is to be set in an object because of a finding.
func wanted(f *finding.Finding, o *object.Object) []set {
	options := func(wanted ...string) []set {
		return []set{{way: optionField, value: withOptions(o.Annotations[argo.SyncOptions], wanted...)}}
	}
	keep := func(key string) string { // what asks for a confirmation keeps doing so
		if argo.ParseOptions(o.Annotations[argo.SyncOptions]).Protects(key) == argo.Confirmed {
			return key + "=confirm"
		}
		return key + "=false"
	}
	switch f.Rule {
	case "HG040", "HG041", "HG042":
		return options(keep("Prune"), keep("Delete"))
	case "HG043":
		return options("Prune=confirm")
	case "HG050":
		way := []string{"spec", "syncPolicy", "syncOptions"}
		if o.GroupKind() == argo.ApplicationSetKind {
			way = append([]string{"spec", "template"}, way...)
		}
		return []set{{way: way, value: "FailOnSharedResource=true", item: true}}
	case "HG060":
		if o.GroupKind() == storageClass {
			return []set{{way: []string{"reclaimPolicy"}, value: "Retain", near: "provisioner"}}
		}
		return []set{{way: []string{"spec", "persistentVolumeReclaimPolicy"}, value: "Retain"}}
	}
	return nil
}

// edit returns a file with the values that its findings ask for.
func (m *mender) edit(p string, of *change, findings []finding.Finding) []byte {
	data := of.was
	wants := make(map[*object.Object][]set)
	said := make(map[*object.Object][]string)
	var objects []*object.Object
	file := m.File(p)
	for n := range findings {
		f := &findings[n]
		o := inFile(file, f.In)
		if o == nil {
			continue
		}
		for _, want := range wanted(f, o) {
			if wants[o] == nil {
				objects = append(objects, o)
			}
			if !slices.ContainsFunc(wants[o], func(s set) bool { return slices.Equal(s.way, want.way) }) {
				wants[o] = append(wants[o], want)
				said[o] = append(said[o], fmt.Sprintf("%s: %s: %s of %s is %s", p, f.Rule, want.way[len(want.way)-1], o.Key, want.value))
			}
		}
	}
	s := newSource(p, data)
	var edits []edit
	var edited []*object.Object
	var done []string
	for _, o := range objects {
		made, err := s.object(o, wants[o])
		if err != nil {
			wants[o] = nil
			continue
		}
		edits = append(edits, made...)
		edited = append(edited, o)
		done = append(done, said[o]...)
	}
	if len(edits) == 0 {
		return data
	}
	now := applyAll(data, edits)
	if err := verify(p, data, now, objects, wants); err != nil {
		return data
	}
	of.edited, of.done = edited, done
	return now
}

// inFile returns the object of a file that was read again that stands where another one does.
func inFile(file *inventory.File, o *object.Object) *object.Object {
	if o == nil {
		return nil
	}
	for n := range file.Objects {
		if same := &file.Objects[n]; same.Document == o.Document && same.Item == o.Item && same.Key == o.Key {
			return same
		}
	}
	return nil
}

// object returns the edits of one object: all of them, or none.
func (s *source) object(o *object.Object, wants []set) ([]edit, error) {
	n, before, err := o.Node(s.data)
	if err != nil {
		return nil, err
	}
	var edits []edit
	for _, want := range wants {
		e, err := s.apply(n, before, want)
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	return edits, nil
}

// split writes each document of a file into one of its own. It says false where that cannot be done without a loss.
func (m *mender) split(p string, of *change, data []byte) bool {
	file := m.File(p)
	if file.Lists || strings.HasSuffix(p, ".json") {
		return false
	}
	made := make(map[string][]byte)
	var lead []byte // documents without an object, such as a comment at the top, go with the next one
	documents := file.Objects[len(file.Objects)-1].Document + 1
	at := 0
	for d := range documents {
		text, _ := object.DocumentText(data, d)
		text = withoutSeparator(text)
		if at >= len(file.Objects) || file.Objects[at].Document != d {
			lead = append(lead, text...)
			continue
		}
		name := path.Join(path.Dir(p), m.fileName(p, &file.Objects[at]))
		if made[name] != nil || name != p && m.taken(name) || !m.readAs(p, name) {
			return false
		}
		made[name] = append(slices.Clip(lead), text...)
		lead = nil
		at++
	}
	if at != len(file.Objects) {
		return false
	}
	of.write = made
	of.done = append(of.done, fmt.Sprintf("%s: HG020: its %d objects are in files of their own", p, len(made)))
	return true
}

// withoutSeparator takes the line of three dashes off, unless something else is in it.
func withoutSeparator(text []byte) []byte {
	line, rest, _ := strings.Cut(string(text), "\n")
	if strings.TrimRight(line, " \t\r") == "---" {
		return []byte(rest)
	}
	return text
}

// fileName is how the file of an object is to be named.
func (m *mender) fileName(p string, o *object.Object) string {
	k := m.Scopes.Normalise(o.Key, m.destination(p))
	return object.FileName(k, o.Version)
}

// destination is the namespace that a file's objects get.
func (m *mender) destination(p string) string {
	for _, a := range m.reading(p) {
		return a.Spec.Destination.Namespace
	}
	return ""
}

// reading returns the Applications that read a file.
func (m *mender) reading(p string) []*inventory.Application {
	if m.readers == nil {
		m.readers = make(map[string][]*inventory.Application)
		for _, a := range m.Applications {
			for _, t := range a.Targets {
				if list := m.readers[t.Path]; len(list) == 0 || list[len(list)-1] != a {
					m.readers[t.Path] = append(list, a)
				}
			}
		}
	}
	return m.readers[p]
}

// readAs says whether whoever reads a file reads it under another name too.
func (m *mender) readAs(p, name string) bool {
	for _, a := range m.reading(p) {
		sources := a.Spec.AllSources()
		if !slices.ContainsFunc(sources, func(s argo.Source) bool {
			selection := m.Selection(&s)
			return selection != nil && selection.Reads(p) && selection.Reads(name)
		}) {
			return false
		}
	}
	return true
}

// taken says whether a path is there, or will be.
func (m *mender) taken(name string) bool {
	return m.names[name] || m.file(name).Hash != "" || m.File(name) != nil
}

// rename gives a file the name of its object.
func (m *mender) rename(p string, of *change, data []byte) bool {
	name := m.fileName(p, &m.File(p).Objects[0])
	if ending := path.Ext(p); ending == ".json" || ending == ".yml" {
		name = strings.TrimSuffix(name, ".yaml") + ending
	}
	name = path.Join(path.Dir(p), name)
	if m.taken(name) || !m.readAs(p, name) || strings.EqualFold(name, p) {
		return false
	}
	of.write[name] = data
	of.done = append(of.done, fmt.Sprintf("%s: HG021: it is named %s", p, path.Base(name)))
	return true
}
