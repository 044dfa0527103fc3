package sidecar

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// SourceAnnotation is the hash of the annotations that a pod's configuration was made from.
const SourceAnnotation = annotation.Written + "source-hash"

// SourceHash is the hash of the annotations that ask for something. What the operator wrote is not among them.
func SourceHash(annotations map[string]string) string {
	var texts []string
	for key, value := range annotations {
		if annotation.Asks(key) {
			texts = append(texts, key+"\x00"+value)
		}
	}
	slices.Sort(texts)
	return class.Hash([]byte(strings.Join(texts, "\x00\x00")))
}

// shapeAnnotation is the key of the annotation that names what a sidecar's files rely on and what only a new pod can change.
func shapeAnnotation(container string) string { return annotation.Written + container + ".shape" }

// shape is the hash of the names of a sidecar's variables and of the volumes that its files are in.
func (r *request) shape() string {
	var names []string
	for _, e := range r.env() {
		names = append(names, e.Name)
	}
	text, err := json.Marshal([]any{names, r.configVolume(), r.scrapeVolumes()})
	if err != nil {
		panic(err) // of values that this program built
	}
	return class.Hash(text)
}

// Refresh is what became of the annotations of a running pod after they were edited.
type Refresh struct {
	// Annotations are to be written on the pod.
	Annotations map[string]string
	// Problem says why the sidecars go on with what they had; empty when they get what the annotations ask for.
	Problem string
}

// Refresh writes the configuration of a running pod anew. raw is the pod as it is. Either all of its sidecars get what is asked for or
// none does: a file must not name a variable that its container does not have.
func (b *Builder) Refresh(raw []byte, namespace string) (*Refresh, error) {
	p, err := readPod(raw)
	if err != nil {
		return nil, err
	}
	source := SourceHash(p.Metadata.Annotations)
	keep := func(problem string) (*Refresh, error) {
		return &Refresh{Annotations: map[string]string{SourceAnnotation: source}, Problem: problem}, nil
	}
	asked := annotation.Parse(p.Metadata.Annotations)
	if asked == nil {
		return keep("no annotation asks for a sidecar any more; it goes when the pod does")
	}
	f := &Refresh{Annotations: map[string]string{SourceAnnotation: source}}
	var hash configHash
	seen := 0
	for _, r := range b.requests(namespace, asked, p) {
		name := r.request.container
		if !p.ours(name) {
			return keep("the sidecar " + name + " is asked for now; a pod gets its sidecars when it is created")
		}
		if r.refused != nil {
			return keep("the sidecar " + name + " keeps its configuration: " + r.refused.message)
		}
		if p.Metadata.Annotations[shapeAnnotation(name)] != r.request.shape() {
			return keep("the sidecar " + name + " keeps its configuration: what the annotations ask for needs another container, which the pod gets when it is created anew")
		}
		seen++
		f.Annotations[ConfigAnnotation(name)] = r.request.conf
		if r.request.asked.Inputs != "" {
			f.Annotations[InputsAnnotation(name)] = r.request.asked.Inputs
		}
		hash.add(name, r.request.files())
	}
	if seen < p.sidecars() {
		return keep("a sidecar is not asked for any more; it goes when the pod does")
	}
	f.Annotations[HashAnnotation] = hash.sum()
	if newPatch(p).sizeWith(f.Annotations)+reserved > maxAnnotations {
		return keep(fmt.Sprintf("the sidecars keep their configuration: the pod's annotations would be larger than the %d bytes that an object may have", maxAnnotations))
	}
	return f, nil
}
