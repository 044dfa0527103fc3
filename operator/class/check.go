package class

import (
	"bufio"
	"bytes"
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

// Check runs the checks of a registry on classes that are not on a cluster, and returns the verdicts sorted by key. A path is a folder
// of class files or of manifests, or one such file. Files that end in .yaml, .yml or .json are manifests: of them, every key of an opaque
// Secret, every TelegrafClass and every ClusterTelegrafClass is a class, and other resources are passed over. What cannot be read at all
// is an error; what is wrong with a class is its verdict.
func Check(ctx context.Context, o Options, paths ...string) ([]Verdict, error) {
	all := map[Key]Raw{}
	for _, path := range paths {
		found, err := readPath(path)
		if err != nil {
			return nil, err
		}
		for key, raw := range found {
			if other, twice := all[key]; twice {
				return nil, fmt.Errorf("%s is there twice: in %s and in %s", key, other.Source, raw.Source)
			}
			all[key] = raw
		}
	}
	o.Registerer, o.Logger = nil, slog.New(slog.DiscardHandler)
	r := NewRegistry(o)
	for _, key := range sortedKeys(all) {
		r.eval.observe(key, all[key])
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
	return r.Verdicts(), nil
}

func readPath(path string) (map[Key]Raw, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return readFile(path, info)
	}
	files, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	all := map[Key]Raw{}
	for _, f := range files {
		name := filepath.Join(path, f.Name())
		info, err := os.Stat(name)
		if strings.HasPrefix(f.Name(), ".") || err == nil && info.IsDir() {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := readFile(name, info)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, found)
	}
	return all, nil
}

func readFile(path string, info os.FileInfo) (map[Key]Raw, error) {
	switch filepath.Ext(path) {
	case ".yaml", ".yml", ".json":
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		return readManifest(path, f)
	}
	text, err := readText(path, info)
	return map[Key]Raw{{Kind: KindDirectory, Name: filepath.Base(path)}: {Text: text, Err: err, Source: "file " + path}}, nil
}

// readManifest reads the classes in a stream of resources.
func readManifest(path string, from io.Reader) (map[Key]Raw, error) {
	all := map[Key]Raw{}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(from))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err == nil {
			err = addResource(all, path, document)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

func addResource(all map[Key]Raw, path string, document []byte) error {
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
			if err := addResource(all, path, text); err != nil {
				return err
			}
		}
	case resource.APIVersion == "v1" && resource.Kind == "Secret" && (resource.Type == "" || resource.Type == corev1.SecretTypeOpaque):
		var secret corev1.Secret
		if err := yaml.UnmarshalStrict(document, &secret); err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		for name, text := range secret.Data {
			all[Key{Kind: KindSecret, Name: name}] = Raw{Text: text, Source: "key " + name + " of " + source}
		}
		for name, text := range secret.StringData {
			all[Key{Kind: KindSecret, Name: name}] = Raw{Text: []byte(text), Source: "key " + name + " of " + source}
		}
	case strings.HasPrefix(resource.APIVersion, v1alpha1.GroupVersion.Group+"/") && (kind == KindTelegrafClass || kind == KindClusterTelegrafClass):
		key := Key{Kind: kind, Name: resource.Metadata.Name}
		if kind == KindTelegrafClass {
			key.Namespace = resource.Metadata.Namespace
		}
		all[key] = classOf(kind, document, source)
	}
	return nil
}

// classOf is the class of a manifest. An unknown field is its error, as the API server would say too.
func classOf(kind Kind, document []byte, source string) Raw {
	var own v1alpha1.TelegrafClass
	var wide v1alpha1.ClusterTelegrafClass
	spec, into := &own.Spec, any(&own)
	if kind == KindClusterTelegrafClass {
		spec, into = &wide.Spec, &wide
	}
	raw := Raw{Source: source}
	if raw.Err = yaml.UnmarshalStrict(document, into); raw.Err != nil {
		return raw
	}
	raw.Text, raw.Sidecar = []byte(spec.Config), spec.Sidecar
	switch {
	case spec.ConfigSecretKeyRef == nil:
	case kind == KindTelegrafClass:
		raw.Err = errors.New("configSecretKeyRef is for ClusterTelegrafClass")
	default:
		raw.Err = fmt.Errorf("the text is in Secret %s, which is not read here", spec.ConfigSecretKeyRef.Name)
	}
	return raw
}
