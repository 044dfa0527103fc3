package argo

import (
	"fmt"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Project is what an AppProject permits.
type Project struct {
	Metadata struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Annotations map[string]string `json:"annotations"`
		Finalizers  []string          `json:"finalizers"`
	} `json:"metadata"`
	Spec struct {
		SourceRepos                []string      `json:"sourceRepos"`
		SourceNamespaces           []string      `json:"sourceNamespaces"`
		Destinations               []Destination `json:"destinations"`
		ClusterResourceWhitelist   []Permitted   `json:"clusterResourceWhitelist"`
		ClusterResourceBlacklist   []Permitted   `json:"clusterResourceBlacklist"`
		NamespaceResourceWhitelist []Permitted   `json:"namespaceResourceWhitelist"`
		NamespaceResourceBlacklist []Permitted   `json:"namespaceResourceBlacklist"`
	} `json:"spec"`
}

// Permitted is a pattern of kinds, and of names for kinds of the cluster.
type Permitted struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
}

// ParseProject reads an AppProject from an object that was kept whole.
func ParseProject(o *object.Object) (*Project, error) {
	p := new(Project)
	if err := Decode(o.Body, p); err != nil {
		return nil, fmt.Errorf("the AppProject %s: %w", o.Name, err)
	}
	if p.Metadata.Namespace == "" {
		p.Metadata.Namespace = DefaultNamespace
	}
	return p, nil
}
