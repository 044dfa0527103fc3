package object

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Object is one object as a file has it.
type Object struct {
	// Key is as it is written, and not yet normalised: Namespace is empty where the file names none.
	Key
	// Version is the version of the API, without the group.
	Version string `json:"version"`
	// Generated objects have a generateName and no name. They are never the same as another.
	Generated bool `json:"generated,omitempty"`
	// Document is the place of its document in the file, from 0; Item its place in a list, from 1, and 0 where it is in none.
	Document int `json:"document,omitempty"`
	Item     int `json:"item,omitempty"`
	// Line and Column, from 1, are where it begins.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Annotations and Labels have those whose key Retained names, whatever the kind. Objects with the same ones share a map, which nobody
	// may change.
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Body is the whole object, as encoding/json would decode it, for kinds that the reader was asked to keep.
	Body map[string]any `json:"body,omitempty"`
}

// Repeated is a mapping key that stands twice in its mapping. Argo CD takes the last one without a word.
type Repeated struct {
	// Field is the way to it, as in "spec.template.metadata.labels.app".
	Field  string `json:"field"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// File is what a file has.
type File struct {
	Objects  []Object   `json:"objects,omitempty"`
	Repeated []Repeated `json:"repeated,omitempty"`
	// Comments are those that waive findings.
	Comments []Comment `json:"comments,omitempty"`
	// Skipped files carry Argo CD's marker, and are read by nobody.
	Skipped bool `json:"skipped,omitempty"`
	// Lists says that a document was a list of objects.
	Lists bool `json:"lists,omitempty"`
	// Size is the length of the file, in bytes.
	Size int64 `json:"size,omitempty"`
	// Bad is what makes Argo CD fail to read the file, or read nothing of it.
	Bad *Bad `json:"bad,omitempty"`
}

// Bad says why a file is no manifest.
type Bad struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	// Manifest says that the text looks like one: Argo CD then fails to render the whole application. Otherwise it passes over the file
	// in silence.
	Manifest bool `json:"manifest"`
}

func (b *Bad) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", b.Line, b.Column, b.Message)
}

// SkipMarker anywhere in a file has Argo CD pass over it.
const SkipMarker = "+argocd:skip-file-rendering"

// retained are beginnings of annotations and labels that say something about deletion, ownership or waivers.
var retained = []string{"argocd.argoproj.io/", "holdfast.dev/", "guard.holdfast.dev/", "helm.sh/", "app.kubernetes.io/instance", "kustomize.toolkit.fluxcd.io/", "policy.kruise.io/", "backup.velero.io/", "velero.io/"}

// Retained says whether an annotation or label is kept of every object.
func Retained(key string) bool {
	return slices.ContainsFunc(retained, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// Kinds whose objects are kept whole.
type Kinds map[Kind]bool

// ArgoGroup is the API group of Argo CD.
const ArgoGroup = "argoproj.io"

// Control are the objects that steer Argo CD.
func Control() Kinds {
	return Kinds{{ArgoGroup, "Application"}: true, {ArgoGroup, "ApplicationSet"}: true, {ArgoGroup, "AppProject"}: true}
}

// Stateful are the kinds that hold state, or whose loss takes state with it.
func Stateful() Kinds {
	return Kinds{
		{"apps", "StatefulSet"}: true, {"", "PersistentVolumeClaim"}: true, {"", "PersistentVolume"}: true, {"", "Namespace"}: true,
		{"apiextensions.k8s.io", "CustomResourceDefinition"}: true, {"storage.k8s.io", "StorageClass"}: true,
	}
}

// And returns the kinds of both.
func (k Kinds) And(more Kinds) Kinds {
	both := maps.Clone(k)
	maps.Copy(both, more)
	return both
}
