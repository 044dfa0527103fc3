package sidecar

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// request is one sidecar on its way: what was asked, with the classes and the defaults.
type request struct {
	container string
	asked     annotation.Sidecar
	classes   []*class.Class
	spec      v1alpha1.SidecarSpec
	internal  bool
	classesIn ClassesObject
	// notes are for whoever created the pod.
	notes []string
	conf  string
}

// refusal is why a sidecar cannot be made.
type refusal struct {
	reason  Reason
	message string
}

// maxMessage bounds what is said of a refused sidecar, in bytes: it is written on the pod.
const maxMessage = 1000

func refuse(reason Reason, format string, args ...any) *refusal {
	return &refusal{reason, shorten(fmt.Sprintf(format, args...), maxMessage)}
}

// shorten cuts a text to a number of bytes.
func shorten(text string, most int) string {
	const dots = "..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:max(most-len(dots), 0)], "") + dots[:min(len(dots), most)]
}

// resolve joins what the annotations ask for with the classes and the defaults, and writes the generated file. The request is
// returned with a refusal too, as far as it got.
func (b *Builder) resolve(namespace string, asked annotation.Sidecar) (*request, *refusal) {
	r := &request{container: containerName(asked.Name), asked: asked, internal: b.Internal}
	if fatal := asked.Fatal(); len(fatal) > 0 {
		texts := make([]string, len(fatal))
		for i, p := range fatal {
			texts[i] = p.String()
		}
		return r, refuse(InvalidAnnotation, "%s", strings.Join(texts, "; "))
	}
	names := asked.Classes
	if len(names) == 0 {
		names = []string{b.Class}
	}
	spec, refused := r.addClasses(b, namespace, names)
	if refused != nil {
		return r, refused
	}
	r.spec = overlay(fromAnnotations(asked), overlay(spec, b.Sidecar))
	omit(&r.spec.Resources, asked.Container.Resources)
	if port := asked.Container.HealthPort; port != nil {
		r.spec.HealthPort = *port // which may be 0, for none where the class has one
	}
	if asked.Internal != nil {
		r.internal = *asked.Internal
	}
	return r, r.finish(b)
}

// istio is the sidecar for Istio's proxy. The annotations only say its resources.
func (b *Builder) istio(namespace string, resources annotation.Resources) (*request, *refusal) {
	r := &request{container: IstioName}
	spec, refused := r.addClasses(b, namespace, []string{b.IstioClass})
	if refused != nil {
		return r, refused
	}
	asked := v1alpha1.SidecarSpec{Resources: amounts(resources)}
	r.spec = overlay(asked, overlay(spec, overlay(b.IstioSidecar, b.Sidecar)))
	omit(&r.spec.Resources, resources)
	return r, r.finish(b)
}

// addClasses looks classes up and returns what they say of the sidecar; the first that says something wins.
func (r *request) addClasses(b *Builder, namespace string, names []string) (spec v1alpha1.SidecarSpec, refused *refusal) {
	if len(b.Namespaces) > 0 && !slices.Contains(b.Namespaces, namespace) {
		return spec, refuse(NotDelivered, "classes are not delivered to the namespace %s: it is not among --delivery-namespaces (the chart's delivery.namespaces)", namespace)
	}
	for _, name := range names {
		c, err := b.Classes(namespace, name)
		if err != nil {
			var known *class.ResolveError
			if errors.As(err, &known) && known.Problem == class.ProblemNeverValid {
				return spec, refuse(InvalidClass, "%v", err)
			}
			return spec, refuse(UnknownClass, "%v", err)
		}
		r.classes = append(r.classes, c)
		spec = overlay(spec, c.Sidecar)
	}
	return spec, nil
}

// finish settles what depends on everything else.
func (r *request) finish(b *Builder) *refusal {
	first(&r.spec.Agent, v1alpha1.AgentTelegraf)
	first(&r.spec.WatchConfig, v1alpha1.WatchNotify)
	if r.spec.Mode == "" {
		if r.spec.Mode = v1alpha1.ModeContainer; b.Native() {
			r.spec.Mode = v1alpha1.ModeNative
		}
	}
	// The default image is Telegraf's: it is no image of another agent.
	if r.spec.Agent == v1alpha1.AgentHoldfast && r.spec.Image == b.Sidecar.Image {
		r.spec.Image = b.HoldfastImage
	}
	if r.spec.Agent == v1alpha1.AgentHoldfast && r.internal {
		r.internal = false
		if r.asked.Internal != nil {
			r.notes = append(r.notes, "internal is not heeded: the agent holdfast has no input for its own metrics, it serves them")
		}
	}
	if r.spec.Image == "" {
		return refuse(NoImage, "there is no image for the agent %s: name one by the annotation %simage, by the class, or by the operator's flags",
			r.spec.Agent, annotation.Holdfast)
	}
	r.doubt()
	var inputs agent.Tables
	var err error
	if r.asked.Inputs != "" { // parsing has its price even for an empty text
		if inputs, err = agent.Syntax(agent.File{Name: "inputs", Text: []byte(r.asked.Inputs)}); err != nil {
			return refuse(InvalidAnnotation, "the annotation %v", err)
		}
	}
	if !r.gathers(inputs) {
		return refuse(NothingToCollect, "there is nothing to collect: no port, no inputs, no internal metrics, and the class has no inputs")
	}
	if r.conf, err = r.generate(); err != nil {
		return refuse(InvalidAnnotation, "%v", err)
	}
	return nil
}

// gathers says whether there is something to collect.
func (r *request) gathers(inputs agent.Tables) bool {
	return r.internal || r.asked.Scrape != nil || len(inputs.Inputs) > 0 || r.container == IstioName ||
		slices.ContainsFunc(r.classes, func(c *class.Class) bool { return len(c.Tables.Inputs) > 0 })
}

func containerName(name string) string {
	if name == "" {
		return ContainerName
	}
	return ContainerName + "-" + name
}

// fromAnnotations is what the annotations say of the container.
func fromAnnotations(s annotation.Sidecar) v1alpha1.SidecarSpec {
	c := s.Container
	spec := v1alpha1.SidecarSpec{Agent: c.Agent, Image: c.Image, ImagePullPolicy: c.PullPolicy, Mode: c.Mode, WatchConfig: c.WatchConfig,
		SecurityContext: c.SecurityContext, Env: s.Env, EnvFrom: s.EnvFrom, Resources: amounts(c.Resources)}
	if c.BufferVolume != "" || c.BufferSize != nil {
		spec.Buffer = &v1alpha1.Buffer{Volume: c.BufferVolume, Size: c.BufferSize}
	}
	return spec
}

// amounts returns the requests and limits that are named with a quantity.
func amounts(r annotation.Resources) (rr corev1.ResourceRequirements) {
	rr.Requests, rr.Limits = corev1.ResourceList{}, corev1.ResourceList{}
	for name, a := range r {
		if list, resource := in(&rr, name); !a.None {
			list[resource] = a.Quantity
		}
	}
	return rr
}

// omit takes out the requests and limits that are to be left out.
func omit(rr *corev1.ResourceRequirements, r annotation.Resources) {
	for name, a := range r {
		if list, resource := in(rr, name); a.None {
			delete(list, resource)
		}
	}
}

// in finds the list and the resource that a name such as limits-cpu speaks of.
func in(rr *corev1.ResourceRequirements, name string) (corev1.ResourceList, corev1.ResourceName) {
	if resource, ok := strings.CutPrefix(name, "limits-"); ok {
		return rr.Limits, corev1.ResourceName(resource)
	}
	return rr.Requests, corev1.ResourceName(strings.TrimPrefix(name, "requests-"))
}
