package recovery

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	k8sjson "k8s.io/apimachinery/pkg/util/json"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
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
	Origin string // file and number of the document
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

// Folder reads the files of a folder that may be manifests, by their paths in it. Links are not followed.
func Folder(dir string) (map[string][]byte, error) {
	files, total := map[string][]byte{}, int64(0)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isManifest(p) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if total += info.Size(); total > MaxManifests {
			return fmt.Errorf("the files are larger than %d bytes together", MaxManifests)
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	return files, nil
}

// Revision reads the same of a folder of a git revision, without a work tree. It returns the commit too.
func Revision(ctx context.Context, repository, revision, folder string) (map[string][]byte, string, error) {
	out, err := git(ctx, repository, "rev-parse", "--verify", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return nil, "", err
	}
	commit := strings.TrimSpace(string(out))
	tree := commit
	if folder = strings.Trim(path.Clean("/"+folder), "/"); folder != "" {
		tree += ":" + folder
	}
	cmd := exec.CommandContext(ctx, "git", "-C", repository, "archive", "--format=tar", tree)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("running git: %w", err)
	}
	files, err := untar(pipe)
	if err != nil {
		_ = cmd.Process.Kill() // it may have ended
	}
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("git archive %s: %w: %s", tree, werr, strings.TrimSpace(stderr.String()))
	}
	return files, commit, err
}

func git(ctx context.Context, repository string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", repository}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

func untar(r io.Reader) (map[string][]byte, error) {
	files, total := map[string][]byte{}, int64(0)
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading git's archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !isManifest(h.Name) {
			continue
		}
		if total += h.Size; total > MaxManifests {
			return nil, fmt.Errorf("the files are larger than %d bytes together", MaxManifests)
		}
		if files[h.Name], err = io.ReadAll(t); err != nil {
			return nil, fmt.Errorf("reading git's archive: %w", err)
		}
	}
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

// ParseManifests reads files. Objects without a namespace get the given one when their kind may have one. Two manifests of one object
// are an error that names both.
func ParseManifests(files map[string][]byte, source, namespace string) (*Manifests, error) {
	m := &Manifests{Source: source, byKey: map[string]int{}}
	var errs []error
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		errs = append(errs, m.parse(name, files[name]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, m.finish(namespace)
}

func (m *Manifests) parse(name string, content []byte) error {
	r := k8syaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for n := 1; ; n++ {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: document %d: %w", name, n, err)
		}
		o, err := decode(doc)
		if err != nil {
			return fmt.Errorf("%s: document %d: %w", name, n, err)
		}
		if len(o) == 0 {
			continue
		}
		if err := m.add(&unstructured.Unstructured{Object: o}, fmt.Sprintf("%s: document %d", name, n), 0); err != nil {
			return err
		}
	}
}

// decode reads a document with whole numbers as such. A key given twice is an error.
func decode(doc []byte) (map[string]any, error) {
	b, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, err
	}
	var o map[string]any
	return o, k8sjson.Unmarshal(b, &o)
}

func (m *Manifests) add(o *unstructured.Unstructured, origin string, depth int) error {
	if items, ok := o.Object["items"].([]any); ok && strings.HasSuffix(o.GetKind(), "List") {
		if depth > 3 {
			return fmt.Errorf("%s: lists in lists in lists", origin)
		}
		for i, item := range items {
			x, ok := item.(map[string]any)
			if !ok {
				return fmt.Errorf("%s: item %d is not an object", origin, i)
			}
			if err := m.add(&unstructured.Unstructured{Object: x}, fmt.Sprintf("%s, item %d", origin, i), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if !wellFormed(o) {
		return fmt.Errorf("%s: an object has an apiVersion, a kind and a metadata.name", origin)
	}
	switch {
	case o.GetName() == "":
		m.Skipped = append(m.Skipped, fmt.Sprintf("%s: %s is named when it is made (generateName): a hook, which Argo CD runs", origin, o.GetKind()))
	case o.GetAnnotations()["argocd.argoproj.io/hook"] != "":
		m.Skipped = append(m.Skipped, fmt.Sprintf("%s: %s %s is a hook, which Argo CD runs", origin, o.GetKind(), o.GetName()))
	case len(m.objects) >= MaxObjects:
		return fmt.Errorf("%s: there are more than %d objects", origin, MaxObjects)
	default:
		m.objects = append(m.objects, Manifest{Unstructured: o, Origin: origin})
	}
	return nil
}

func wellFormed(o *unstructured.Unstructured) bool {
	version, _ := o.Object["apiVersion"].(string)
	kind, _ := o.Object["kind"].(string)
	meta, _ := o.Object["metadata"].(map[string]any)
	name, named := meta["name"].(string)
	generate, generated := meta["generateName"].(string)
	_, err := schema.ParseGroupVersion(version)
	if ns, ok := meta["namespace"]; ok && ns != nil {
		if _, ok := ns.(string); !ok {
			return false
		}
	}
	return version != "" && err == nil && kind != "" && (named && name != "" || generated && generate != "")
}

// finish fills namespaces, finds duplicates and computes digests.
func (m *Manifests) finish(namespace string) error {
	scopes := m.scopes()
	for i := range m.objects {
		o := m.objects[i].Unstructured
		clean(o)
		if clusterScoped(o.GroupVersionKind().GroupKind(), scopes) {
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

// scopes are those that the definitions among the manifests give: true for a cluster-scoped kind.
func (m *Manifests) scopes() map[schema.GroupKind]bool {
	all := map[schema.GroupKind]bool{}
	for _, x := range m.objects {
		if x.GetKind() != "CustomResourceDefinition" {
			continue
		}
		group, _, _ := unstructured.NestedString(x.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(x.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(x.Object, "spec", "scope")
		all[schema.GroupKind{Group: group, Kind: kind}] = scope == "Cluster"
	}
	return all
}

// ofCluster are the built-in kinds without a namespace.
var ofCluster = map[string][]string{
	"":                             {"Namespace", "Node", "PersistentVolume", "ComponentStatus"},
	"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
	"apiextensions.k8s.io":         {"CustomResourceDefinition"},
	"apiregistration.k8s.io":       {"APIService"},
	"storage.k8s.io":               {"StorageClass", "VolumeAttachment", "CSIDriver", "CSINode", "VolumeAttributesClass"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"node.k8s.io":                  {"RuntimeClass"},
	"networking.k8s.io":            {"IngressClass", "IPAddress", "ServiceCIDR"},
	"certificates.k8s.io":          {"CertificateSigningRequest"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"snapshot.storage.k8s.io":      {"VolumeSnapshotClass", "VolumeSnapshotContent"},
	"cert-manager.io":              {"ClusterIssuer"},
	"admissionregistration.k8s.io": {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy",
		"ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
}

func clusterScoped(k schema.GroupKind, scopes map[schema.GroupKind]bool) bool {
	if cluster, ok := scopes[k]; ok {
		return cluster
	}
	return slices.Contains(ofCluster[k.Group], k.Kind)
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
