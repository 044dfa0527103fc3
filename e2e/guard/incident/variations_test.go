//go:build e2e

package incident_test

import (
	"strings"
	"testing"
)

// generator is a set that makes the Applications of a cluster from its elements.
func generator(elements string) string {
	return `apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: apps, namespace: argocd}
spec:
  generators: [{list: {elements: [` + elements + `]}}]
  template:
    metadata: {name: '{{app}}-cluster01', namespace: argocd}
    spec:
      project: '{{app}}-cluster01'
      source: {repoURL: "` + remote + `", targetRevision: main, path: 'env/cluster01/{{folder}}/yml'}
      destination: {server: "https://kubernetes.default.svc", namespace: '{{namespace}}'}
      syncPolicy: {automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}
`
}

const (
	element01 = "{app: app01, folder: app01, namespace: influx}"
	wrong02   = "{app: app01, folder: app02, namespace: influx}" // app02's, under app01's name
)

// variations are the ways. What is protected, and what is not, is as on that day where nothing else is said.
func variations() []variation {
	before := production01()
	wrong := both(app01, path02, "influx")
	workload := files{path02 + "/app02.yaml": newcomer("influx")}
	all := production("")
	apart := files{manifest: ""} // app01 with a file for each object
	for name, text := range all {
		apart[path01+"/"+name+".yaml"] = text
	}
	inFiles := before.and(apart)
	moved := func(from, to func(name string) string) files {
		change := make(files)
		for name, text := range all {
			if strings.HasPrefix(name, "1-") {
				change[from(name)], change[to(name)] = "", text
			}
		}
		return change
	}
	gone := make(files)
	for _, name := range sorted(all) {
		if strings.HasPrefix(name, "1-") {
			gone[path01+"/"+name+".json"] = ""
		}
	}
	at := func(ending string) func(string) string {
		return func(name string) string { return path01 + "/" + name + ending }
	}
	bySet := before.and(files{apps: project(app01) + "---\n" + project("telegraf-cluster01") + "---\n" + application("telegraf-cluster01", "env/cluster01/telegraf/yml", "telegraf"), control + "/set.yaml": generator(element01)})
	protect := func(options string) files { return files{manifest: document(production(prune(options)))} }
	strict := before.and(files{"guard.yaml": strings.NewReplacer("  HG040: {off: nothing is protected on that day}\n", "", "  HG041: {off: nothing is protected on that day}\n", "").Replace(guardYAML)})
	few := only(all, "5-gateway", "5-query")
	sets := refuses(app01, "deletes 4 objects, 4 of them stateful (apps/StatefulSet influx/etcd, influx/kafka, influx/storage, influx/zookeeper)")
	return []variation{
		{"a second file of one name, last in the same folder", nil, []step{{workload.and(files{control + "/z-app02.yaml": wrong}), checkLost, diffLost}}},
		{"a second file of one name, first in the same folder", nil, []step{
			// Argo CD applies the last one, and nothing happens. The next change to their names deletes, and is seen.
			{workload.and(files{control + "/a-app02.yaml": wrong}), refuses("ERROR HG001", "argocd/"+app01+" is defined twice", "if their order changes, everything of app01 would be pruned"), passes("Nothing is deleted")},
			{files{control + "/a-app02.yaml": "", control + "/z-app02.yaml": wrong}, checkLost, diffLost},
		}},
		// Which of two parents comes last, nobody knows beforehand.
		{"a second file of one name, in another cluster's folder", nil, []step{{workload.and(files{"env/cluster02/argocd/yml/app02.yaml": wrong}), refuses("ERROR HG001", app01, "everything of app01 (17 objects"), diffLost}}},
		{"the same Application in another version of the API", nil, []step{{workload.and(files{apps: before[apps] + "---\n" + strings.ReplaceAll(wrong, "argoproj.io/v1alpha1", "argoproj.io/v1beta1")}), checkLost, diffLost}}},
		{"objects of app02 with names of app01, in an older version of the API", nil, []step{{files{apps: before[apps] + "---\n" + wrong, path02 + "/app02.yaml": set("apps/v1beta1", "influx", "etcd", 3, "")},
			// etcd is one and the same object in both folders, so that it stays, and only 16 of the 17 are named.
			refuses("ERROR HG001", app01, "16 of the 17 objects of app01", "apps/StatefulSet influx/kafka, influx/storage, influx/zookeeper"), refuses(app01 + " loses " + loss)}}},
		{"a StatefulSet of app01 a second time, in an older version of the API", nil, []step{{files{path01 + "/etcd.yaml": set("apps/v1beta1", "influx", "etcd", 0, "")},
			refuses("ERROR HG002", "apps/StatefulSet influx/etcd", app01), passes("Nothing is deleted")}}}, // Argo CD keeps the object, and applies the last of the two
		{"the Application without its namespace", nil, []step{{workload.and(files{apps: before[apps] + "---\n" + strings.ReplaceAll(strings.ReplaceAll(wrong, "  namespace: argocd\n", ""), ", namespace: argocd}", "}")}), checkLost, diffLost}}},
		{"objects that get their namespace from the destination", before.and(files{manifest: strings.ReplaceAll(before[manifest], ", namespace: influx", "")}), []step{{workload.and(files{apps: before[apps] + "---\n" + wrong}), checkLost, diffLost}}},
		{"objects that only then name the namespace that they had", before.and(files{manifest: strings.ReplaceAll(before[manifest], ", namespace: influx", "")}), []step{{files{manifest: before[manifest]}, passes(), passes("Nothing is deleted")}}}, // they are the same objects
		{"a set beside the Application makes one of its name", nil, []step{{workload.and(files{control + "/set.yaml": generator(wrong02)}), refuses("ERROR HG001", app01, "is made twice", path02), refuses(app01 + " deletes " + loss)}}},
		{"the element of a set reads another folder", bySet, []step{{workload.and(files{control + "/set.yaml": generator(wrong02)}),
			passes(), // one revision alone has an Application of which nobody knows that it read something else; names of sets are free
			diffLost}}},
		{"the element of a set goes", bySet, []step{{files{control + "/set.yaml": generator("{app: app03, folder: app01, namespace: influx}")},
			passes(), // that there was an app01-cluster01, no single revision says
			refuses(app01 + " loses " + loss)}}},
		{"the Application gets app02's folder, without any second one", nil, []step{{workload.and(files{apps: strings.Replace(before[apps], "path: "+path01, "path: "+path02, 1)}), refuses("ERROR HG010", app01, path02, path01), diffLost}}},
		{"the Application is renamed", nil, []step{{files{apps: strings.Replace(before[apps], "  name: "+app01, "  name: influx-cluster01", 1)},
			refuses("ERROR HG010", "influx-cluster01", "what reads that folder is named "+app01), // the name does not go with the folder; what it had, no single revision says
			refuses(app01 + " loses " + loss)}}},
		{"the Application leaves git, and its project with it", nil, []step{{files{apps: both("telegraf-cluster01", "env/cluster01/telegraf/yml", "telegraf")},
			passes(), refuses(app01 + " may delete " + loss)}}}, // or stays half deleted, where the project goes first
		{"the Application leaves git", nil, []step{{files{apps: project(app01) + "---\n" + both("telegraf-cluster01", "env/cluster01/telegraf/yml", "telegraf")},
			passes(), // a folder that nobody reads is a warning: one revision does not say that somebody did
			refuses(app01 + " deletes " + loss)}}},
		{"files with another ending that Argo CD reads", inFiles, []step{{moved(at(".yaml"), at(".yml")), passes(), passes("Nothing is deleted")}}}, // nothing happens
		{"YAML in files that end as JSON", inFiles, []step{{moved(at(".yaml"), at(".json")), refuses("ERROR HG024", app01, "cannot be rendered"),
			refuses(app01 + " cannot be rendered any more")}, // nothing is deleted, until it renders again without what is in them
			{gone, passes(), refuses(app01 + " could not be rendered before")}}},
		{"files with an ending that Argo CD does not read", inFiles, []step{{moved(at(".yaml"), at(".yaml.disabled")), refuses("ERROR HG022", app01, "apps/StatefulSet influx/etcd", "the same with 3 objects more: apps/StatefulSet influx/kafka, influx/storage, influx/zookeeper", "has an ending that it does not read"), sets}}},
		{"files moved into a subfolder that Argo CD does not enter", inFiles, []step{{moved(at(".yaml"), func(name string) string { return path01 + "/sets/" + name + ".yaml" }), refuses("ERROR HG022", app01, "apps/StatefulSet influx/etcd", "the same with 3 objects more: apps/StatefulSet influx/kafka, influx/storage, influx/zookeeper", "is in a subfolder"), sets}}},
		{"an exclude", inFiles, []step{{files{apps: strings.Replace(before[apps], "path: "+path01, "path: "+path01+", directory: {exclude: '1-*'}", 1)},
			passes("WARNING HG022", app01, "apps/StatefulSet influx/etcd", "is left out by a pattern"), // whether a pattern is meant, one revision does not say
			sets}}},
		{"a file that is told to be skipped", inFiles, []step{{files{path01 + "/1-etcd.yaml": "# +argocd:skip-file-rendering\n" + all["1-etcd"]}, refuses("ERROR HG022", app01, "apps/StatefulSet influx/etcd", "marker"), refuses(app01, "deletes 1 object, 1 of them stateful (apps/StatefulSet influx/etcd)")}}},
		{"protection taken off one commit before the deletion", strict.and(protect("Prune=false,Delete=false")), []step{
			{files{manifest: before[manifest]}, refuses("ERROR HG04", "influx"), refuses(app01 + ": 7 objects are left without protection")},
			{files{manifest: document(few)},
				passes(),                           // what is not there any more, one revision does not miss
				refuses(app01 + " loses " + loss)}, // the namespace takes with it what is left
		}},
		{"protection that comes with the deletion of the rest", nil, []step{{protect("Prune=false").and(files{manifest: document(few)}), passes(), refuses(app01 + " loses " + loss)}}},
		{"objects leave the file", nil, []step{{files{manifest: document(without(all, "1-kafka", "2-backups"))},
			passes(), // as above
			refuses(app01 + " deletes 2 objects, 2 of them stateful (apps/StatefulSet influx/kafka; PersistentVolumeClaim influx/backups)")}}},
		{"the namespace alone leaves the file", nil, []step{{files{manifest: document(without(all, "0-namespace"))},
			passes(), // as above
			refuses(app01 + " loses " + loss)}}},
	}
}

func TestEachVariationOfTheIncidentIsSeen(t *testing.T) {
	for _, v := range variations() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			now := v.before
			if now == nil {
				now = production01()
			}
			base := r.commit(now)
			for _, s := range v.steps {
				now = now.and(s.change)
				head := r.commit(now)
				r.asks(base, head, s)
				base = head
			}
		})
	}
}
