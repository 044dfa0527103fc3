//go:build e2e

package argocd

import "fmt"

// Files that many cases change.
var (
	app01File     = in("argocd", "app01.yaml")
	project01File = in("argocd", "project-app01.yaml")
	objects01File = in("app01", "objects.yaml")
	objects02File = in("app02", "objects.yaml")
)

// start is where most cases start: the root has app01's project and Application, which deploys four objects into a namespace of its own.
// The folder of app02 has the same four kinds under other names; nothing deploys it.
func start() Files {
	return Files{}.
		with(RootFile, root()).
		with(app01File, app("app01")).
		with(project01File, project("app01", "app01")).
		with(objects01File, four("app01")...).
		with(objects02File, four("app02")...)
}

// wide is start with a project that permits the namespace of app02 too.
func wide() Files { return start().with(project01File, project("app01", "app01", "app02")) }

// four are the objects of an application, for the namespace of whoever deploys them.
func four(app string) []fmt.Stringer {
	return []fmt.Stringer{
		statefulSet(app, app+"-db").in(""), service(app, app+"-db").in(""),
		configMap(app, app+"-config").in(""), claim(app, app+"-shared").in(""),
	}
}

// guarded are the four with sync options on some of their kinds.
func guarded(app string, options map[string]string) []fmt.Stringer {
	objects := four(app)
	for n := range objects {
		m := objects[n].(manifest)
		if text, ok := options[m.kind]; ok {
			objects[n] = m.options(text)
		}
	}
	return objects
}

// all names the four objects of an application, in its own namespace.
func all(app string) []string {
	return append(allBut("StatefulSet", app), "StatefulSet "+app+"/"+app+"-db")
}

// allBut names the four but that of one kind.
func allBut(kind, app string) []string {
	var names []string
	for _, o := range four(app) {
		if m := o.(manifest); m.kind != kind {
			names = append(names, m.kind+" "+app+"/"+m.name)
		}
	}
	return names
}

// templateClaims names the claims that the StatefulSet's template makes.
func templateClaims(app string) []string {
	return []string{"PersistentVolumeClaim " + app + "/data-" + app + "-db-0", "PersistentVolumeClaim " + app + "/data-" + app + "-db-1"}
}

const application01 = "Application app01-cluster01"

// second are the documents of the incident: app01's Application, and another that has its name and reads the folder of app02.
func second() []fmt.Stringer { return []fmt.Stringer{app("app01"), app("app01").reads("app02")} }

// elsewhere is like second; the other deploys to the namespace of app02.
func elsewhere() []fmt.Stringer {
	return []fmt.Stringer{app("app01"), app("app01").reads("app02").into("app02")}
}

// nothing is a folder with no manifests.
func nothing(f Files) Files { return f.write(in("empty", "README.md"), "Nothing yet.\n") }

// Reference returns the cases that were first seen, with the outcomes seen then.
func Reference() []Case {
	deleted := func(more ...string) map[Fate][]string {
		return map[Fate][]string{Deleted: append(all("app01"), more...)}
	}
	twice := "root: RepeatedResourceWarning: Resource argoproj.io/Application/argocd/"
	noPrune := map[string]string{"StatefulSet": "Prune=false"}
	confirm := map[string]string{"StatefulSet": "Prune=confirm"}
	with := func(f Files, options map[string]string) Files {
		return f.with(objects01File, guarded("app01", options)...)
	}
	options := func(option string) []fmt.Stringer {
		return []fmt.Stringer{app("app01").with(option), app("app01").reads("app02").with(option)}
	}
	inNamespace := func(f Files, ns manifest, options map[string]string) Files {
		return f.with(objects01File, append(guarded("app01", options), ns)...)
	}
	// both is where app02 lives as an application of its own.
	both := func(option ...string) Files {
		a, b := app("app01"), app("app02")
		for _, o := range option {
			a, b = a.with(o), b.with(o)
		}
		return wide().with(app01File, a).with(in("argocd", "app02.yaml"), b).with(in("argocd", "project-app02.yaml"), project("app02", "app02"))
	}
	set := func(more string, elements ...string) Files {
		return start().without(app01File).
			with(in("argocd", "set.yaml"), listSet(more, elements...)).
			with(in("argocd", "project-app02.yaml"), project("app02", "app02"))
	}
	return []Case{
		{
			Name: "r01", Title: "a second Application document has app01's name and app02's folder", Always: true,
			Commits: []Files{start(), start().with(app01File, second()...)},
			Want:    deleted(), Says: []string{twice},
		},
		{
			Name: "r02", Title: "a second Application document has app01's name, app02's folder and app02's namespace",
			Commits: []Files{wide(), wide().with(app01File, elsewhere()...)},
			Want:    deleted(), Says: []string{twice},
		},
		{
			Name: "r03", Title: "as r02, and a second project document permits app02's namespace only",
			Commits: []Files{wide(), wide().with(app01File, elsewhere()...).with(project01File, project("app01", "app01", "app02"), project("app01", "app02"))},
			Want:    map[Fate][]string{Orphaned: all("app01")}, Racing: all("app01"), Or: Deleted,
			Says: []string{twice, "root: RepeatedResourceWarning: Resource argoproj.io/AppProject/argocd/"},
		},
		{
			Name: "r04", Title: "as r02, but the project permits app01's namespace only",
			Commits: []Files{start(), start().with(app01File, elsewhere()...)},
			Says:    []string{twice, "app01-cluster01: InvalidSpecError"},
		},
		{
			Name: "r05", Title: "as r01, and the StatefulSet is protected from pruning", Always: true,
			Commits: []Files{with(start(), noPrune), with(start(), noPrune).with(app01File, second()...)},
			Want:    map[Fate][]string{Deleted: allBut("StatefulSet", "app01")},
			Says:    []string{twice, "app01-cluster01: PruneSkipped StatefulSet"},
		},
		{
			Name: "r06", Title: "as r01, and both documents say FailOnSharedResource=true",
			Commits: []Files{start().with(app01File, app("app01").with("FailOnSharedResource=true")), start().with(app01File, options("FailOnSharedResource=true")...)},
			Want:    deleted(), Says: []string{twice},
		},
		{
			Name: "r07", Title: "as r01, the StatefulSet and the claim are protected, the Namespace is in git and is not", Always: true,
			Commits: []Files{
				inNamespace(start(), namespaceOf("app01"), map[string]string{"StatefulSet": "Prune=false", "PersistentVolumeClaim": "Prune=false"}),
				inNamespace(start(), namespaceOf("app01"), map[string]string{"StatefulSet": "Prune=false", "PersistentVolumeClaim": "Prune=false"}).with(app01File, second()...),
			},
			Want: deleted(append(templateClaims("app01"), "Namespace app01")...), Remade: []string{"Namespace app01"},
			Says: []string{twice, "app01-cluster01: PruneSkipped StatefulSet"},
		},
		{
			Name: "r08", Title: "as r01, and the new folder has no manifests", Always: true,
			Commits: []Files{nothing(start()), nothing(start()).with(app01File, app("app01"), app("app01").reads("empty"))},
			Says:    []string{"app01-cluster01: SyncError: Skipping sync attempt to"},
		},
		{
			Name: "r09", Title: "as r01, and pruning the StatefulSet has to be confirmed",
			Commits: []Files{with(start(), confirm), with(start(), confirm).with(app01File, second()...)},
			Says:    []string{"app01-cluster01: operation: Waiting for pruning confirmation of"},
		},
		{
			Name: "r10", Title: "as r09, and then it is confirmed", Approve: "app01-cluster01",
			Commits: []Files{with(start(), confirm), with(start(), confirm).with(app01File, second()...)},
			Want:    deleted(),
		},
		{
			Name: "r11", Title: "as r02, and the Namespace is protected from pruning",
			Commits: []Files{
				inNamespace(wide(), namespaceOf("app01").options("Prune=false"), nil),
				inNamespace(wide(), namespaceOf("app01").options("Prune=false"), nil).with(app01File, elsewhere()...),
			},
			Want: deleted(), Says: []string{"app01-cluster01: PruneSkipped Namespace"},
		},
		{
			Name: "r12", Title: "the Application leaves git; the StatefulSet has Prune=false, the ConfigMap Delete=false", Always: true,
			Commits: []Files{
				with(start(), map[string]string{"StatefulSet": "Prune=false", "ConfigMap": "Delete=false"}),
				with(start(), map[string]string{"StatefulSet": "Prune=false", "ConfigMap": "Delete=false"}).without(app01File),
			},
			Want: map[Fate][]string{Deleted: append(allBut("ConfigMap", "app01"), application01), Orphaned: {"ConfigMap app01/app01-config"}},
		},
		{
			Name: "r13", Title: "the Application is renamed", Always: true,
			Commits: []Files{start(), start().with(app01File, app("app01").called("app01-renamed"))},
			Want:    map[Fate][]string{Recreated: all("app01"), Deleted: {application01}},
			Silent:  []string{"RepeatedResourceWarning"}, // SharedResourceWarning comes when the new one looks while the old one still goes
		},
		{
			Name: "r14", Title: "all but the ConfigMap leave the folder", Always: true,
			Commits: []Files{start(), start().with(objects01File, configMap("app01", "app01-config").in(""))},
			Want:    map[Fate][]string{Deleted: allBut("ConfigMap", "app01")},
			Silent:  []string{"Warning", "Error"},
		},
		{
			Name: "r15", Title: "the only file gets another extension",
			Commits: []Files{start(), start().move(objects01File, objects01File+".bak")},
			Says:    []string{"app01-cluster01: SyncError: Skipping sync attempt to"},
		},
		{
			Name: "r16", Title: "an Application without finalizer leaves git",
			Commits: []Files{start().with(app01File, app("app01").bare()), start().without(app01File)},
			Want:    map[Fate][]string{Deleted: {application01}, Orphaned: all("app01")},
		},
		{
			Name: "r17", Title: "an Application that is itself protected from pruning leaves git", Always: true,
			Commits: []Files{start().with(app01File, app("app01").protected("Prune=false")), start().without(app01File)},
			Says:    []string{"root: PruneSkipped Application"},
		},
		{
			Name: "r18", Title: "as r01, and the automation does not prune",
			Commits: []Files{
				start().with(app01File, app("app01").syncs("{selfHeal: true}")),
				start().with(app01File, app("app01").syncs("{selfHeal: true}"), app("app01").reads("app02").syncs("{selfHeal: true}")),
			},
			Says: []string{"app01-cluster01: PruneSkipped StatefulSet"},
		},
		{
			Name: "r19", Title: "as r01, and the wrong document is the first",
			Commits: []Files{start(), start().with(app01File, app("app01").reads("app02"), app("app01"))},
			Says:    []string{twice},
		},
		{
			Name: "r20", Title: "as r08, and the automation may prune all",
			Commits: []Files{
				nothing(start()).with(app01File, app("app01").syncs("{prune: true, selfHeal: true, allowEmpty: true}")),
				nothing(start()).with(app01File, app("app01").syncs("{prune: true, selfHeal: true, allowEmpty: true}"),
					app("app01").reads("empty").syncs("{prune: true, selfHeal: true, allowEmpty: true}")),
			},
			Want: deleted(), Says: []string{twice},
		},
		{
			Name: "r21", Title: "one document of the file does not parse, and the others leave it",
			Commits: []Files{start(), start().write(objects01File, documents(four("app01")[2])+"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n name: a\n  name: b\n")},
			Says:    []string{"app01-cluster01: ComparisonError: Failed to load target state"},
		},
		{
			Name: "r22", Title: "app02 lives; a second document has app01's name, app02's folder and namespace",
			Commits: []Files{both(), both().with(app01File, elsewhere()...)},
			Want:    deleted(), Says: []string{twice, "app02-cluster01: SharedResourceWarning"},
		},
		{
			Name: "r23", Title: "as r22, and all say FailOnSharedResource=true", Always: true,
			Commits: []Files{
				both("FailOnSharedResource=true"),
				both("FailOnSharedResource=true").with(app01File, app("app01").with("FailOnSharedResource=true"),
					app("app01").reads("app02").into("app02").with("FailOnSharedResource=true")),
			},
			Says: []string{"app01-cluster01: operation: Shared resource found"},
		},
		{
			Name: "r24", Title: "the Application leaves git, and in the same commit the project stops to permit its namespace", Always: true,
			Commits: []Files{wide(), wide().without(app01File).with(project01File, project("app01", "app02"))},
			Want:    deleted(application01), Racing: all("app01"), Or: Orphaned,
		},
		{
			Name: "r25", Title: "the project stops to permit the namespace, and one commit later the Application leaves git",
			Commits: []Files{
				wide(), wide().with(project01File, project("app01", "app02")),
				wide().with(project01File, project("app01", "app02")).without(app01File),
			},
			Want: map[Fate][]string{Deleted: {application01}, Orphaned: all("app01")},
		},
		{
			Name: "r26", Title: "a list generator loses an element",
			Commits: []Files{set("", "app01", "app02"), set("", "app02")},
			Want:    deleted(application01),
		},
		{
			Name: "r27", Title: "as r26, and the set preserves what it deployed",
			Commits: []Files{
				set("  syncPolicy: {preserveResourcesOnDeletion: true}\n", "app01", "app02"),
				set("  syncPolicy: {preserveResourcesOnDeletion: true}\n", "app02"),
			},
			Want: map[Fate][]string{Deleted: {application01}, Orphaned: all("app01")},
		},
	}
}
