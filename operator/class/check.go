package class

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// Check runs the checks of a registry on classes that are not on a cluster, and returns the verdicts sorted by key. What cannot be read
// at all is an error; what is wrong with a class is its verdict. Paths are those of Offline.
func Check(ctx context.Context, o Options, paths ...string) ([]Verdict, error) {
	r, err := Offline(ctx, o, "", paths...)
	if err != nil {
		return nil, err
	}
	return r.Verdicts(), nil
}

// Offline returns a registry of classes that are not on a cluster, each checked; it is not to be run. A path is a folder of class files or
// of manifests, or one such file. Files that end in .yaml, .yml or .json are manifests: of them, every key of an opaque Secret, every
// TelegrafClass and every ClusterTelegrafClass is a class, and other resources are passed over. A Secret that a ClusterTelegrafClass
// refers to is its text and no class. A TelegrafClass that names no namespace is of the one given.
func Offline(ctx context.Context, o Options, namespace string, paths ...string) (*Registry, error) {
	found := &files{namespace: namespace, all: map[Key]Raw{}, secrets: map[string]map[string][]byte{}, refs: map[Key]v1alpha1.SecretKeyRef{}}
	for _, path := range paths {
		if err := found.readPath(path); err != nil {
			return nil, err
		}
	}
	found.follow()
	o.Registerer, o.Logger, o.offline = nil, slog.New(slog.DiscardHandler), true
	r := NewRegistry(o)
	for _, key := range sortedKeys(found.all) {
		r.eval.observe(key, found.all[key])
	}
	for len(r.eval.fresh) > 0 {
		if e := r.eval.next(); e != nil {
			r.eval.ask(ctx, e)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	r.eval.flush()
	return r, nil
}

// files collects the classes of files.
type files struct {
	namespace string
	all       map[Key]Raw
	// secrets are the texts of Secrets by name and key; refs are the classes whose text is in one.
	secrets map[string]map[string][]byte
	refs    map[Key]v1alpha1.SecretKeyRef
}

func (f *files) add(key Key, raw Raw) error {
	if other, twice := f.all[key]; twice {
		return fmt.Errorf("%s is there twice: in %s and in %s", key, other.Source, raw.Source)
	}
	f.all[key] = raw
	return nil
}

func (f *files) readPath(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return f.readFile(path, info)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		name := filepath.Join(path, entry.Name())
		info, err := os.Stat(name)
		if err == nil && info.IsDir() {
			continue
		}
		if err == nil {
			err = f.readFile(name, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *files) readFile(path string, info os.FileInfo) error {
	switch filepath.Ext(path) {
	case ".yaml", ".yml", ".json":
		from, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = from.Close() }()
		return f.readManifest(path, from)
	}
	text, err := readText(path, info)
	return f.add(Key{Kind: KindDirectory, Name: filepath.Base(path)}, Raw{Text: text, Err: err, Source: "file " + path})
}

// readManifest reads the classes in a stream of resources.
func (f *files) readManifest(path string, from io.Reader) error {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(from))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f.addResource(path, document)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}

func (f *files) addResource(path string, document []byte) error {
	if len(bytes.TrimSpace(document)) == 0 {
		return nil
	}
	var resource struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Type       corev1.SecretType `json:"type"`
		Items      []any             `json:"items"`
		Metadata   struct{ Name, Namespace string }
	}
	if err := yaml.Unmarshal(document, &resource); err != nil {
		return err
	}
	source := fmt.Sprintf("%s %s in %s", resource.Kind, resource.Metadata.Name, path)
	switch kind := Kind(resource.Kind); {
	case resource.Kind == "List":
		for _, item := range resource.Items {
			text, err := yaml.Marshal(item)
			if err != nil {
				return err
			}
			if err := f.addResource(path, text); err != nil {
				return err
			}
		}
	case resource.APIVersion == "v1" && resource.Kind == "Secret" && (resource.Type == "" || resource.Type == corev1.SecretTypeOpaque):
		return f.addSecret(source, document)
	case strings.HasPrefix(resource.APIVersion, v1alpha1.GroupVersion.Group+"/") && (kind == KindTelegrafClass || kind == KindClusterTelegrafClass):
		key := Key{Kind: kind, Name: resource.Metadata.Name}
		if kind == KindTelegrafClass {
			key.Namespace = cmp.Or(resource.Metadata.Namespace, f.namespace)
		}
		return f.add(key, f.classOf(key, document, source))
	}
	return nil
}

func (f *files) addSecret(source string, document []byte) error {
	var secret corev1.Secret
	if err := yaml.UnmarshalStrict(document, &secret); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	texts := map[string][]byte{}
	maps.Copy(texts, secret.Data)
	for name, text := range secret.StringData {
		texts[name] = []byte(text)
	}
	f.secrets[secret.Name] = texts
	for name, text := range texts {
		if err := f.add(Key{Kind: KindSecret, Name: name}, Raw{Text: text, Source: keyOf(name, source)}); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(name, source string) string { return "key " + name + " of " + source }

// follow gives classes the texts that they refer to, where the Secret was read.
func (f *files) follow() {
	for key, ref := range f.refs {
		raw := f.all[key]
		text, ok := f.secrets[ref.Name][ref.Key]
		if !ok {
			continue
		}
		raw.Text, raw.Err = text, nil
		f.all[key] = raw
	}
	for _, ref := range f.refs {
		for name := range f.secrets[ref.Name] {
			if secret := (Key{Kind: KindSecret, Name: name}); strings.HasPrefix(f.all[secret].Source, keyOf(name, "Secret "+ref.Name+" in ")) {
				delete(f.all, secret)
			}
		}
	}
}

// classOf is the class of a manifest. An unknown field is its error, as the API server would say too.
func (f *files) classOf(key Key, document []byte, source string) Raw {
	var own v1alpha1.TelegrafClass
	var wide v1alpha1.ClusterTelegrafClass
	spec, into := &own.Spec, any(&own)
	if key.Kind == KindClusterTelegrafClass {
		spec, into = &wide.Spec, &wide
	}
	raw := Raw{Source: source}
	if raw.Err = yaml.UnmarshalStrict(document, into); raw.Err != nil {
		return raw
	}
	raw.Text, raw.Sidecar = []byte(spec.Config), spec.Sidecar
	switch {
	case spec.ConfigSecretKeyRef == nil:
	case key.Kind == KindTelegrafClass:
		raw.Err = errors.New("configSecretKeyRef is for ClusterTelegrafClass")
	case spec.Config != "":
		raw.Err = errors.New("give config or configSecretKeyRef, not both")
	default:
		f.refs[key] = *spec.ConfigSecretKeyRef
		raw.Err = fmt.Errorf("the text is the key %s of the Secret %s, which is not among the files", spec.ConfigSecretKeyRef.Key, spec.ConfigSecretKeyRef.Name)
	}
	return raw
}
