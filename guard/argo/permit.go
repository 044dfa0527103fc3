package argo

import (
	"strings"

	"github.com/gobwas/glob"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// matches says whether a project's pattern matches a text. A pattern that is none matches nothing.
func matches(pattern, text string, separators ...rune) bool {
	if pattern == "*" || pattern == text {
		return true
	}
	g, err := glob.Compile(pattern, separators...)
	return err == nil && g.Match(text)
}

// PermitsDestination says whether the project permits to deploy into a namespace of a cluster.
func (p *Project) PermitsDestination(d Destination) bool {
	permitted := false
	for _, item := range p.Spec.Destinations {
		server, deniesServer := strings.CutPrefix(item.Server, "!")
		namespace, deniesNamespace := strings.CutPrefix(item.Namespace, "!")
		name, deniesName := strings.CutPrefix(item.Name, "!")
		inCluster := item.Server != "" && d.Server != "" && matches(server, d.Server) != deniesServer
		inCluster = inCluster || item.Name != "" && d.Name != "" && matches(name, d.Name) != deniesName
		here := matches(namespace, d.Namespace) != deniesNamespace
		switch {
		case inCluster && here:
			permitted = true
		case inCluster && deniesNamespace, here && (deniesServer || deniesName):
			return false // what is denied is denied, whatever else permits it
		}
	}
	return permitted
}

// PermitsSource says whether the project permits a repository.
func (p *Project) PermitsSource(url string) bool {
	permitted := false
	for _, pattern := range p.Spec.SourceRepos {
		if pattern, denies := strings.CutPrefix(pattern, "!"); denies {
			if pattern == "*" || matches(Repository(pattern), Repository(url), '/') {
				return false
			}
		} else if pattern == "*" || matches(Repository(pattern), Repository(url), '/') {
			permitted = true
		}
	}
	return permitted
}

// PermitsKind says whether the project permits objects of a kind and a name.
func (p *Project) PermitsKind(k object.Kind, name string, namespaced bool) bool {
	if namespaced {
		return (p.Spec.NamespaceResourceWhitelist == nil || listed(p.Spec.NamespaceResourceWhitelist, k, name)) && !listed(p.Spec.NamespaceResourceBlacklist, k, name)
	}
	return listed(p.Spec.ClusterResourceWhitelist, k, name) && !listed(p.Spec.ClusterResourceBlacklist, k, name)
}

func listed(list []Permitted, k object.Kind, name string) bool {
	for _, item := range list {
		if matches(item.Group, k.Group) && matches(item.Kind, k.Kind) && (item.Name == "" || matches(item.Name, name)) {
			return true
		}
	}
	return false
}

// Permits says whether the project permits an object in a cluster. The key is normalised.
func (p *Project) Permits(k object.Key, namespaced bool, d Destination) bool {
	if !p.PermitsKind(k.GroupKind(), k.Name, namespaced) {
		return false
	}
	d.Namespace = k.Namespace
	return k.Namespace == "" || p.PermitsDestination(d)
}

// Cluster returns the server of a destination, by which clusters are told apart. clusters has the servers of names.
func (d Destination) Cluster(clusters map[string]string) string {
	switch {
	case d.Server != "":
		return strings.TrimSuffix(d.Server, "/")
	case d.Name == InCluster || d.Name == "":
		return Server
	case clusters[d.Name] != "":
		return strings.TrimSuffix(clusters[d.Name], "/")
	}
	return d.Name
}
