package rule

import (
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// permissions holds Applications against their projects.
func permissions(p *pass) {
	for _, a := range p.Applications {
		defined := p.projectsOf(a)
		if len(defined) != 1 { // none is HG011's, and several are HG001's
			continue
		}
		project := defined[0]
		id := a.Metadata.Namespace + "/" + a.Metadata.Name
		for n, s := range a.Spec.AllSources() {
			if s.RepoURL != "" && !project.PermitsSource(s.RepoURL) {
				p.find(a.Origin, sourceField(a, n, "repoURL"), "%s takes its objects from %s, which the project %s in %s does not permit", id, s.RepoURL, project.Metadata.Name, project.Origin)
			}
		}
		d, known := p.resolve(a.Spec.Destination, project.Project)
		if !known {
			continue
		}
		if !project.PermitsDestination(d) {
			p.find(a.Origin, specField(a, "destination"), "%s deploys to the namespace %q of %s, which the project %s in %s does not permit", id, d.Namespace, or(d.Server, d.Name), project.Metadata.Name, project.Origin)
			continue
		}
		p.objects(a, project, d)
	}
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// objects finds the objects of an Application that its project does not permit. What it says of a kind in a namespace it says once.
func (p *pass) objects(a *inventory.Application, project *inventory.Project, d argo.Destination) {
	type sort struct {
		kind      object.Kind
		namespace string
	}
	said := make(map[sort]bool)
	named := slices.ContainsFunc(slices.Concat(project.Spec.ClusterResourceWhitelist, project.Spec.ClusterResourceBlacklist, project.Spec.NamespaceResourceWhitelist, project.Spec.NamespaceResourceBlacklist),
		func(item argo.Permitted) bool { return item.Name != "" })
	for _, t := range a.Targets {
		of := sort{t.Key.GroupKind(), t.Key.Namespace}
		permitted, ok := said[of]
		if !ok || named {
			permitted = project.Permits(t.Key, p.Scopes.Namespaced(of.kind), d)
			said[of] = permitted
		}
		if permitted || ok && !named {
			continue
		}
		field, why := way("kind"), "that kind"
		if project.PermitsKind(of.kind, t.Key.Name, p.Scopes.Namespaced(of.kind)) {
			field, why = way("metadata", "namespace"), "that namespace"
		}
		f := p.find(t.Origin, field, "%s is in %s/%s, whose project %s in %s does not permit %s", t.Key, a.Metadata.Namespace, a.Metadata.Name, project.Metadata.Name, project.Origin, why)
		f.Key, f.Application = t.Key, a.Metadata.Name
	}
}

// resolve fills what the cluster map knows of a destination. It says false where the project speaks of clusters in a way that cannot be
// compared with the destination.
func (p *pass) resolve(d argo.Destination, project *argo.Project) (argo.Destination, bool) {
	d.Server = strings.TrimSuffix(d.Server, "/")
	switch {
	case d.Server == argo.Server:
		d.Name = argo.InCluster
	case d.Name == argo.InCluster:
		d.Server = argo.Server
	case d.Server == "":
		d.Server = strings.TrimSuffix(p.config.Clusters[d.Name], "/")
	case d.Name == "":
		for name, server := range p.config.Clusters {
			if strings.TrimSuffix(server, "/") == d.Server {
				d.Name = name
			}
		}
	}
	for _, item := range project.Spec.Destinations {
		if d.Server == "" && item.Server != "" && item.Server != "*" || d.Name == "" && item.Name != "" && item.Name != "*" {
			return d, false
		}
	}
	return d, true
}
