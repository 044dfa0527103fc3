package recovery

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sjson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Limits of the manifests.
const (
	// MaxManifests is the size of all files together, in bytes.
	MaxManifests = 512 << 20
	// MaxObjects is how many there may be.
	MaxObjects = 200_000
)

// Manifest is one object of the last good revision.
type Manifest struct {
	*unstructured.Unstructured
	Origin string // file:line
	Digest string
}

// Manifests are those of a revision.
type Manifests struct {
	Source  string
	Digest  string
	objects []Manifest // sorted by identity
	byKey   map[string]int
	Skipped []string // what is no object to apply, and why
}

// ReadManifests reads the files of a tree in a folder and below it, with the reader of check and diff. Objects without a namespace get the
// given one when their kind may have one. Two manifests of one object are an error that names both, and so is a folder without any.
func ReadManifests(t tree.Tree, folder, source, namespace string) (*Manifests, error) {
	m := &Manifests{Source: source, byKey: map[string]int{}}
	var errs []error
	size := 0
	for _, f := range tree.Under(t.Files(), folder) {
		if !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(f.Path)) {
			continue
		}
		content, err := t.Read(f)
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		if size += len(content); size > MaxManifests {
			return nil, fmt.Errorf("the manifests in %s are larger than %d bytes together", t.Name(), MaxManifests)
		}
		errs = append(errs, m.read(f.Path, content))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(m.objects) == 0 {
		return nil, fmt.Errorf("no manifest is in %s below %q", t.Name(), folder)
	}
	return m, m.finish(namespace)
}

// read adds the objects of a file. What Argo CD passes over is noted as skipped.
func (m *Manifests) read(name string, content []byte) error {
	f := object.Read(name, content, nil)
	switch {
	case f.Skipped:
		m.skip("%s has %s: Argo CD passes over it", name, object.SkipMarker)
		return nil
	case f.Bad != nil && !f.Bad.Manifest:
		m.skip("%s is no manifest: %v", name, f.Bad)
		return nil
	case f.Bad != nil:
		return fmt.Errorf("%s: %w", name, f.Bad)
	case len(f.Repeated) > 0:
		return fmt.Errorf("%s:%d: %s is there twice", name, f.Repeated[0].Line, f.Repeated[0].Field)
	case len(m.objects)+len(f.Objects) > MaxObjects:
		return fmt.Errorf("%s: there are more than %d objects", name, MaxObjects)
	}
	number := 0
	left := f.Objects
	for _, text := range object.Documents(content) {
		var document map[string]any
		for ; len(left) > 0 && left[0].Document == number; left = left[1:] {
			o := &left[0]
			var err error
			if document == nil {
				document, err = decode(text)
			}
			if err != nil {
				return fmt.Errorf("%s:%d: %w", name, o.Line, err)
			}
			m.add(o, item(document, o.Item), fmt.Sprintf("%s:%d", name, o.Line))
		}
		number++
	}
	return nil
}

// decode reads a document with whole numbers as such, as large as they are.
func decode(doc []byte) (map[string]any, error) {
	b, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, err
	}
	var o map[string]any
	return o, k8sjson.Unmarshal(b, &o)
}

// item returns an object of a list, from 1, or the document itself.
func item(document map[string]any, n int) map[string]any {
	if n == 0 {
		return document
	}
	items, _ := document["items"].([]any) // the reader of objects has seen it
	o, _ := items[n-1].(map[string]any)
	return o
}

func (m *Manifests) add(o *object.Object, body map[string]any, origin string) {
	switch {
	case o.Generated:
		m.skip("%s: %s is named when it is made (generateName): a hook, which Argo CD runs", origin, o.Kind)
	case o.Annotations["argocd.argoproj.io/hook"] != "":
		m.skip("%s: %s %s is a hook, which Argo CD runs", origin, o.Kind, o.Name)
	default:
		m.objects = append(m.objects, Manifest{Unstructured: &unstructured.Unstructured{Object: body}, Origin: origin})
	}
}

func (m *Manifests) skip(format string, args ...any) {
	m.Skipped = append(m.Skipped, fmt.Sprintf(format, args...))
}

// finish fills namespaces, finds duplicates and computes digests.
func (m *Manifests) finish(namespace string) error {
	scopes := m.scopes()
	for i := range m.objects {
		o := m.objects[i].Unstructured
		clean(o)
		if !scopes.Namespaced(kindOf(o)) {
			o.SetNamespace("")
		} else if o.GetNamespace() == "" {
			if namespace == "" {
				return fmt.Errorf("%s: %s %s has no namespace: say which one is meant (--namespace)", m.objects[i].Origin, o.GetKind(), o.GetName())
			}
			o.SetNamespace(namespace)
		}
	}
	slices.SortStableFunc(m.objects, func(a, b Manifest) int { return cmp.Compare(refOf(a.Unstructured).key(), refOf(b.Unstructured).key()) })
	var all bytes.Buffer
	for i := range m.objects {
		x := &m.objects[i]
		key := refOf(x.Unstructured).key()
		if other, ok := m.byKey[key]; ok {
			return fmt.Errorf("%s and %s are both %s: one of them would win by chance", m.objects[other].Origin, x.Origin, refOf(x.Unstructured))
		}
		m.byKey[key] = i
		b, err := json.Marshal(x.Object)
		if err != nil {
			return fmt.Errorf("%s: %w", x.Origin, err)
		}
		x.Digest = digest(b)
		fmt.Fprintln(&all, x.Digest)
	}
	m.Digest = digest(all.Bytes())
	return nil
}

// clean takes off what only an API server writes.
func clean(o *unstructured.Unstructured) {
	delete(o.Object, "status")
	for _, f := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink", "deletionTimestamp"} {
		unstructured.RemoveNestedField(o.Object, "metadata", f)
	}
}

// elsewhere are kinds without a namespace that neither Kubernetes nor, as a rule, an application's manifests define.
var elsewhere = map[object.Kind]bool{
	{Group: "snapshot.storage.k8s.io", Kind: "VolumeSnapshotClass"}: false, {Group: "snapshot.storage.k8s.io", Kind: "VolumeSnapshotContent"}: false,
	{Group: "cert-manager.io", Kind: "ClusterIssuer"}: false,
}

// scopes are those of Kubernetes, and those that the definitions among the manifests give.
func (m *Manifests) scopes() object.Scopes {
	all := object.Scopes{Custom: maps.Clone(elsewhere)}
	maps.Copy(all.Custom, m.defined())
	return all
}

// defined are the kinds that the manifests define: true for one that has a namespace.
func (m *Manifests) defined() map[object.Kind]bool {
	all := map[object.Kind]bool{}
	for _, x := range m.objects {
		if x.GetKind() != "CustomResourceDefinition" {
			continue
		}
		group, _, _ := unstructured.NestedString(x.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(x.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(x.Object, "spec", "scope")
		all[object.Kind{Group: group, Kind: kind}] = scope != "Cluster"
	}
	return all
}

func kindOf(o *unstructured.Unstructured) object.Kind {
	return object.Kind{Group: object.Group(o.GetAPIVersion()), Kind: o.GetKind()}
}

func refOf(o *unstructured.Unstructured) Ref {
	return Ref{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// find returns the manifest of an object, nil when there is none.
func (m *Manifests) find(r Ref) *Manifest {
	i, ok := m.byKey[r.key()]
	if !ok {
		return nil
	}
	return &m.objects[i]
}
