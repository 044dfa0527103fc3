package sidecar

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// istioStatus is the annotation that Istio leaves on pods that have its proxy.
const istioStatus = "sidecar.istio.io/status"

// maxAnnotations is the API server's bound for all annotations of an object, keys and values, in bytes.
const maxAnnotations = 256 << 10

// written is the size of what finish writes for every pod but the words of the status, and reserved what is kept for all of it, in bytes.
const (
	written  = len(HashAnnotation) + len(SourceAnnotation) + 2*hashSize + len(StatusAnnotation)
	reserved = written + 1<<10
)

// tooLarge is what is wrong with annotations beyond that bound.
var tooLarge = fmt.Sprintf("the pod's annotations would be larger than the %d bytes that an object may have: "+
	"shorten the annotation inputs, or move it into a class", maxAnnotations)

// hashSize is the length of a hash, in bytes.
const hashSize = 10

// maxWarning bounds a warning, in bytes; API servers cut them at a few thousand in all.
const maxWarning = 250

// Inject decides what a pod gets. raw is the pod as the API server sent it; namespace is the request's, for the pod may not say.
// An error means that raw is no pod.
func (b *Builder) Inject(raw []byte, namespace string) (*Injection, error) {
	p, err := readPod(raw)
	if err != nil {
		return nil, err
	}
	asked := annotation.Parse(p.Metadata.Annotations)
	if asked == nil {
		asked = &annotation.Request{} // a pod with Istio's proxy gets a sidecar without asking
	}
	w := &work{Builder: b, pod: p, namespace: namespace, patch: newPatch(p), ports: map[int32]string{}}
	w.note(asked.Problems)
	for _, s := range asked.Sidecars {
		w.note(s.Problems)
	}
	for _, r := range b.requests(namespace, asked, p) {
		w.sidecar(r.request, r.refused)
	}
	w.finish()
	w.Patch = w.patch.operations
	return &w.Injection, nil
}

// Asks says whether a pod with such annotations may get a sidecar.
func (b *Builder) Asks(annotations map[string]string) bool {
	asked := annotation.Parse(annotations)
	_, proxy := annotations[istioStatus]
	return b.Istio && proxy || asked != nil && len(asked.Sidecars) > 0
}

// resolved is a request, or why there is no such sidecar.
type resolved struct {
	request *request
	refused *refusal
}

// requests are the sidecars that a pod asks for, Istio's last.
func (b *Builder) requests(namespace string, asked *annotation.Request, p *pod) (all []resolved) {
	for _, s := range asked.Sidecars {
		r, refused := b.resolve(namespace, s)
		all = append(all, resolved{r, refused})
	}
	if _, proxy := p.Metadata.Annotations[istioStatus]; b.Istio && proxy && !asked.NoIstio {
		r, refused := b.istio(namespace, asked.Istio)
		all = append(all, resolved{r, refused})
	}
	// All sidecars of a pod mount one kind of object, for which the pod has one label.
	in := b.ClassesObject
	if len(p.sidecars()) > 0 {
		in = ClassesIn(p.Metadata.Labels)
	}
	for _, r := range all {
		r.request.classesIn = in
	}
	return all
}

// work is the injection of one pod.
type work struct {
	*Builder
	pod       *pod
	namespace string
	patch     *patch
	// ports are the health ports taken, by container.
	ports map[int32]string
	// notes are the problems that keep no sidecar from being made.
	notes []string
	// kept is set when a sidecar that was there is not what the annotations ask for.
	kept bool
	Injection
}

// note warns of problems that are not fatal; the others are told with their sidecar.
func (w *work) note(problems []annotation.Problem) {
	for _, p := range problems {
		if !p.Fatal {
			w.warn("%s", p)
			w.notes = append(w.notes, p.String())
		}
	}
}

func (w *work) warn(format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...))
	w.Warnings = append(w.Warnings, shorten(text, maxWarning))
}

// sidecar adds one sidecar, or notes why not. Of one that an earlier call has added only the files can change.
func (w *work) sidecar(r *request, refused *refusal) {
	name := r.container
	switch present := w.pod.ours(name); {
	case present && (refused != nil || w.pod.stale()):
		if problem := w.renew(r, refused); problem != "" {
			w.keep(name, problem)
			return
		}
	case refused == nil && !present:
		refused = w.add(r)
	}
	o := Outcome{Container: name, Reason: Injected, Classes: r.classes, Agent: r.spec.Agent}
	switch {
	case refused != nil:
		o.Reason, o.Message = refused.reason, refused.message
		w.warn("no sidecar %s: %s", name, refused.message)
	default:
		w.ports[r.spec.HealthPort] = name
		for _, note := range r.notes {
			w.warn("sidecar %s: %s", name, note)
		}
		o.Files = r.files()
		w.labels(r.classes)
		if !strings.Contains(r.spec.Image, "@sha256:") && r.spec.Image != w.Sidecar.Image && r.spec.Image != w.HoldfastImage {
			w.warn("the image %s of sidecar %s is not pinned by digest", r.spec.Image, name)
		}
	}
	w.Outcomes = append(w.Outcomes, o)
}

// add puts a sidecar into the patch.
func (w *work) add(r *request) *refusal {
	if w.pod.hasContainer(r.container) {
		return refuse(ContainerExists, "the pod has a container of that name already")
	}
	if other, taken := w.ports[r.spec.HealthPort]; taken && r.spec.HealthPort != 0 {
		return refuse(PodConflict, "sidecar %s has the health port %d already: give this one another by the annotation health-port", other, r.spec.HealthPort)
	}
	c, volumes, refused := r.build(w.pod)
	if refused != nil {
		return refused
	}
	annotations := r.annotations()
	if w.patch.sizeWith(annotations)+reserved > maxAnnotations {
		return refuse(TooLarge, "%s", tooLarge)
	}
	for _, v := range volumes {
		w.patch.append("volumes", v)
	}
	if r.spec.Mode == v1alpha1.ModeNative {
		w.patch.append("initContainers", c)
	} else {
		w.patch.append("containers", c)
	}
	w.patch.annotate(annotations)
	w.classesIn(r.classesIn)
	w.pod.add(c, volumes)
	return nil
}

// annotations are what the pod carries of a sidecar.
func (r *request) annotations() map[string]string {
	annotations := map[string]string{ConfigAnnotation(r.container): r.conf, shapeAnnotation(r.container): r.shape()}
	if r.asked.Inputs != "" {
		annotations[InputsAnnotation(r.container)] = r.asked.Inputs
	}
	return annotations
}

// classesIn says on the pod what it mounts its classes from. A Secret goes without saying, unless the pod is a copy that says otherwise.
func (w *work) classesIn(o ClassesObject) {
	if _, copied := w.patch.labels[ClassesInLabel]; copied || o == InConfigMap {
		w.patch.label(ClassesInLabel, string(cmp.Or(o, InSecret)))
	}
}

// labels names the classes' hashes on the pod.
func (w *work) labels(classes []*class.Class) {
	for _, c := range classes {
		w.patch.label(annotation.ClassLabel+c.Name, c.Hash)
	}
}

// finish writes on the pod what it got.
func (w *work) finish() {
	switch {
	case len(w.Outcomes) > 0:
		w.keepRest()
	case len(w.notes) > 0:
		// Who made the pod by a Deployment has seen no warning.
		w.Outcomes = []Outcome{{Container: ContainerName, Reason: NothingAsked, Message: "no annotation asks for a sidecar"}}
	default:
		return
	}
	injected := false
	var texts []string
	var hash configHash
	for _, o := range w.Outcomes {
		injected = injected || o.Reason == Injected
		texts = append(texts, o.status())
		hash.add(o.Container, o.Files)
	}
	for _, note := range w.notes {
		texts = append(texts, warningWord+note)
	}
	// A pod whose own annotations fill the bound must not be refused for what is added to them.
	if room := maxAnnotations - w.patch.size - written; room > 0 {
		status := shorten(strings.Join(texts, "; "), room)
		annotations := map[string]string{StatusAnnotation: status}
		if _, copied := w.pod.Metadata.Annotations[HashAnnotation]; injected || copied {
			annotations[HashAnnotation] = hash.sum()
			if !w.kept {
				annotations[SourceAnnotation] = SourceHash(w.pod.Metadata.Annotations)
			}
		}
		w.Again = w.pod.Metadata.Annotations[StatusAnnotation] == status
		w.patch.annotate(annotations)
	}
	w.patch.label(InjectedLabel, strconv.FormatBool(injected))
}

// Words of the status by which it is known whether there is something to tell.
const (
	refusalWord = ": not injected, "
	warningWord = "warning: "
)

// Refused says whether a status speaks of a sidecar that was not made, and Warned whether it speaks of an annotation that is not heeded.
func Refused(status string) bool { return strings.Contains(status, refusalWord) }

// Warned: see Refused.
func Warned(status string) bool { return strings.Contains(status, warningWord) }

// status is what the annotation says of a sidecar.
func (o Outcome) status() string {
	if o.Reason != Injected {
		return o.Container + refusalWord + string(o.Reason) + ": " + o.Message
	}
	if o.Message != "" {
		return o.Container + ": injected, " + o.Message
	}
	names := make([]string, len(o.Classes))
	for i, c := range o.Classes {
		names[i] = c.Name + "@" + c.Hash
	}
	return fmt.Sprintf("%s: injected, class %s", o.Container, strings.Join(names, ", "))
}

// files are the pod's own part of the configuration.
func (r *request) files() []File {
	files := []File{{generatedFile, r.conf}}
	if r.asked.Inputs != "" {
		files = append(files, File{inputsFile, r.asked.Inputs})
	}
	return files
}

// configHash is the hash of the pod's own part of its configuration.
type configHash struct{ text []byte }

func (h *configHash) add(container string, files []File) {
	for _, f := range files {
		for _, s := range []string{container, f.Name, f.Text} {
			h.text = append(append(h.text, s...), 0)
		}
	}
}

func (h *configHash) sum() string { return class.Hash(h.text) }
