package sidecar

import (
	"encoding/json"
	"maps"
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

// shapeVersion begins every shape, so that those of earlier releases, which were made of less, are told from these.
const shapeVersion = "2."

// shape stands for what is the same in a sidecar's files and in its container: the names of variables, the volumes, the agent that reads
// the files, and the port on which the kubelet asks for its health. Mounts and Secrets with variables are in it too, so that nobody waits
// for an edit of those to arrive.
func (r *request) shape() string {
	var names []string
	for _, e := range r.env() {
		names = append(names, e.Name)
	}
	text, err := json.Marshal([]any{names, r.configVolume(), r.scrapeVolumes(), r.spec.Agent, r.spec.HealthPort, r.asked.Mounts, r.asked.EnvFrom})
	if err != nil {
		panic(err) // of values that this program built
	}
	return shapeVersion + class.Hash(text)
}

// misfit says why the container of a pod's sidecar cannot have the files of a request; empty when it can.
func (r *request) misfit(p *pod) string {
	switch made := p.Metadata.Annotations[shapeAnnotation(r.container)]; {
	case made == r.shape():
		return ""
	case !strings.HasPrefix(made, shapeVersion):
		return "an earlier version of the operator made it; edits are followed once the pod is created anew"
	}
	return "what the annotations ask for needs another container, which the pod gets when it is created anew"
}

// renew gives a sidecar that is there the files that the annotations ask for now, or says why it cannot have them.
func (w *work) renew(r *request, refused *refusal) (problem string) {
	if refused != nil {
		return refused.message
	}
	if misfit := r.misfit(w.pod); misfit != "" {
		return misfit
	}
	annotations := r.annotations()
	if w.patch.sizeWith(annotations)+reserved > maxAnnotations {
		return tooLarge
	}
	w.patch.annotate(annotations)
	return ""
}

// stale says whether the sidecars of a pod were made from other annotations than it has now: another webhook has changed them since, or the
// pod is a copy of an injected one, edited.
func (p *pod) stale() bool {
	return p.Metadata.Annotations[SourceAnnotation] != SourceHash(p.Metadata.Annotations)
}

// keep notes that a sidecar stays as it was made. The hash of the annotations stays too, by which the operator sees that they ask for more.
func (w *work) keep(container, problem string) {
	o := Outcome{Container: container, Reason: Injected, Message: "keeps the configuration that it was made with: " + problem}
	o.Files = w.pod.files(container)
	w.kept = true
	w.warn("sidecar %s %s", container, o.Message)
	w.Outcomes = append(w.Outcomes, o)
}

// files are the pod's own part of the configuration that a sidecar has.
func (p *pod) files(container string) []File {
	files := []File{{generatedFile, p.Metadata.Annotations[ConfigAnnotation(container)]}}
	if inputs, ok := p.Metadata.Annotations[InputsAnnotation(container)]; ok {
		files = append(files, File{inputsFile, inputs})
	}
	return files
}

// keepRest notes the sidecars that the pod has and does not ask for any more.
func (w *work) keepRest() {
	for _, name := range w.pod.sidecars() {
		if !slices.ContainsFunc(w.Outcomes, func(o Outcome) bool { return o.Container == name }) {
			w.keep(name, "the annotations do not ask for it any more; it goes when the pod does")
		}
	}
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
		if misfit := r.request.misfit(p); misfit != "" {
			return keep("the sidecar " + name + " keeps its configuration: " + misfit)
		}
		seen++
		maps.Copy(f.Annotations, r.request.annotations())
		hash.add(name, r.request.files())
	}
	if seen < len(p.sidecars()) {
		return keep("a sidecar is not asked for any more; it goes when the pod does")
	}
	f.Annotations[HashAnnotation] = hash.sum()
	if newPatch(p).sizeWith(f.Annotations)+reserved > maxAnnotations {
		return keep("the sidecars keep their configuration: " + tooLarge)
	}
	return f, nil
}
