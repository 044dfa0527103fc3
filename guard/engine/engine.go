// Package engine turns jsonnet, Kustomize and Helm into manifests, as Argo CD 3.2 does, from the files of a tree: a folder or a git
// revision.
//
// The libraries of these tools can neither be stopped nor bounded, and what they render is written by strangers. So they run in a worker:
// the same program again, with an empty environment, that gets the files it asks for from this process and has no other way to them. It is
// killed when it takes too long, and ends when it takes too much memory or when nobody listens any more. Nothing is fetched: no remote
// base, chart or value file, no git, no plugin, no program. What would need them is refused with an error that says so.
//
// The package does not decide which tool renders a source, nor with what: guard/argo does. It does not read objects: guard/object does.
package engine

import (
	"fmt"
	"time"
)

// Tool is what renders.
type Tool string

// The tools.
const (
	Jsonnet   Tool = "jsonnet"
	Kustomize Tool = "kustomize"
	Helm      Tool = "helm"
)

// Spec says what is to be rendered, and how. All paths are relative to the tree, with slashes.
type Spec struct {
	Tool Tool `json:"tool"`
	// Path is the folder: of the chart, of the root kustomization, or of the application that a jsonnet file is of.
	Path      string           `json:"path"`
	Jsonnet   JsonnetOptions   `json:"jsonnet,omitzero"`
	Kustomize KustomizeOptions `json:"kustomize,omitzero"`
	Helm      HelmOptions      `json:"helm,omitzero"`
}

// JsonnetOptions are those of one jsonnet file.
type JsonnetOptions struct {
	// File is evaluated. It imports relative to itself, then from the libraries, the last one first, then relative to Path.
	File      string     `json:"file,omitempty"`
	Libraries []string   `json:"libraries,omitempty"`
	ExtVars   []Variable `json:"extVars,omitempty"`
	TLAs      []Variable `json:"tlas,omitempty"`
	// Multi has the file give a mapping of names to texts or objects, as `jsonnet -m` does: each is a document, and its Origin the name.
	Multi bool `json:"multi,omitempty"`
}

// Variable is a text for jsonnet, or code.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Code  bool   `json:"code,omitempty"`
}

// KustomizeOptions are the edits of the root kustomization that Argo CD makes.
type KustomizeOptions struct {
	NamePrefix              string            `json:"namePrefix,omitempty"`
	NameSuffix              string            `json:"nameSuffix,omitempty"`
	Namespace               string            `json:"namespace,omitempty"`
	Images                  []string          `json:"images,omitempty"` // [name=]image[:tag|@digest]
	Replicas                []Replicas        `json:"replicas,omitempty"`
	Labels                  map[string]string `json:"labels,omitempty"`
	ForceLabels             bool              `json:"forceLabels,omitempty"`
	LabelsWithoutSelector   bool              `json:"labelsWithoutSelector,omitempty"`
	LabelsInTemplates       bool              `json:"labelsInTemplates,omitempty"`
	Annotations             map[string]string `json:"annotations,omitempty"`
	ForceAnnotations        bool              `json:"forceAnnotations,omitempty"`
	Patches                 []any             `json:"patches,omitempty"` // as a kustomization has them
	Components              []string          `json:"components,omitempty"`
	IgnoreMissingComponents bool              `json:"ignoreMissingComponents,omitempty"`
}

// Replicas is how many of a workload are wanted.
type Replicas struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// HelmOptions are those of `helm template`.
type HelmOptions struct {
	Release   string `json:"release,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// ValueFiles are in the tree; Values is the text of one more file, and stands over them.
	ValueFiles    []string `json:"valueFiles,omitempty"`
	IgnoreMissing bool     `json:"ignoreMissing,omitempty"` // value files that are not there
	Values        string   `json:"values,omitempty"`
	// Parameters are --set and --set-string, and FileParameters --set-file, whose values are paths in the tree.
	Parameters     []Parameter `json:"parameters,omitempty"`
	FileParameters []Parameter `json:"fileParameters,omitempty"`
	// KubeVersion and APIVersions are what the cluster is said to have: DefaultKubeVersion and nothing beside Kubernetes' own where empty.
	KubeVersion          string   `json:"kubeVersion,omitempty"`
	APIVersions          []string `json:"apiVersions,omitempty"`
	SkipCRDs             bool     `json:"skipCRDs,omitempty"`
	SkipTests            bool     `json:"skipTests,omitempty"`
	SkipSchemaValidation bool     `json:"skipSchemaValidation,omitempty"`
}

// Parameter is a value for Helm.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Text  bool   `json:"text,omitempty"` // never a number or a boolean
}

// DefaultKubeVersion is what charts see as the version of the cluster, where nobody says which it is.
const DefaultKubeVersion = "1.34.0"

// Result is what a source renders to.
type Result struct {
	// Documents are in the order in which the tool gives them.
	Documents []Document `json:"documents,omitempty"`
	// Files are those of the tree that were read for it, in their order.
	Files []string `json:"files,omitempty"`
}

// Document is one text that was rendered.
type Document struct {
	// Data is YAML or JSON of one object, or of a list of them; of jsonnet a JSON array too.
	Data []byte `json:"data"`
	// Origin is the path in the tree of what it was rendered from, where that is known: the jsonnet file, the chart's template, the
	// kustomization or the file that it names. Line is 0 where it is not known.
	Origin string `json:"origin"`
	Line   int    `json:"line,omitempty"`
}

// Options bound what rendering one source may take. What is zero is as the constants say.
type Options struct {
	Workers int           // how many sources are rendered at once
	Timeout time.Duration // for one source
	Memory  int64         // bytes of a worker
	Output  int64         // bytes of a result
}

// The limits, where Options do not say others.
const (
	Timeout   = 30 * time.Second
	Memory    = 1 << 30
	Output    = 64 << 20
	Questions = 200_000 // that a source may ask about files
	MaxFile   = 64 << 20
)

// Fault says whose fault it is that a source is not rendered.
type Fault int

// The faults.
const (
	// OfSource: Argo CD fails to render it too.
	OfSource Fault = iota
	// OfLimit: it takes more time, memory or output than it is given. Argo CD may render it.
	OfLimit
	// OfReach: it needs what is not in the tree: the network, a plugin, a program, the cluster.
	OfReach
)

// Error is why a source is not rendered.
type Error struct {
	Fault Fault `json:"fault"`
	// Path is in the tree: the jsonnet file, the template, the kustomization. Line and Column are 0 where they are not known.
	Path   string `json:"path,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Message says what is wrong, and how to mend it.
	Message string `json:"message"`
}

func (e *Error) Error() string {
	switch {
	case e.Path == "":
		return e.Message
	case e.Line == 0:
		return e.Path + ": " + e.Message
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.Line, e.Column, e.Message)
}
