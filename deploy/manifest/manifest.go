// Package manifest reads Kubernetes manifests strictly: a field that the API's types do not have, or one that is there twice, is an
// error, as it is to an API server that is asked to validate strictly. Tests check with it what the chart renders and what deploy/ holds.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// foreign are the groups whose types are not at hand. Their objects are read as trees; a key that is there twice is still an error.
var foreign = []string{"apiextensions.k8s.io", "cert-manager.io", "monitoring.coreos.com"}

var decoder = func() runtime.Decoder {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
		admissionregistrationv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // the types of one group twice: a mistake of this file
		}
	}
	return serializer.NewCodecFactory(s, serializer.EnableStrict).UniversalDeserializer()
}()

// Document is one document of a manifest.
type Document struct {
	// Source is the chart's template that it comes from, as helm template notes it; empty in other manifests.
	Source string
	// Text is the document, without its separator and the note of the source.
	Text string
	// Object is what it describes.
	Object runtime.Object
}

// Parse reads a manifest. Documents without content are left out.
func Parse(text []byte) ([]Document, error) {
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var docs []Document
	for n := 1; ; n++ {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		d := Document{}
		d.Source, d.Text = cutSource(string(doc))
		if empty(d.Text) {
			continue
		}
		if d.Object, err = Decode([]byte(d.Text)); err != nil {
			return nil, fmt.Errorf("document %d (%s): %w", n, d.Source, err)
		}
		docs = append(docs, d)
	}
}

// Decode reads one document.
func Decode(doc []byte) (runtime.Object, error) {
	u := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(doc, &u.Object); err != nil {
		return nil, err
	}
	if slices.Contains(foreign, u.GroupVersionKind().Group) {
		return u, nil
	}
	obj, _, err := decoder.Decode(doc, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return obj, nil
}

// Find returns the object of a type and a name, nil without it.
func Find[T runtime.Object](docs []Document, name string) T {
	var none T
	for _, d := range docs {
		if o, ok := d.Object.(T); ok && nameOf(d.Object) == name {
			return o
		}
	}
	return none
}

func nameOf(o runtime.Object) string {
	if named, ok := o.(interface{ GetName() string }); ok {
		return named.GetName()
	}
	return ""
}

func cutSource(doc string) (source, text string) {
	const note = "# Source: "
	doc = strings.TrimPrefix(doc, "---\n")
	if !strings.HasPrefix(doc, note) {
		return "", doc
	}
	line, text, _ := strings.Cut(doc, "\n")
	return strings.TrimPrefix(line, note), text
}

// empty says whether a document has comments and blanks only.
func empty(doc string) bool {
	for line := range strings.Lines(doc) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}
