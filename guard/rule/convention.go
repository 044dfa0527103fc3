package rule

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

func conventionRules() []*Rule {
	const setting = "`conventions`"
	return []*Rule{
		{ID: "HG010", Name: "name-path-mismatch", Severity: finding.Error,
			Catches: "An Application's name, its folder and its destination do not belong together by the convention, by default `env/(cluster)/(app)/yml` and `(app)-(cluster)`. Applications that have only Applications and projects are free, and so are folders that follow no convention, unless the Application is named as one that does.",
			Why:     "A name of one and the folder of another is the mistake that deletes: Argo CD takes it for a change of the one, and prunes all of it.",
			Mend:    "correct the one that is wrong", Setting: setting, run: namesAndPaths},
		{ID: "HG011", Name: "project-mismatch", Severity: finding.Error,
			Catches: "An Application is in another Application's project, in one that the repository does not define, or in `default`. That an app of apps is in `default` is a warning. That a project is not defined is an error only where the repository defines projects at all.",
			Why:     "A project of its own is the barrier that keeps an Application with a wrong destination from pruning there. `default` permits everything, and a project that is missing stops every sync.",
			Mend:    "give it a project of its own", Setting: setting, run: projects},
		{ID: "HG012", Name: "path-shared-by-apps", Severity: finding.Error,
			Catches: "Two Applications read the same files for the same destination.",
			Why:     "They take every object from one another, and when one of them is deleted with its finalizer, the objects go, whatever the other says.",
			Mend:    "merge the two, or give them different folders or destinations", run: sharedPaths},
		{ID: "HG013", Name: "path-missing", Severity: finding.Error,
			Catches: "The folder that an Application reads is not there, or has no object.",
			Why:     "A folder that is missing stops every sync. One that is empty makes everything a candidate for pruning: an automatic sync stops there, one by hand does not.",
			Mend:    "correct the path, or restore the folder", Setting: "`repositories`, where Applications read others too", run: missingPaths},
		{ID: "HG014", Name: "path-orphan", Severity: finding.Warning,
			Catches: "A folder that follows the convention has manifests, and no Application reads it.",
			Why:     "Either it is left over, or its Application was lost.",
			Mend:    "delete the folder, or define its Application", Setting: setting, run: orphans},
		{ID: "HG015", Name: "destination-unknown", Severity: finding.Error,
			Catches: "A destination has both a server and a name, or neither, or one that the cluster map of the settings does not have.",
			Why:     "Argo CD does not sync an Application with such a destination.",
			Mend:    "write the name or the server of a cluster that there is, or add it to clusters in guard.yaml", Setting: "`clusters`", run: destinations},
		{ID: "HG016", Name: "destination-outside-project", Severity: finding.Error,
			Catches: "An Application's project does not permit its destination, its repository, or one of its objects.",
			Why:     "The sync fails; and objects that are there already are orphaned: from then on nobody prunes or deletes them, and nobody notices.",
			Mend:    "let the project permit it, or correct the Application", Setting: "`clusters`", run: permissions},
	}
}

func clean(p string) string { return tree.Clean(p) }

// cleanOr is a folder for messages.
func cleanOr(p string) string {
	if p = clean(p); p == "" {
		return "the repository's root"
	}
	return p
}

// sourceField is the way to a field of an Application's source.
func sourceField(a *inventory.Application, n int, field string) []string {
	if len(a.Spec.Sources) == 0 {
		return specField(a, "source", field)
	}
	return specField(a, "sources", fmt.Sprintf("[%d]", n), field)
}

// specField is the way to a field of an Application's specification, which for a generated one is in its set's template.
func specField(a *inventory.Application, steps ...string) []string {
	if a.Set != "" {
		return append(way("spec", "template", "spec"), steps...)
	}
	return append(way("spec"), steps...)
}

// proper says whether an Application is named after one of the folders that it reads.
func (c *check) proper(a *inventory.Application) bool {
	for _, s := range a.Spec.AllSources() {
		if home, ok := c.conventional(clean(s.Path)); ok && tree.Fill(home.by.Application, home.parts) == a.Metadata.Name {
			return true
		}
	}
	return false
}

// namesAndPaths holds Applications against the convention.
func namesAndPaths(p *pass) {
	for _, a := range p.Applications {
		if a.Set != "" || parent(a) {
			continue
		}
		home, n := p.home(a)
		if n < 0 {
			p.misplaced(a)
			continue
		}
		if want := tree.Fill(home.by.Application, home.parts); want != "" && want != a.Metadata.Name {
			p.misnamed(a, home, n, want)
			continue
		}
		p.misdirected(a, home)
	}
}

// home returns the first source that follows a convention, and -1 where none does.
func (c *check) home(a *inventory.Application) (home, int) {
	for n, s := range a.Spec.AllSources() {
		if s.Chart != "" || s.Path == "" || c.Elsewhere(&s) {
			continue
		}
		if h, ok := c.conventional(clean(s.Path)); ok {
			return h, n
		}
	}
	return home{}, -1
}

// misplaced finds an Application whose name belongs to a folder that there is, and that reads something else.
func (p *pass) misplaced(a *inventory.Application) {
	home, ok := p.expected[a.Metadata.Name]
	if !ok {
		return
	}
	p.find(a.Origin, sourceField(a, 0, "path"), "%s/%s reads %s, and not %s, which is the folder of that name: what that folder has would be pruned", a.Metadata.Namespace, a.Metadata.Name, sources(a), home.folder)
}

func (p *pass) misnamed(a *inventory.Application, h home, n int, want string) {
	if other, ok := p.expected[a.Metadata.Name]; ok && other.folder != h.folder {
		p.find(a.Origin, way("metadata", "name"), "%s/%s reads %s, and has the name of what reads %s: what reads %s is named %s", a.Metadata.Namespace, a.Metadata.Name, h.folder, other.folder, h.folder, want)
		return
	}
	p.find(a.Origin, sourceField(a, n, "path"), "%s/%s reads %s: what reads that folder is named %s", a.Metadata.Namespace, a.Metadata.Name, h.folder, want)
}

// misdirected finds a destination of another cluster, or of another namespace, than the folder is for.
func (p *pass) misdirected(a *inventory.Application, h home) {
	d := a.Spec.Destination
	if want := h.parts["cluster"]; want != "" {
		server, known := p.config.Clusters[want]
		switch {
		case d.Name != "" && d.Name != argo.InCluster && d.Name != want && (known || p.isCluster(d.Name)):
			p.find(a.Origin, specField(a, "destination", "name"), "%s/%s reads %s, and deploys it to the cluster %s", a.Metadata.Namespace, a.Metadata.Name, h.folder, d.Name)
		case d.Server != "" && known && d.Cluster(nil) != strings.TrimSuffix(server, "/"):
			p.find(a.Origin, specField(a, "destination", "server"), "%s/%s reads %s, and deploys it to %s, which is not the server of %s", a.Metadata.Namespace, a.Metadata.Name, h.folder, d.Server, want)
		}
	}
	if want := tree.Fill(h.by.Namespace, h.parts); want != "" && want != d.Namespace {
		p.find(a.Origin, specField(a, "destination", "namespace"), "%s/%s reads %s, and deploys it to the namespace %q: the convention says %s", a.Metadata.Namespace, a.Metadata.Name, h.folder, d.Namespace, want)
	}
}

// isCluster says whether a name is that of a cluster: of the settings, or by the folders.
func (c *check) isCluster(name string) bool {
	_, ok := c.config.Clusters[name]
	return ok || c.clusterNames[name]
}

// projects finds Applications in a project that is not theirs.
func projects(p *pass) {
	names := make(map[string]bool)
	for _, a := range p.Applications {
		names[a.Metadata.Name] = true
	}
	for _, a := range p.Applications {
		if a.Set != "" {
			continue
		}
		name := a.Spec.Project
		id := a.Metadata.Namespace + "/" + a.Metadata.Name
		field := specField(a, "project")
		switch home, n := p.home(a); {
		case name == "" || name == "default":
			f := p.find(a.Origin, field, "%s is in the project default, which permits everything", id)
			if parent(a) {
				p.lower(f, finding.Warning)
			}
		case n >= 0 && !parent(a) && name != tree.Fill(home.by.Project, home.parts) && home.by.Project != "" && p.belongs(name, a, names):
			p.find(a.Origin, field, "%s is in the project %s, which is another Application's: its own is %s", id, name, tree.Fill(home.by.Project, home.parts))
		case len(p.Projects) > 0 && !p.defined(a):
			p.find(a.Origin, field, "%s is in the project %s, which nothing here defines", id, name)
		}
	}
}

// belongs says whether a project is by its name another Application's.
func (p *pass) belongs(project string, a *inventory.Application, names map[string]bool) bool {
	if project == a.Metadata.Name {
		return false
	}
	return names[project] || p.projectNames[project]
}

// defined says whether the repository defines an Application's project.
func (c *check) defined(a *inventory.Application) bool { return len(c.projectsOf(a)) > 0 }

// projectsOf returns the definitions of an Application's project. Projects are in the namespace of Argo CD, wherever the Application is.
func (c *check) projectsOf(a *inventory.Application) []*inventory.Project {
	key := object.Key{Group: object.ArgoGroup, Kind: "AppProject", Namespace: a.Metadata.Namespace, Name: a.Spec.Project}
	if found := c.projects[key]; len(found) > 0 {
		return found
	}
	key.Namespace = argo.DefaultNamespace
	return c.projects[key]
}

// sharedPaths finds Applications that read the same files for the same place.
func sharedPaths(p *pass) {
	type reading struct{ repository, path, cluster, namespace, how string }
	first := make(map[reading]*inventory.Application)
	for _, a := range p.Applications {
		for n, s := range a.Spec.AllSources() {
			if s.Chart != "" || s.Path == "" || a.Set != "" || p.tool(&s) == argo.HelmTool {
				continue // two releases of one chart are not the same objects
			}
			at := reading{argo.Repository(s.RepoURL), clean(s.Path), p.cluster(a), a.Spec.Destination.Namespace, string(s.Kustomize) + string(s.Plugin)}
			before, ok := first[at]
			if !ok {
				first[at] = a
				continue
			}
			if before == a || before.Key() == a.Key() || !overlap(before, a) {
				continue
			}
			f := p.find(a.Origin, sourceField(a, n, "path"), "%s/%s reads %s for the same destination as %s/%s", a.Metadata.Namespace, a.Metadata.Name, cleanOr(s.Path), before.Metadata.Namespace, before.Metadata.Name)
			f.Related = []finding.Place{place(before.Origin)}
		}
	}
}

// tool says what renders a source of the tree.
func (c *check) tool(s *argo.Source) argo.Tool { return argo.ToolOf(s, c.Tree().Files()) }

// overlap says whether two Applications of one folder have a file in common. Those whose files are not known do.
func overlap(a, b *inventory.Application) bool {
	if len(a.Targets) == 0 || len(b.Targets) == 0 {
		return true
	}
	paths := make(map[string]bool)
	for _, t := range a.Targets {
		paths[t.Path] = true
	}
	return slices.ContainsFunc(b.Targets, func(t inventory.Target) bool { return paths[t.Path] })
}

// missingPaths finds Applications whose folder has nothing.
func missingPaths(p *pass) {
	here := make(map[string]bool) // repositories that some Application reads a folder of the tree from
	has := func(s *argo.Source) bool { return len(tree.Under(p.Tree().Files(), s.Path)) > 0 }
	for _, url := range p.Options.Repositories {
		here[argo.Repository(url)] = true
	}
	if len(here) == 0 {
		for _, a := range p.Applications {
			for _, s := range a.Spec.AllSources() {
				if s.Path != "" && has(&s) {
					here[argo.Repository(s.RepoURL)] = true
				}
			}
		}
	}
	for _, a := range p.Applications {
		for n, s := range a.Spec.AllSources() {
			if s.Chart != "" || s.Path == "" && s.Ref != "" || a.Set != "" || s.Fixed() || !here[argo.Repository(s.RepoURL)] {
				continue
			}
			id := a.Metadata.Namespace + "/" + a.Metadata.Name
			switch {
			case !has(&s):
				p.find(a.Origin, sourceField(a, n, "path"), "%s reads %s, which is not there", id, cleanOr(s.Path))
			case p.empty(a, n, &s):
				p.find(a.Origin, sourceField(a, n, "path"), "%s reads %s, in which it finds no object: a sync by hand would prune everything that it has", id, cleanOr(s.Path))
			}
		}
	}
}

// empty says whether a directory source is known to have no object.
func (p *pass) empty(a *inventory.Application, source int, s *argo.Source) bool {
	return a.Broken == nil && len(a.Unanalysed) == 0 && p.Selection(s) != nil && !slices.ContainsFunc(a.Targets, func(t inventory.Target) bool { return t.Source == source })
}

// orphans finds folders that nobody reads.
func orphans(p *pass) {
	if len(p.Applications) == 0 && len(p.Sets) == 0 {
		return
	}
	reported := make(map[string]bool)
	for n := range p.Files {
		f := &p.Files[n]
		folder := tree.Clean(path.Dir("/" + f.Path))
		if _, ok := p.folders[folder]; !ok || reported[folder] {
			continue
		}
		if len(p.readers[f.Path]) > 0 || p.Rendered(f.Path) || p.maySetRead(f.Path) || f.Skipped || p.readFrom(folder) {
			reported[folder] = true
			continue
		}
		if n := slices.IndexFunc(f.Objects, func(o object.Object) bool { return !isControl(&o) }); n >= 0 { // whoever applies those of Argo CD by hand is not in the tree
			reported[folder] = true
			p.findFile(finding.Place{Path: f.Path, Line: f.Objects[0].Line, Column: f.Objects[0].Column}, "no Application reads the folder %s", folder)
		}
	}
}

// readFrom says whether some Application has a folder as its source, whatever it reads there.
func (c *check) readFrom(folder string) bool {
	if c.sourceFolders == nil {
		c.sourceFolders, c.recursive = make(map[string]bool), make(map[string]bool)
		for _, a := range c.Applications {
			for _, s := range a.Spec.AllSources() {
				c.sourceFolders[clean(s.Path)] = true
				if s.Directory != nil && s.Directory.Recurse {
					c.recursive[clean(s.Path)] = true
				}
			}
		}
	}
	return c.sourceFolders[folder]
}

// destinations finds destinations that Argo CD cannot know.
func destinations(p *pass) {
	servers := make(map[string]bool)
	for _, server := range p.config.Clusters {
		servers[strings.TrimSuffix(server, "/")] = true
	}
	for _, a := range p.Applications {
		if a.Set != "" {
			continue
		}
		d, id := a.Spec.Destination, a.Metadata.Namespace+"/"+a.Metadata.Name
		_, named := p.config.Clusters[d.Name]
		switch {
		case d.Server != "" && d.Name != "":
			p.find(a.Origin, way("spec", "destination", "name"), "%s has both a server and a name as its destination", id)
		case d.Server == "" && d.Name == "":
			p.find(a.Origin, way("spec", "destination"), "%s has neither a server nor a name as its destination", id)
		case len(p.config.Clusters) == 0:
		case d.Name != "" && d.Name != argo.InCluster && !named:
			p.find(a.Origin, way("spec", "destination", "name"), "%s deploys to the cluster %s, which is not in the cluster map", id, d.Name)
		case d.Server != "" && d.Cluster(nil) != argo.Server && !servers[d.Cluster(nil)]:
			p.find(a.Origin, way("spec", "destination", "server"), "%s deploys to %s, which is no server of the cluster map", id, d.Server)
		}
	}
}
