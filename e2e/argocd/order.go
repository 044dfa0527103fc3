//go:build e2e

package argocd

import "strings"

func replaceOnce(s, old, with string) string { return strings.Replace(s, old, with, 1) }

// order are waves, hooks, generators, and the other ways to mark what an Application owns.
func order() []Case {
	waves := func(names ...string) Files {
		f := start().without(objects01File)
		for n, name := range names {
			f = f.with(in("app01", name+".yaml"), configMap("app01", name).annotate("sync-wave", string(rune('0'+n))))
		}
		return f
	}
	hooked := func(hook, policy string, more ...string) Files {
		m := configMap("app01", "app01-hook").annotate("hook", hook)
		if policy != "" {
			m = m.annotate("hook-delete-policy", policy)
		}
		return waves(append(more, "app01-last")...).with(in("app01", "hook.yaml"), m)
	}
	changed := []Files{start(), start().with(app01File, second()...)}
	deleted := map[Fate][]string{Deleted: all("app01")}
	twice := "root: RepeatedResourceWarning: Resource argoproj.io/Application/argocd/"
	return []Case{
		{
			Name: "w01", Title: "objects of several waves leave git", Commits: []Files{waves("app01-0", "app01-1", "app01-2", "app01-3"), waves("app01-0")},
			Want: map[Fate][]string{Deleted: {"ConfigMap app01/app01-1", "ConfigMap app01/app01-2", "ConfigMap app01/app01-3"}},
		},
		{
			Name: "w02", Title: "a hook that stays until the next one is made, and a sync",
			Commits: []Files{hooked("PreSync", "BeforeHookCreation", "app01-0"), hooked("PreSync", "BeforeHookCreation")},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-0"}, Recreated: {"ConfigMap app01/app01-hook"}},
		},
		{
			Name: "w03", Title: "a hook leaves git, and another object",
			Commits: []Files{hooked("PostSync", "BeforeHookCreation", "app01-0"), waves("app01-last")},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-0"}},
		},
		{
			Name: "w04", Title: "a hook that goes when it has succeeded, and a sync",
			Commits: []Files{hooked("PostSync", "HookSucceeded", "app01-0"), hooked("PostSync", "HookSucceeded")},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-0"}},
		},
		{
			Name: "w05", Title: "the Application leaves git; a hook of it is there",
			Commits: []Files{hooked("PreSync", "BeforeHookCreation", "app01-0"), hooked("PreSync", "BeforeHookCreation", "app01-0").without(app01File)},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-0", "ConfigMap app01/app01-last", "ConfigMap app01/app01-hook", application01}},
		},
		{
			Name: "w06", Title: "an object becomes a hook",
			Commits: []Files{
				waves("app01-last").with(in("app01", "hook.yaml"), configMap("app01", "app01-hook")),
				hooked("Sync", ""),
			},
			Want:   map[Fate][]string{Deleted: {"ConfigMap app01/app01-hook"}},
			Racing: []string{"ConfigMap app01/app01-hook"}, Or: Recreated,
		},
		{
			Name: "g01", Title: "an element of a list generator gets another name",
			Commits: []Files{setOf(listSet("", "app01", "app02")), setOf(listSet("", "app01", "app03"))},
			Want:    map[Fate][]string{Deleted: append(all("app02"), "Application app02-cluster01")},
		},
		{
			Name: "g02", Title: "a folder leaves a generator of folders",
			Commits: []Files{setOf(folderSet()), setOf(folderSet()).without(objects01File)},
			Want:    map[Fate][]string{Deleted: append(all("app01"), application01)},
		},
		{
			Name: "g03", Title: "a file leaves a generator of files",
			Commits: []Files{setOf(fileSet()), setOf(fileSet()).without("env/cluster01/$P-sets/app01.json")},
			Want:    map[Fate][]string{Deleted: append(all("app01"), application01)},
		},
		{
			Name: "g04", Title: "a file of a generator names another application",
			Commits: []Files{setOf(fileSet()), setOf(fileSet()).write("env/cluster01/$P-sets/app01.json", `{"app": "app03"}`)},
			Want:    map[Fate][]string{Deleted: append(all("app01"), application01)},
		},
		{
			Name: "g05", Title: "a set leaves git",
			Commits: []Files{setOf(listSet("", "app01")), setOf(listSet("", "app01")).without(setFile)},
			Want:    map[Fate][]string{Deleted: append(all("app01"), application01, "ApplicationSet set")},
		},
		{
			Name: "g06", Title: "a set that preserves what it deployed leaves git",
			Commits: []Files{
				setOf(listSet("  syncPolicy: {preserveResourcesOnDeletion: true}\n", "app01")),
				setOf(listSet("  syncPolicy: {preserveResourcesOnDeletion: true}\n", "app01")).without(setFile),
			},
			Want: map[Fate][]string{Deleted: {application01, "ApplicationSet set"}, Orphaned: all("app01")},
		},
		{
			Name: "g07", Title: "a list generator that only creates and updates loses an element",
			Commits: []Files{
				setOf(listSet("  syncPolicy: {applicationsSync: create-update}\n", "app01", "app02")),
				setOf(listSet("  syncPolicy: {applicationsSync: create-update}\n", "app02")),
			},
		},
		{
			Name: "g08", Title: "a list generator loses all its elements",
			Commits: []Files{setOf(listSet("", "app01", "app02")), setOf(emptySet())},
			Want:    map[Fate][]string{Deleted: append(append(all("app01"), all("app02")...), application01, "Application app02-cluster01")},
		},
		{
			Name: "g09", Title: "two elements of a list generator make Applications of one name",
			Commits: []Files{setOf(listSet("", "app01", "app02")), setOf(listSet("", "app01", "app01"))},
			Want:    map[Fate][]string{Deleted: append(all("app02"), "Application app02-cluster01")},
		},
		{Name: "l01", Title: "as r01, with tracking by label", Tracking: ByLabel, Commits: changed, Want: deleted, Says: []string{twice}},
		{
			Name: "l02", Title: "the Application is renamed, with tracking by label", Tracking: ByLabel,
			Commits: []Files{start(), start().with(app01File, app("app01").called("app01-renamed"))},
			Want:    map[Fate][]string{Recreated: all("app01"), Deleted: {application01}},
		},
		{
			Name: "l03", Title: "the Application leaves git, with tracking by label", Tracking: ByLabel,
			Commits: []Files{start(), start().without(app01File)},
			Want:    map[Fate][]string{Deleted: append(all("app01"), application01)},
		},
		{Name: "b01", Title: "as r01, with tracking by annotation and label", Tracking: ByBoth, Commits: changed, Want: deleted, Says: []string{twice}},
		{
			Name: "b02", Title: "all but the ConfigMap leave the folder, with tracking by annotation and label", Tracking: ByBoth,
			Commits: []Files{start(), start().with(objects01File, configMap("app01", "app01-config").in(""))},
			Want:    map[Fate][]string{Deleted: allBut("ConfigMap", "app01")},
		},
	}
}

var setFile = in("argocd", "set.yaml")

// setOf has a set where start has app01's Application, and projects for what it may make.
func setOf(set manifest) Files {
	f := start().without(app01File).with(setFile, set).
		with(in("argocd", "project-app02.yaml"), project("app02", "app02")).
		with(in("argocd", "project-app03.yaml"), project("app03", "app03")).
		with(in("app03", "objects.yaml"), configMap("app03", "app03-config"))
	for _, name := range []string{"app01", "app02"} {
		f = f.write("env/cluster01/$P-sets/"+name+".json", `{"app": "`+name+`"}`)
	}
	return f
}

func emptySet() manifest { return appSet("- list: {elements: []}\n", "") }

// folderSet has an element for each of the folders of applications.
func folderSet() manifest {
	m := appSet("- git:\n    repoURL: $REPO\n    revision: $BRANCH\n    directories: [{path: env/cluster01/$P-app0*}]\n", "")
	m.spec = strings.ReplaceAll(m.spec, "$P-{{.app}}", "{{.path.basename}}")
	return m
}

// fileSet has an element for each of some files.
func fileSet() manifest {
	return appSet("- git:\n    repoURL: $REPO\n    revision: $BRANCH\n    files: [{path: 'env/cluster01/$P-sets/*.json'}]\n", "")
}
