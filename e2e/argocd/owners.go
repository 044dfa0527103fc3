//go:build e2e

package argocd

import (
	"fmt"
	"slices"
)

// owners are changes of Applications, and of those that make them.
func owners() []Case {
	every := func(text string) map[string]string {
		return map[string]string{"StatefulSet": text, "Service": text, "ConfigMap": text, "PersistentVolumeClaim": text}
	}
	with := func(options map[string]string) Files {
		return start().with(objects01File, guarded("app01", options)...)
	}
	leaves := func(f Files) []Files { return []Files{f, f.without(app01File)} }
	gone := func(objects ...string) map[Fate][]string {
		return map[Fate][]string{Deleted: append(objects, application01)}
	}
	orphaned := map[Fate][]string{Deleted: {application01}, Orphaned: all("app01")}
	return []Case{
		{
			Name: "a01", Title: "the Application leaves git; every object has Prune=false and Delete=false",
			Commits: leaves(with(every("Prune=false,Delete=false"))), Want: orphaned,
		},
		{
			Name: "a02", Title: "the Application leaves git; deleting the StatefulSet has to be confirmed",
			Commits: leaves(with(map[string]string{"StatefulSet": "Delete=confirm"})),
			Want:    map[Fate][]string{Deleting: {application01}},
		},
		{
			Name: "a03", Title: "as a02, and then it is confirmed", Approve: "app01-cluster01",
			Commits: leaves(with(map[string]string{"StatefulSet": "Delete=confirm"})), Want: gone(all("app01")...),
		},
		{
			Name: "a04", Title: "the Application leaves git; pruning the StatefulSet has to be confirmed",
			Commits: leaves(with(map[string]string{"StatefulSet": "Prune=confirm"})), Want: gone(all("app01")...),
		},
		{
			Name: "a05", Title: "an Application with the finalizer for the background leaves git",
			Commits: []Files{
				start().with(app01File, background(app("app01"))), start().without(app01File),
			},
			Want: gone(all("app01")...),
		},
		{
			Name: "a06", Title: "the Application leaves git, and the root does not prune",
			Commits: leaves(start().with(RootFile, root().syncs("{selfHeal: true}"))),
		},
		{
			Name: "a07", Title: "the Application leaves git, and pruning it has to be confirmed",
			Commits: []Files{start().with(app01File, app("app01").protected("Prune=confirm")), start().without(app01File)},
			Says:    []string{"root: operation: Waiting for pruning confirmation of"},
		},
		{
			Name: "a08", Title: "the Application leaves git and took its protection one commit earlier",
			Commits: []Files{
				start().with(app01File, app("app01").protected("Prune=false")), start(), start().without(app01File),
			},
			Want: gone(all("app01")...),
		},
		{
			Name: "a09", Title: "the Application loses its finalizer in git, and one commit later leaves it",
			Commits: []Files{start(), start().with(app01File, app("app01").bare()), start().without(app01File)},
			Want:    orphaned,
		},
		{
			Name: "a10", Title: "the destination's namespace changes",
			Commits: []Files{wide(), wide().with(app01File, app("app01").into("app02"))},
			Want:    map[Fate][]string{Deleted: all("app01")},
		},
		{
			Name: "a11", Title: "the project changes to one that permits as much",
			Commits: []Files{
				start().with(in("argocd", "project-other.yaml"), project("other", "app01")),
				start().with(in("argocd", "project-other.yaml"), project("other", "app01")).with(app01File, app("app01").of("$P-other")),
			},
		},
		{
			Name: "a12", Title: "the project changes to one that does not permit the namespace",
			Commits: []Files{
				start().with(in("argocd", "project-other.yaml"), project("other", "app02")),
				start().with(in("argocd", "project-other.yaml"), project("other", "app02")).with(app01File, app("app01").of("$P-other")),
			},
			Says: []string{"app01-cluster01: InvalidSpecError"},
		},
		{
			Name: "a13", Title: "automation is switched off, and then an object leaves git",
			Commits: []Files{
				start(), start().with(app01File, app("app01").syncs("{enabled: false, prune: true, selfHeal: true}")),
				start().with(app01File, app("app01").syncs("{enabled: false, prune: true, selfHeal: true}")).
					with(objects01File, four("app01")[:2]...),
			},
		},
		{
			Name: "a14", Title: "automation is switched off in the commit in which objects leave git",
			Commits: []Files{
				start(), start().with(app01File, app("app01").syncs("{enabled: false, prune: true, selfHeal: true}")).
					with(objects01File, four("app01")[:3]...),
			},
			Want:   map[Fate][]string{Deleted: {"PersistentVolumeClaim app01/app01-shared"}},
			Racing: []string{"PersistentVolumeClaim app01/app01-shared"}, Or: Kept,
		},
		{
			Name: "a15", Title: "an object moves from one Application to another, in the same namespace",
			Commits: []Files{handover(true), handover(false)},
			Want:    map[Fate][]string{Recreated: {"ConfigMap app01/app01-more"}},
			Racing:  []string{"ConfigMap app01/app01-more"}, Or: Kept,
		},
		{
			Name: "a16", Title: "the Application moves from the root to another parent",
			Commits: []Files{parents("argocd"), parents("second")},
			Want:    map[Fate][]string{Recreated: append(all("app01"), application01)},
			Racing:  append(all("app01"), application01), Or: Kept,
		},
		{
			Name: "a17", Title: "the project and the Application leave git in one commit",
			Commits: []Files{start(), start().without(app01File, project01File).with(in("argocd", "project-other.yaml"), project("other", "app02"))},
			Want:    map[Fate][]string{Deleting: {application01}, Deleted: {"AppProject app01"}}, Racing: append(all("app01"), application01), Or: Deleted,
		},
		{
			Name: "a18", Title: "as r24, and the project has an earlier wave",
			Commits: []Files{
				wide().with(project01File, project("app01", "app01", "app02").annotate("sync-wave", "-1")),
				wide().without(app01File).with(project01File, project("app01", "app02").annotate("sync-wave", "-1")),
			},
			Want: orphaned, Racing: all("app01"), Or: Deleted,
		},
		{
			Name: "a19", Title: "the StatefulSet's claims go with it, and it leaves git",
			Commits: []Files{
				start().with(objects01File, append(four("app01")[1:], retention(statefulSet("app01", "app01-db")))...),
				start().with(objects01File, four("app01")[1:]...),
			},
			Want: map[Fate][]string{Deleted: append(templateClaims("app01"), "StatefulSet app01/app01-db")},
		},
		{
			Name: "a20", Title: "a StatefulSet is replaced by force",
			Commits: []Files{
				with(map[string]string{"StatefulSet": "Replace=true,Force=true"}),
				with(map[string]string{"StatefulSet": "Replace=true,Force=true"}).with(objects01File, renamedService(guarded("app01", map[string]string{"StatefulSet": "Replace=true,Force=true"}))...),
			},
			Want: map[Fate][]string{Recreated: {"StatefulSet app01/app01-db"}},
		},
		{
			Name: "a21", Title: "a field of a StatefulSet changes that cannot",
			Commits: []Files{start(), start().with(objects01File, renamedService(four("app01"))...)},
			Says:    []string{"app01-cluster01: SyncFailed StatefulSet"},
		},
	}
}

func background(c child) child {
	c.finalizers = "[resources-finalizer.argocd.argoproj.io/background]"
	return c
}

// handover has app01-more in the folder of app01, or in that of app03, which deploys to the namespace of app01 too.
func handover(first bool) Files {
	f := start().
		with(in("argocd", "app03.yaml"), app("app03").into("app01").of("$P-app01")).
		with(in("app03", "objects.yaml"), configMap("app01", "app03-config"))
	if first {
		return f.with(in("app01", "a.yaml"), configMap("app01", "app01-more"))
	}
	return f.with(in("app03", "a.yaml"), configMap("app01", "app01-more"))
}

// parents has a second parent beside the root, and app01's Application in the folder of one of them.
func parents(parent string) Files {
	second := app("second").called("second").of("default").into("none").bare()
	second.destination, second.syncOptions = namespace, nil
	return start().move(app01File, in(parent, "app01.yaml")).
		with(in("argocd", "second.yaml"), second).
		with(in("second", "project.yaml"), project("second", "app02"))
}

// retention has the claims of a StatefulSet deleted with it.
func retention(m manifest) fmt.Stringer {
	m = m.in("")
	m.spec += "  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}\n"
	return m
}

// renamedService changes a field of the StatefulSet that cannot be changed.
func renamedService(objects []fmt.Stringer) []fmt.Stringer {
	objects = slices.Clone(objects)
	for n := range objects {
		if m := objects[n].(manifest); m.kind == "StatefulSet" {
			m.spec = replaceOnce(m.spec, "serviceName: ", "serviceName: other-")
			objects[n] = m
		}
	}
	return objects
}
