// Package argo knows what Argo CD makes of its own resources: which files an Application reads, which objects it owns and prunes, what a
// project permits, and what sync options protect from.
//
// The rules are those of Argo CD 3.2, as its documents, its source and runs of it say; docs/guard/argocd.md has what was seen. It reads
// Applications from objects, and never asks a cluster.
package argo

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Kinds of Argo CD's resources.
var (
	ApplicationKind    = object.Kind{Group: object.ArgoGroup, Kind: "Application"}
	ApplicationSetKind = object.Kind{Group: object.ArgoGroup, Kind: "ApplicationSet"}
	ProjectKind        = object.Kind{Group: object.ArgoGroup, Kind: "AppProject"}
)

// Application is what an Application says, as far as it decides what is created and deleted.
type Application struct {
	Metadata struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Annotations map[string]string `json:"annotations"`
		Labels      map[string]string `json:"labels"`
		Finalizers  []string          `json:"finalizers"`
	} `json:"metadata"`
	Spec Spec `json:"spec"`
	// Operation is what Argo CD does as soon as it sees it.
	Operation *Operation `json:"operation"`
}

// Spec is the specification of an Application.
type Spec struct {
	Project     string      `json:"project"`
	Source      *Source     `json:"source"`
	Sources     []Source    `json:"sources"`
	Destination Destination `json:"destination"`
	SyncPolicy  SyncPolicy  `json:"syncPolicy"`

	SourceHydrator    *Hydrator    `json:"sourceHydrator"`
	IgnoreDifferences []Difference `json:"ignoreDifferences"`
}

// Hydrator has Argo CD render one source into a branch, and deploy what that branch has.
type Hydrator struct {
	DrySource struct {
		RepoURL string `json:"repoURL"`
	} `json:"drySource"`
	SyncSource struct {
		TargetBranch string `json:"targetBranch"`
		Path         string `json:"path"`
	} `json:"syncSource"`
}

// Source is where an Application's objects come from. Options for the tools are as they are written, for what stands there decides too.
type Source struct {
	RepoURL        string          `json:"repoURL"`
	Path           string          `json:"path"`
	TargetRevision string          `json:"targetRevision"`
	Chart          string          `json:"chart"`
	Ref            string          `json:"ref"`
	Directory      *Directory      `json:"directory"`
	Helm           json.RawMessage `json:"helm"`
	Kustomize      json.RawMessage `json:"kustomize"`
	Plugin         json.RawMessage `json:"plugin"`

	// Hydrated says that Argo CD itself writes what is there.
	Hydrated bool `json:"-"`
}

// Directory says which files of a folder are read.
type Directory struct {
	Recurse bool            `json:"recurse"`
	Include string          `json:"include"`
	Exclude string          `json:"exclude"`
	Jsonnet json.RawMessage `json:"jsonnet"`
}

// Destination is the cluster and the namespace of an Application.
type Destination struct {
	Server    string `json:"server"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// SyncPolicy says what Argo CD does by itself.
type SyncPolicy struct {
	Automated   *Automated `json:"automated"`
	SyncOptions []string   `json:"syncOptions"`
}

// Automated has Argo CD sync by itself.
type Automated struct {
	Enabled    *bool `json:"enabled"`
	Prune      bool  `json:"prune"`
	SelfHeal   bool  `json:"selfHeal"`
	AllowEmpty bool  `json:"allowEmpty"`
}

// AllSources returns the sources: Argo CD takes source only where sources is empty, and neither beside a hydrator.
func (s *Spec) AllSources() []Source {
	if h := s.SourceHydrator; h != nil {
		return []Source{{RepoURL: h.DrySource.RepoURL, Path: h.SyncSource.Path, TargetRevision: h.SyncSource.TargetBranch, Hydrated: true}}
	}
	if len(s.Sources) > 0 || s.Source == nil {
		return s.Sources
	}
	return []Source{s.Source.normal()}
}

// Syncs says whether Argo CD syncs by itself.
func (p *SyncPolicy) Syncs() bool {
	return p.Automated != nil && (p.Automated.Enabled == nil || *p.Automated.Enabled)
}

// Prunes says whether Argo CD, by itself, deletes what left git.
func (p *SyncPolicy) Prunes() bool { return p.Syncs() && p.Automated.Prune }

// DefaultNamespace is where Argo CD's own resources are, unless it is told otherwise.
const DefaultNamespace = "argocd"

// Server is the URL of the cluster that Argo CD itself is in, and InCluster its name.
const (
	Server    = "https://kubernetes.default.svc"
	InCluster = "in-cluster"
)

// The finalizers that delete an Application's objects with it.
const (
	Finalizer           = "resources-finalizer.argocd.argoproj.io"
	BackgroundFinalizer = Finalizer + "/background"
	ForegroundFinalizer = Finalizer + "/foreground"
)

// Cascades says whether deleting the Application deletes what it tracks.
func (a *Application) Cascades() bool {
	return slices.ContainsFunc(a.Metadata.Finalizers, func(f string) bool {
		return f == Finalizer || f == BackgroundFinalizer || f == ForegroundFinalizer
	})
}

// Decode reads one of Argo CD's resources from the body of an object.
func Decode(body map[string]any, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// ParseApplication reads an Application from an object that was kept whole.
func ParseApplication(o *object.Object) (*Application, error) {
	a := new(Application)
	if err := Decode(o.Body, a); err != nil {
		return nil, fmt.Errorf("the Application %s: %w", o.Name, err)
	}
	if a.Metadata.Namespace == "" {
		a.Metadata.Namespace = DefaultNamespace
	}
	return a, nil
}

// commitName is a full commit, which does not move with the branch.
var commitName = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Fixed says whether a source is pinned to one commit, whatever the branch has.
func (s *Source) Fixed() bool { return commitName.MatchString(s.TargetRevision) }

// Repository returns a repository's URL in a form that is the same for the ways to write it.
func Repository(url string) string {
	url = strings.ToLower(strings.TrimSpace(url))
	if _, rest, found := strings.Cut(url, "://"); found {
		url = rest
	} else if host, path, found := strings.Cut(url, ":"); found && !strings.Contains(host, "/") {
		url = host + "/" + path // git@host:owner/name
	}
	if _, rest, found := strings.Cut(url, "@"); found {
		url = rest
	}
	return strings.TrimSuffix(strings.TrimSuffix(url, "/"), ".git")
}
