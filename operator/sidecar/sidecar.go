// Package sidecar decides what a pod gets, and writes it down as a patch.
//
// It reads the pod as the raw JSON that the API server sent and never writes a pod: the patch only adds. What it does not know of a
// pod it does not touch, so fields younger than this program come through unharmed. The same pod, classes and defaults give the same
// patch, byte for byte. A pod that has been patched gets no second patch.
//
// A sidecar has all its configuration from one volume: the classes' texts from a Secret or ConfigMap of the namespace, which may be missing
// at first, and the pod's own part from an annotation of the pod, which holds no credentials. So a pod starts without anything having been
// written for it, whether or not the operator is alive.
package sidecar

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// Names of what a pod gets.
const (
	// ContainerName is the first sidecar's name; a further one is called ContainerName-NAME.
	ContainerName = "telegraf"
	// IstioName is the sidecar that scrapes Istio's proxy.
	IstioName = "telegraf-istio"
	// ConfigDirectory is where a sidecar's configuration is mounted.
	ConfigDirectory = "/etc/telegraf"
	// ClassesName is the name of the object of each namespace that holds the texts of the classes used in it. It is fixed, so that the
	// operator can be allowed this one and no other.
	ClassesName = "holdfast-classes"

	// InjectedLabel is "true" on a pod with a sidecar and "false" on one that asked for one and did not get it.
	InjectedLabel = annotation.Written + "injected"
	// ClassesInLabel is the kind of object that an injected pod mounts its classes from. A pod without it mounts a Secret.
	ClassesInLabel = annotation.Written + "classes-in"
	// StatusAnnotation says in words what the pod got, or why not.
	StatusAnnotation = annotation.Written + "status"
	// HashAnnotation is the hash of the pod's own part of the configuration.
	HashAnnotation = annotation.Written + "config-hash"
)

// ClassesObject is the kind of the object that holds the texts of classes; empty stands for InSecret.
type ClassesObject string

// The kinds, as the API calls them.
const (
	InSecret    ClassesObject = "Secret"
	InConfigMap ClassesObject = "ConfigMap"
)

// ClassesIn is what an injected pod mounts its classes from, by its labels.
func ClassesIn(labels map[string]string) ClassesObject {
	if ClassesObject(labels[ClassesInLabel]) == InConfigMap {
		return InConfigMap
	}
	return InSecret
}

// Defaults are what the operator's flags say of sidecars.
type Defaults struct {
	// Class is the class of a sidecar that names none.
	Class string
	// Sidecar is how sidecars are made.
	Sidecar v1alpha1.SidecarSpec
	// HoldfastImage is the image of sidecars whose agent is holdfast.
	HoldfastImage string
	// ClassesObject is what sidecars have the texts of their classes from.
	ClassesObject ClassesObject
	// Internal adds the agent's own metrics.
	Internal bool
	// Istio adds a sidecar for Istio's proxy to pods that have it; IstioClass and IstioSidecar are how.
	Istio        bool
	IstioClass   string
	IstioSidecar v1alpha1.SidecarSpec
}

// Builder makes patches. It may be used by several goroutines at once.
type Builder struct {
	Defaults
	// Classes finds a class for a namespace. Its error is for the author of the annotation.
	Classes func(namespace, name string) (*class.Class, error)
	// Namespaces are those whose pods get sidecars, since classes are delivered there; none means all.
	Namespaces []string
	// Native says whether the API server knows native sidecars.
	Native func() bool
}

// Reason is why a sidecar was made or not, in one word, for metrics and events.
type Reason string

// The reasons.
const (
	Injected          Reason = "Injected"
	InvalidAnnotation Reason = "InvalidAnnotation"
	UnknownClass      Reason = "UnknownClass"
	// InvalidClass is that the class is known and never had a text that passed its checks.
	InvalidClass Reason = "InvalidClass"
	// InvalidSidecar is that annotations, class and flags together ask for a container that the API server would not take.
	InvalidSidecar Reason = "InvalidSidecar"
	// NotDelivered is the reason of a namespace that classes are not delivered to.
	NotDelivered     Reason = "NotDelivered"
	NothingToCollect Reason = "NothingToCollect"
	NothingAsked     Reason = "NothingAsked"
	ContainerExists  Reason = "ContainerExists"
	PodConflict      Reason = "PodConflict"
	NoImage          Reason = "NoImage"
	TooLarge         Reason = "TooLarge"
)

// Outcome is what became of one sidecar.
type Outcome struct {
	// Container is the sidecar's name.
	Container string
	Reason    Reason
	// Message says why not, and how to mend it. Of a sidecar that is there already and stays as it was made, it says why; empty for all others.
	Message string
	// Classes are those of the sidecar, with their hashes.
	Classes []*class.Class
	// Agent reads the files.
	Agent v1alpha1.Agent
	// Files are the pod's own part of its configuration.
	Files []File
}

// Folder is the whole configuration of a sidecar that was made, as the agent finds it: in the order of the names.
func (o *Outcome) Folder() []File {
	all := slices.Clone(o.Files)
	for i, c := range o.Classes {
		all = append(all, File{classFile(i, c.Name), string(c.Text)})
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// File is a file of a sidecar's configuration.
type File struct{ Name, Text string }

// Injection is what a pod gets.
type Injection struct {
	// Patch is empty when the pod is to stay as it is.
	Patch []Operation
	// Warnings are for whoever created the pod.
	Warnings []string
	Outcomes []Outcome
	// Again is set when the pod says all of this already: an API server asks again after another step has changed the pod.
	Again bool
}

// Operation is one of a JSON patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// overlay returns spec with what it leaves out taken from base.
func overlay(spec, base v1alpha1.SidecarSpec) v1alpha1.SidecarSpec {
	first(&spec.Agent, base.Agent)
	first(&spec.Image, base.Image)
	first(&spec.ImagePullPolicy, base.ImagePullPolicy)
	first(&spec.Mode, base.Mode)
	first(&spec.WatchConfig, base.WatchConfig)
	first(&spec.HealthPort, base.HealthPort)
	first(&spec.SecurityContext, base.SecurityContext)
	first(&spec.Buffer, base.Buffer)
	spec.Resources.Requests = overlayList(spec.Resources.Requests, base.Resources.Requests)
	spec.Resources.Limits = overlayList(spec.Resources.Limits, base.Resources.Limits)
	spec.Env = overlayEnv(base.Env, spec.Env)
	spec.EnvFrom = append(slices.Clone(base.EnvFrom), spec.EnvFrom...)
	return spec
}

func first[T comparable](v *T, base T) {
	var zero T
	if *v == zero {
		*v = base
	}
}

func overlayList(list, base corev1.ResourceList) corev1.ResourceList {
	all := corev1.ResourceList{}
	for _, l := range []corev1.ResourceList{base, list} {
		for name, q := range l {
			all[name] = q
		}
	}
	return all
}

// overlayEnv returns the variables of both, in order, without those of base that env gives again.
func overlayEnv(base, env []corev1.EnvVar) []corev1.EnvVar {
	all := slices.DeleteFunc(slices.Clone(base), func(b corev1.EnvVar) bool {
		return slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == b.Name })
	})
	return append(all, env...)
}
