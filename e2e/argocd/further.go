//go:build e2e

package argocd

// Duplicates are variations of the incident, and of objects that are written twice.
func duplicates() []Case {
	deleted := func(more ...string) map[Fate][]string {
		return map[Fate][]string{Deleted: append(all("app01"), more...)}
	}
	twice := "root: RepeatedResourceWarning: Resource argoproj.io/Application/argocd/"
	noPrune := map[string]string{"StatefulSet": "Prune=false"}
	misspelt := func(text string) Files {
		return start().with(objects01File, guarded("app01", map[string]string{"StatefulSet": text, "PersistentVolumeClaim": text})...)
	}
	lastOnly := func(f Files) Files { return f.with(objects01File, configMap("app01", "app01-config").in("")) }
	return []Case{
		{
			Name: "d01", Title: "the second Application document is in a file of its own, which comes last",
			Commits: []Files{start(), start().with(in("argocd", "app02.yaml"), app("app01").reads("app02"))},
			Want:    deleted(), Says: []string{twice},
		},
		{
			Name: "d02", Title: "the second Application document is in a file of its own, which comes first",
			Commits: []Files{start(), start().with(in("argocd", "a.yaml"), app("app01").reads("app02"))},
			Says:    []string{twice},
		},
		{
			Name: "d03", Title: "the Application is pointed at another folder, without any second document",
			Commits: []Files{start(), start().with(app01File, app("app01").reads("app02"))},
			Want:    deleted(), Silent: []string{"Warning", "Error"},
		},
		{
			Name: "d04", Title: "the protection leaves git one commit before the incident",
			Commits: []Files{
				start().with(objects01File, guarded("app01", noPrune)...), start(),
				start().with(app01File, second()...),
			},
			Want: deleted(),
		},
		{
			Name: "d05", Title: "the objects are protected with prune=false, in lower case, and leave git",
			Commits: []Files{misspelt("prune=false"), lastOnly(misspelt("prune=false"))},
			Want:    map[Fate][]string{Deleted: allBut("ConfigMap", "app01")},
		},
		{
			Name: "d06", Title: "the objects are protected with Prune: false, as if it were YAML, and leave git",
			Commits: []Files{misspelt("Prune: false"), lastOnly(misspelt("Prune: false"))},
			Want:    map[Fate][]string{Deleted: allBut("ConfigMap", "app01")},
		},
		{
			Name: "d07", Title: "the protection has blanks around it, and the objects leave git",
			Commits: []Files{misspelt("Replace=false , Prune=false"), lastOnly(misspelt("Replace=false , Prune=false"))},
			Want:    map[Fate][]string{Deleted: {"Service app01/app01-db"}},
		},
		{
			Name: "d08", Title: "the protection is there twice, the first time taken back, and the objects leave git",
			Commits: []Files{misspelt("Prune=true,Prune=false"), lastOnly(misspelt("Prune=true,Prune=false"))},
			Want:    map[Fate][]string{Deleted: {"Service app01/app01-db"}},
		},
		{
			Name: "d09", Title: "an object is written a second time in a later version of its API",
			Commits: []Files{
				start().with(in("app01", "a.yaml"), autoscaler("app01", "app01-scaler")),
				start().with(in("app01", "a.yaml"), autoscaler("app01", "app01-scaler")).with(in("app01", "b.yaml"), autoscaler("app01", "app01-scaler").as("autoscaling/v2")),
			},
			Says: []string{"app01-cluster01: RepeatedResourceWarning: Resource autoscaling/HorizontalPodAutoscaler/"},
		},
		{
			Name: "d10", Title: "an object moves to a later version of its API",
			Commits: []Files{
				start().with(in("app01", "a.yaml"), autoscaler("app01", "app01-scaler")),
				start().with(in("app01", "a.yaml"), autoscaler("app01", "app01-scaler").as("autoscaling/v2")),
			},
			Silent: []string{"Warning", "Error"},
		},
		{
			Name: "d11", Title: "an object gets the namespace written out that it had from its Application",
			Commits: []Files{
				start().with(in("app01", "a.yaml"), configMap("app01", "app01-more").in("")),
				start().with(in("app01", "a.yaml"), configMap("app01", "app01-more")),
			},
			Silent: []string{"Warning", "Error"},
		},
		{
			Name: "d12", Title: "an object is written a second time, with its namespace, and then the first leaves git",
			Commits: []Files{
				start().with(in("app01", "a.yaml"), configMap("app01", "app01-more").in("")),
				start().with(in("app01", "a.yaml"), configMap("app01", "app01-more").in("")).with(in("app01", "b.yaml"), configMap("app01", "app01-more")),
				start().with(in("app01", "b.yaml"), configMap("app01", "app01-more")),
			},
		},
		{
			Name: "d13", Title: "as d03, with objects that are healthy at once, and pruning comes last",
			Commits: []Files{
				small("app01").with(app01File, app("app01").with("PruneLast=true")),
				small("app01").with(app01File, app("app01").reads("other").with("PruneLast=true")),
			},
			Want: map[Fate][]string{Deleted: {"ConfigMap app01/app01-config", "ConfigMap app01/app01-more"}},
		},
		{
			Name: "d14", Title: "an object that is to be ignored when it is extraneous leaves git, and nothing else changes",
			Commits: []Files{extraneous(), start()},
		},
		{
			Name: "d15", Title: "as d14, and another object changes",
			Commits: []Files{extraneous(), start().with(in("app01", "b.yaml"), configMap("app01", "app01-other"))},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-more"}},
		},
	}
}

// small has two ConfigMaps in the folder of an application, and another in another.
func small(name string) Files {
	return start().with(in(name, "objects.yaml"), configMap(name, name+"-config"), configMap(name, name+"-more")).
		with(in("other", "objects.yaml"), configMap(name, "other-config"))
}

// extraneous has an object that is to be ignored when it is extraneous.
func extraneous() Files {
	return start().with(in("app01", "a.yaml"), configMap("app01", "app01-more").annotate("compare-options", "IgnoreExtraneous"))
}

// readings are changes of what is read.
func readings() []Case {
	more, sub := in("app01", "a.yaml"), in("app01", "sub/a.yaml")
	gone := map[Fate][]string{Deleted: {"ConfigMap app01/app01-more"}}
	extra := configMap("app01", "app01-more")
	recurse := start().with(sub, extra).with(app01File, app("app01").reads("app01", ", directory: {recurse: true}"))
	return []Case{
		{
			Name: "s01", Title: "recursion is switched off",
			Commits: []Files{recurse, recurse.with(app01File, app("app01"))},
			Want:    gone,
		},
		{
			Name: "s02", Title: "a file is moved into a subfolder that is not read",
			Commits: []Files{start().with(more, extra), start().with(sub, extra)},
			Want:    gone,
		},
		{
			Name: "s03", Title: "a file is moved into a subfolder that is read",
			Commits: []Files{
				start().with(more, extra).with(app01File, app("app01").reads("app01", ", directory: {recurse: true}")),
				recurse,
			},
		},
		{
			Name: "s04", Title: "an exclude is added",
			Commits: []Files{
				start().with(more, extra),
				start().with(more, extra).with(app01File, app("app01").reads("app01", ", directory: {exclude: 'a.*'}")),
			},
			Want: gone,
		},
		{
			Name: "s05", Title: "an include is added that leaves a file out",
			Commits: []Files{
				start().with(more, extra),
				start().with(more, extra).with(app01File, app("app01").reads("app01", ", directory: {include: '{objects,other}.yaml'}")),
			},
			Want: gone,
		},
		{
			Name: "s06", Title: "one file of two gets another extension",
			Commits: []Files{start().with(more, extra), start().with(in("app01", "a.YAML"), extra)},
			Want:    gone,
		},
		{
			Name: "s07", Title: "a file is told to be skipped",
			Commits: []Files{start().with(more, extra), start().write(more, "# +argocd:skip-file-rendering\n"+extra.String())},
			Want:    gone,
		},
		{
			Name: "s08", Title: "an object of a list leaves it",
			Commits: []Files{
				start().write(more, list(extra, configMap("app01", "app01-other"))),
				start().write(more, list(configMap("app01", "app01-other"))),
			},
			Want: gone,
		},
		{
			Name: "s09", Title: "a file stops to be YAML, and has no word of a manifest",
			Commits: []Files{start().with(more, extra), start().write(more, "a: b: c\n")},
			Want:    gone,
		},
		{
			Name: "s10", Title: "a Namespace leaves git, what is in it stays",
			Commits: []Files{start().with(more, namespaceOf("app01")), start()},
			Want:    map[Fate][]string{Recreated: append(append(all("app01"), templateClaims("app01")...), "Namespace app01")},
			Remade:  append(append(all("app01"), templateClaims("app01")...), "Namespace app01"),
		},
		{
			Name: "s11", Title: "an object of the cluster leaves git",
			Commits: []Files{start().with(more, clusterRole("reader")), start()},
			Want:    map[Fate][]string{Deleted: {"ClusterRole reader"}},
		},
		{
			Name: "s12", Title: "one of several sources leaves, which overrode an object of another and had one of its own",
			Commits: []Files{
				start().with(in("over", "a.yaml"), configMap("app01", "app01-config"), extra).
					with(app01File, app("app01").sources(source("app01"), source("over"))),
				start().with(in("over", "a.yaml"), configMap("app01", "app01-config"), extra).
					with(app01File, app("app01").sources(source("app01"))),
			},
			Want: gone,
		},
		{
			Name: "s13", Title: "one source becomes two, of which the second repeats the first",
			Commits: []Files{start(), start().with(app01File, app("app01").sources(source("app01"), source("app01")))},
			Says:    []string{"app01-cluster01: RepeatedResourceWarning"},
		},
		{
			Name: "s14", Title: "the first of two sources is pointed at another folder",
			Commits: []Files{
				start().with(in("over", "a.yaml"), extra).with(app01File, app("app01").sources(source("app01"), source("over"))),
				start().with(in("over", "a.yaml"), extra).with(app01File, app("app01").sources(source("app02"), source("over"))),
			},
			Want: map[Fate][]string{Deleted: all("app01")},
		},
		{
			Name: "s15", Title: "a value of a chart switches objects off", Commits: []Files{chart("true", ""), chart("false", "")},
			Want: map[Fate][]string{Deleted: {"ConfigMap app01/app01-more"}},
		},
		{
			Name: "s16", Title: "a value of a chart switches off an object that Helm is to keep",
			Commits: []Files{chart("true", "keep"), chart("false", "keep")},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-more"}},
		},
		{
			Name: "s17", Title: "the Application of a chart leaves git, with an object that Helm is to keep",
			Commits: []Files{chart("true", "keep"), chart("true", "keep").without(app01File)},
			Want: map[Fate][]string{
				Deleted:  {"ConfigMap app01/app01-config", application01},
				Orphaned: {"ConfigMap app01/app01-more"},
			},
		},
		{
			Name: "s18", Title: "a resource leaves a kustomization", Commits: []Files{kustomization("", "a.yaml", "b.yaml"), kustomization("", "b.yaml")},
			Want: gone,
		},
		{
			Name: "s19", Title: "a kustomization gets a prefix of names", Commits: []Files{kustomization("", "a.yaml", "b.yaml"), kustomization("new-", "a.yaml", "b.yaml")},
			Want: map[Fate][]string{Deleted: {"ConfigMap app01/app01-more", "ConfigMap app01/app01-config"}},
		},
		{
			Name: "s20", Title: "a parameter in the Application of a chart switches objects off",
			Commits: []Files{
				chart("true", ""),
				chart("true", "").with(app01File, app("app01").reads("app01", ", helm: {parameters: [{name: enabled, value: 'false'}]}")),
			},
			Want: gone,
		},
		{
			Name: "s21", Title: "an object of a chart with a hook of Helm leaves it", Commits: []Files{chartHook("true"), chartHook("false")},
			Want: map[Fate][]string{Deleted: {"ConfigMap app01/app01-more"}, Recreated: {"ConfigMap app01/app01-hook"}},
		},
		{
			Name: "s22", Title: "the Application of a kustomization gets a prefix of names",
			Commits: []Files{
				kustomization("", "a.yaml", "b.yaml"),
				kustomization("", "a.yaml", "b.yaml").with(app01File, app("app01").reads("app01", ", kustomize: {namePrefix: new-}")),
			},
			Want: map[Fate][]string{Deleted: {"ConfigMap app01/app01-more", "ConfigMap app01/app01-config"}},
		},
	}
}

// chartHook is chart with a hook of Helm, which stays until it is made again.
func chartHook(enabled string) Files {
	hook := configMap("app01", "app01-hook").in("").annotate("helm.sh/hook", "pre-install,pre-upgrade")
	return chart(enabled, "").with(in("app01", "templates/hook.yaml"), hook)
}

// list is a List of objects.
func list(ms ...manifest) string {
	text := "apiVersion: v1\nkind: List\nitems:\n"
	for _, m := range ms {
		text += "  -\n" + indent(indent(m.String()))
	}
	return text
}

// chart is start with a chart in app01's folder: app01-config is always there, app01-more while enabled is true.
func chart(enabled, policy string) Files {
	more := configMap("app01", "app01-more").in("")
	if policy != "" {
		more = more.annotate("helm.sh/resource-policy", policy)
	}
	return start().without(objects01File).
		write(in("app01", "Chart.yaml"), "apiVersion: v2\nname: app01\nversion: 1.0.0\n").
		write(in("app01", "values.yaml"), "enabled: "+enabled+"\n").
		with(in("app01", "templates/config.yaml"), configMap("app01", "app01-config").in("")).
		write(in("app01", "templates/more.yaml"), "{{- if .Values.enabled }}\n"+more.String()+"{{- end }}\n")
}

// kustomization is start with a kustomization in app01's folder.
func kustomization(prefix string, resources ...string) Files {
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: '" + prefix + "'\nresources:\n"
	for _, r := range resources {
		text += "  - " + r + "\n"
	}
	return start().without(objects01File).
		write(in("app01", "kustomization.yaml"), text).
		with(in("app01", "a.yaml"), configMap("app01", "app01-more").in("")).
		with(in("app01", "b.yaml"), configMap("app01", "app01-config").in(""))
}
