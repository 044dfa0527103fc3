//go:build e2e

package argocd

// steps are changes of which Argo CD's parts take the steps one by one, and what was asked of it because a plan had to know.
func steps() []Case {
	more, sub := in("app01", "a.yaml"), in("app01", "sub/a.yaml")
	extra := configMap("app01", "app01-more")
	recurse := app("app01").reads("app01", ", directory: {recurse: true}")
	forced := map[string]string{"StatefulSet": "Replace=true,Force=true"}
	unpruned := app("app01").syncs("{prune: true, selfHeal: true, allowEmpty: true}")
	quick := start().with(objects01File, configMap("app01", "app01-config"))
	waves := func(f Files) Files {
		return f.with(more, extra.annotate("sync-wave", "1")).
			with(in("app01", "b.yaml"), configMap("app01", "app01-first").options("Prune=confirm")).
			with(in("app01", "c.yaml"), configMap("app01", "app01-late").annotate("sync-wave", "2"))
	}
	hook := configMap("app01", "app01-more").annotate("hook", "PreSync")
	renamed := app("app01").called("app01-renamed")
	other := func(elements ...string) manifest {
		m := listSet("", elements...)
		m.name = "$P-other"
		return m
	}
	return []Case{
		{
			Name: "e01", Title: "an Application that may prune all is pointed at a folder that there is not",
			Commits: []Files{start().with(app01File, unpruned), start().with(app01File, unpruned.reads("nowhere"))},
			Says:    []string{"app01-cluster01: ComparisonError"},
		},
		{
			Name: "e02", Title: "objects of three waves leave git, and pruning the one of the first has to be confirmed",
			Commits: []Files{waves(quick), quick},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-more", "ConfigMap app01/app01-late"}},
			Says:    []string{"app01-cluster01: operation: Waiting for pruning confirmation of"},
		},
		{
			Name: "e03", Title: "a StatefulSet has Replace=true,Force=true, and another object changes",
			Commits: []Files{
				start().with(objects01File, guarded("app01", forced)...),
				start().with(objects01File, guarded("app01", forced)...).with(more, extra),
			},
			Want: map[Fate][]string{Recreated: {"StatefulSet app01/app01-db"}},
		},
		{
			Name: "e04", Title: "an Application without finalizer is renamed",
			Commits: []Files{start().with(app01File, app("app01").bare()), start().with(app01File, renamed.bare())},
			Want:    map[Fate][]string{Deleted: {application01}},
		},
		{
			Name: "e05", Title: "a file is moved into a subfolder, and in the same commit recursion is switched on",
			Commits: []Files{start().with(more, extra), start().with(sub, extra).with(app01File, recurse)},
			Want:    map[Fate][]string{Recreated: {"ConfigMap app01/app01-more"}}, Racing: []string{"ConfigMap app01/app01-more"}, Or: Kept,
		},
		{
			Name: "e06", Title: "files are moved to another folder, in the same commit the Application is pointed at it, and one stays behind",
			Commits: []Files{
				start().with(more, extra),
				start().with(more, extra).move(objects01File, in("new", "objects.yaml")).with(app01File, app("app01").reads("new")),
			},
			Want:   map[Fate][]string{Recreated: all("app01"), Deleted: {"ConfigMap app01/app01-more"}},
			Racing: all("app01"), Or: Kept,
		},
		{
			Name: "e07", Title: "all files are moved to another folder, and in the same commit the Application is pointed at it",
			Commits: []Files{start(), start().move(objects01File, in("new", "objects.yaml")).with(app01File, app("app01").reads("new"))},
		},
		{
			Name: "e08", Title: "a CustomResourceDefinition leaves git, and another object",
			Commits: []Files{start().with(more, extra, definition()), start()},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-more"}},
		},
		{
			Name: "e09", Title: "the Application leaves git; a CustomResourceDefinition is of it",
			Commits: []Files{start().with(more, definition()), start().with(more, definition()).without(app01File)},
			Want:    map[Fate][]string{Deleted: append(all("app01"), application01)},
		},
		{
			Name: "e10", Title: "a hook that stays changes, and nothing else",
			Commits: []Files{start().with(more, hook), start().with(more, hook.annotate("example.org/more", "yes"))},
		},
		{
			Name: "e11", Title: "an object that is protected from pruning becomes a hook",
			Commits: []Files{start().with(more, extra.options("Prune=false")), start().with(more, hook)},
			Want:    map[Fate][]string{Recreated: {"ConfigMap app01/app01-more"}},
		},
		{
			Name: "e12", Title: "an element leaves a list generator, and its Application is written out",
			Commits: []Files{setOf(listSet("", "app01", "app02")), setOf(listSet("", "app02")).with(app01File, app("app01"))},
			Want:    map[Fate][]string{Recreated: append(all("app01"), application01)},
		},
		{
			Name: "e13", Title: "a set leaves git, and its Application is written out",
			Commits: []Files{setOf(listSet("", "app01")), setOf(listSet("", "app01")).without(setFile).with(app01File, app("app01"))},
			Want:    map[Fate][]string{Recreated: append(all("app01"), application01), Deleted: {"ApplicationSet set"}},
		},
		{
			Name: "e14", Title: "an element moves from one list generator to that of another set",
			Commits: []Files{
				setOf(listSet("", "app01", "app02")).with(in("argocd", "other.yaml"), other("app03")),
				setOf(listSet("", "app02")).with(in("argocd", "other.yaml"), other("app03", "app01")),
			},
			Want: map[Fate][]string{Recreated: append(all("app01"), application01)},
		},
	}
}
