//go:build e2e

package argocd

import (
	"fmt"
	"strings"
)

// asked are changes by which git asks for more than objects, and changes that two revisions do not show whole.
func asked() []Case {
	config := configMap("app01", "app01-config").in("")
	keep := start().with(objects01File, config)
	three := allBut("ConfigMap", "app01")
	shared := "PersistentVolumeClaim app01/app01-shared"
	manual, unpruned := app("app01").syncs(""), app("app01").syncs("{selfHeal: true}")
	owned, owner := claim("app01", "app01-shared").in(""), "\n  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: nobody, uid: 11111111-1111-1111-1111-111111111111}]"
	owned.finalizers = "[]" + owner
	ownedApp := app("app01")
	ownedApp.finalizers = finalizer + owner
	set := func(policy string, elements ...string) Files {
		return setOf(listSet("  syncPolicy: {applicationsSync: "+policy+"}\n", elements...))
	}
	return []Case{
		{Name: "x01", Title: "an operation in git prunes, in an Application that does not sync by itself", Relayed: true,
			Commits: []Files{start(), start().with(app01File, manual), keep.with(app01File, operates(manual, "prune: true"))},
			Want:    map[Fate][]string{Deleted: three}},
		{Name: "x02", Title: "pruning is switched off, objects leave git, and pruning is switched on", Beyond: "HG114",
			Commits: []Files{start(), start().with(app01File, unpruned), keep.with(app01File, unpruned), keep}, Want: map[Fate][]string{Deleted: three}},
		{Name: "x04", Title: "the folder is emptied, and then one object comes", Beyond: "HG114",
			Commits: []Files{start(), start().without(objects01File), start().with(objects01File, configMap("app01", "app01-new").in(""))},
			Want:    map[Fate][]string{Deleted: all("app01")}},
		{Name: "x05", Title: "a source hydrator comes beside the source", Beyond: "HG102", Commits: []Files{start(), start().with(app01File, hydrated())},
			Want: map[Fate][]string{Deleted: all("app01")}},
		{Name: "x06", Title: "a claim gets an owner that there is not", Relayed: true,
			Commits: []Files{start(), start().with(objects01File, statefulSet("app01", "app01-db").in(""), service("app01", "app01-db").in(""), config, owned)},
			Want:    map[Fate][]string{Deleted: {shared}}, Remade: []string{shared}},
		{Name: "x07", Title: "the Application gets an owner that there is not", Relayed: true, Commits: []Files{start(), start().with(app01File, ownedApp)},
			Want: map[Fate][]string{Deleted: append(all("app01"), application01)}, Remade: append(all("app01"), application01)},
		{Name: "x08", Title: "a set that only creates loses an element, and then deletes too", Beyond: "HG114", Relayed: true,
			Commits: []Files{set("sync", "app01", "app02"), set("create-only", "app01", "app02"), set("create-only", "app02"), set("sync", "app02")},
			Want:    map[Fate][]string{Deleted: append(all("app01"), application01)}},
		{Name: "x11", Title: "a StatefulSet gets fewer replicas, and deletes claims then", Relayed: true, Commits: []Files{scaled(2), scaled(1)},
			Want: map[Fate][]string{Deleted: {"PersistentVolumeClaim app01/data-app01-db-1", "Pod app01/app01-db-1"}}},
		{Name: "x14", Title: "an operation in git has another source, and prunes", Relayed: true,
			Commits: []Files{start(), start().with(app01File, operates(app("app01"), "prune: true, source: {repoURL: $REPO, targetRevision: $BRANCH, path: "+folder("app02")+"}"))},
			Want:    map[Fate][]string{Deleted: all("app01")}, Remade: all("app01")},
		{Name: "x16", Title: "the templatePatch of a set gets a directive", Beyond: "HG110", Relayed: true,
			Commits: []Files{recursing(""), recursing("  templatePatch: |\n    spec: {source: {directory: {$patch: delete}}}\n")},
			Want:    map[Fate][]string{Deleted: {"ConfigMap app01/app01-more"}}},
		{Name: "x20", Title: "ignoreDifferences keeps a protection from the cluster, and the object leaves git", Commits: ignoring(""), Want: map[Fate][]string{Deleted: three}},
		{Name: "x21", Title: "as x20, with RespectIgnoreDifferences", Commits: ignoring("RespectIgnoreDifferences=true"), Want: map[Fate][]string{Deleted: three}},
	}
}

// written is a manifest as it is written.
type written string

func (t written) String() string { return string(t) }

// operates is an Application with an operation.
func operates(c child, sync string) written {
	return written(c.String() + "operation:\n  sync: {" + sync + "}\n")
}

// hydrated is app01's Application with a hydrator for the folder of app02.
func hydrated() child {
	c := app("app01")
	c.source += "\nsourceHydrator:\n  drySource: {repoURL: $REPO, path: " + folder("app02") + ", targetRevision: $BRANCH}\n" +
		"  syncSource: {targetBranch: $BRANCH, path: " + folder("app02") + "}"
	return c
}

// scaled has app01's StatefulSet with a number of replicas. It deletes claims when it is scaled down.
func scaled(replicas int) Files {
	s := statefulSet("app01", "app01-db").in("")
	s.spec = strings.Replace(s.spec, "replicas: 2", fmt.Sprintf("replicas: %d", replicas), 1) + "  persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}\n"
	return start().with(objects01File, s, service("app01", "app01-db").in(""), configMap("app01", "app01-config").in(""), claim("app01", "app01-shared").in(""))
}

// recursing is a set whose Application reads subfolders too, with more lines.
func recursing(more string) Files {
	m := listSet(more, "app01")
	m.spec = strings.Replace(m.spec, "/yml'}", "/yml', directory: {recurse: true}}", 1)
	return setOf(m).with(in("app01", "sub/a.yaml"), configMap("app01", "app01-more"))
}

// ignoring has a StatefulSet that git protects where ignoreDifferences covers annotations, and that leaves git then.
func ignoring(option string) []Files {
	a := app("app01")
	if option != "" {
		a = a.with(option)
	}
	a.source += "\nignoreDifferences: [{group: apps, kind: StatefulSet, jsonPointers: [/metadata/annotations]}]"
	f := start().with(app01File, a)
	return []Files{f, f.with(objects01File, guarded("app01", map[string]string{"StatefulSet": "Prune=false"})...), f.with(objects01File, configMap("app01", "app01-config").in(""))}
}
