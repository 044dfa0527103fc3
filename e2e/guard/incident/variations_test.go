//go:build e2e

package incident_test

import (
	"slices"
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
	telegraf  = "env/cluster01/telegraf/yml"
)

// Of all variations: app01's name over app02's objects, which are there.
var (
	wrong    = both(app01, path02, "influx")
	workload = files{path02 + "/app02.yaml": newcomer("influx")}
	// deletes and loses are first lines of diff about everything that app01 has.
	deletes = refuses(app01 + " deletes " + loss)
	loses   = refuses(app01 + " loses " + loss) // of which some comes back, empty
)

// appended is a change that adds documents to the file of Applications.
func appended(text string) files {
	return workload.and(files{apps: production01()[apps] + "---\n" + text})
}

// duplicates are second definitions of what there is.
func duplicates() []variation {
	bare := production01().and(files{manifest: strings.ReplaceAll(production01()[manifest], ", namespace: influx", "")})
	first := control + "/a-app02.yaml"
	last := control + "/z-app02.yaml"
	noNamespace := strings.NewReplacer("  namespace: argocd\n", "", ", namespace: argocd}", "}").Replace(wrong)
	return []variation{
		{"a second file of one name, last in the same folder", nil, []step{{workload.and(files{last: wrong}), checkLost, diffLost}}},
		{"a second file of one name, first in the same folder", nil, []step{
			// Argo CD applies the last one, and nothing happens. The next change to their names deletes, and is seen.
			{workload.and(files{first: wrong}), refuses("ERROR HG001", "argocd/"+app01+" is defined twice", "if their order changes, everything of app01 would be pruned"),
				passes("Nothing is deleted")},
			{files{first: "", last: wrong}, checkLost, diffLost},
		}},
		// Which of two parents comes last, nobody knows beforehand.
		{"a second file of one name, in another cluster's folder", nil, []step{{workload.and(files{"env/cluster02/argocd/yml/app02.yaml": wrong}),
			refuses("ERROR HG001", app01, "everything of app01 (17 objects"), diffLost}}},
		{"the same Application in another version of the API", nil, []step{{appended(strings.ReplaceAll(wrong, "argoproj.io/v1alpha1", "argoproj.io/v1beta1")), checkLost, diffLost}}},
		{"the Application without its namespace", nil, []step{{appended(noNamespace), checkLost, diffLost}}},
		{"objects of app02 with a name of app01, in an older version of the API", nil, []step{{appended(wrong).and(files{path02 + "/app02.yaml": set("apps/v1beta1", "influx", "etcd", 3, "")}),
			// etcd is one and the same object in both folders: check names the 16 others of 17. Their namespace takes it with it.
			refuses("ERROR HG001", app01, "16 of the 17 objects of app01", "apps/StatefulSet influx/kafka, influx/storage, influx/zookeeper"), loses}}},
		{"a StatefulSet of app01 a second time, in an older version of the API", nil, []step{{files{path01 + "/etcd.yaml": set("apps/v1beta1", "influx", "etcd", 0, "")},
			refuses("ERROR HG002", "apps/StatefulSet influx/etcd", app01), passes("Nothing is deleted")}}}, // Argo CD keeps the object, and applies the last of the two
		{"objects that get their namespace from the destination", bare, []step{{appended(wrong), checkLost, diffLost}}},
		{"objects that only then name the namespace that they had", bare, []step{{files{manifest: production01()[manifest]}, passes(), passes("Nothing is deleted")}}}, // the same objects
	}
}

// renames are Applications that read something else, have another name, or go.
func renames() []variation {
	before := production01()
	bySet := before.and(files{apps: project(app01) + "---\n" + both("telegraf-cluster01", telegraf, "telegraf"), control + "/set.yaml": generator(element01)})
	return []variation{
		{"a set beside the Application makes one of its name", nil, []step{{workload.and(files{control + "/set.yaml": generator(wrong02)}),
			refuses("ERROR HG001", app01, "is made twice", path02), deletes}}},
		{"the element of a set reads another folder", bySet, []step{{workload.and(files{control + "/set.yaml": generator(wrong02)}),
			passes(), // that app01-cluster01 read something else, no single revision says; and names of sets are free
			diffLost}}},
		{"the element of a set goes", bySet, []step{{files{control + "/set.yaml": generator("{app: app03, folder: app01, namespace: influx}")},
			passes(), // that there was an app01-cluster01, no single revision says
			loses}}},
		{"the Application gets app02's folder, without any second one", nil, []step{{workload.and(files{apps: strings.Replace(before[apps], "path: "+path01, "path: "+path02, 1)}),
			refuses("ERROR HG010", app01, path02, path01), diffLost}}},
		{"the Application is renamed", nil, []step{{files{apps: strings.Replace(before[apps], "  name: "+app01, "  name: influx-cluster01", 1)},
			refuses("ERROR HG010", "influx-cluster01", "what reads that folder is named "+app01), // what it had, no single revision says
			loses}}},
		{"the Application leaves git", nil, []step{{files{apps: project(app01) + "---\n" + both("telegraf-cluster01", telegraf, "telegraf")},
			passes(), // a folder that nobody reads is a warning: that somebody did, one revision does not say
			deletes}}},
		{"the Application leaves git, and its project with it", nil, []step{{files{apps: both("telegraf-cluster01", telegraf, "telegraf")},
			passes(), refuses(app01 + " may delete " + loss)}}}, // or stays half deleted, where the project goes first
	}
}

// inFiles is the repository with a file for each object of app01.
func inFiles() files {
	apart := files{manifest: ""}
	for name, text := range production("") {
		apart[path01+"/"+name+".yaml"] = text
	}
	return production01().and(apart)
}

// moved moves the files of app01's sets. Where to is empty they go.
func moved(from, to string) files {
	change := make(files)
	for name, text := range production("") {
		if strings.HasPrefix(name, "1-") {
			place := strings.NewReplacer("*", name)
			change[place.Replace(from)] = ""
			if to != "" {
				change[place.Replace(to)] = text
			}
		}
	}
	return change
}

// paths are files that Argo CD does not read any more.
func paths() []variation {
	at := path01 + "/*"
	sets := refuses(app01, "deletes 4 objects, 4 of them stateful (apps/StatefulSet influx/etcd, influx/kafka, influx/storage, influx/zookeeper)")
	unread := func(why string) answer {
		return refuses("ERROR HG022", app01, "apps/StatefulSet influx/etcd", "the same with 3 objects more: apps/StatefulSet influx/kafka, influx/storage, influx/zookeeper", why)
	}
	before := inFiles()
	excluded := strings.Replace(before[apps], "path: "+path01, "path: "+path01+", directory: {exclude: '1-*'}", 1)
	return []variation{
		{"files with another ending that Argo CD reads", before, []step{{moved(at+".yaml", at+".yml"), passes(), passes("Nothing is deleted")}}},
		{"YAML in files that end as JSON", before, []step{
			// Nothing is deleted as long as it cannot be rendered. The files that cannot be read go, and with the next sync the objects.
			{moved(at+".yaml", at+".json"), refuses("ERROR HG024", app01, "cannot be rendered"), refuses(app01 + " cannot be rendered any more")},
			{moved(at+".json", ""), passes(), refuses(app01 + " could not be rendered before")},
		}},
		{"files with an ending that Argo CD does not read", before, []step{{moved(at+".yaml", at+".yaml.disabled"), unread("has an ending that it does not read"), sets}}},
		{"files moved into a subfolder that Argo CD does not enter", before, []step{{moved(at+".yaml", path01+"/sets/*.yaml"), unread("is in a subfolder"), sets}}},
		{"an exclude", before, []step{{files{apps: excluded},
			passes("WARNING HG022", app01, "apps/StatefulSet influx/etcd", "is left out by a pattern"), // whether a pattern is meant, one revision does not say
			sets}}},
		{"a file that is told to be skipped", before, []step{{files{path01 + "/1-etcd.yaml": "# +argocd:skip-file-rendering\n" + production("")["1-etcd"]},
			refuses("ERROR HG022", app01, "apps/StatefulSet influx/etcd", "marker"), refuses(app01, "deletes 1 object, 1 of them stateful (apps/StatefulSet influx/etcd)")}}},
	}
}

// protections are objects that go, with a protection that is not there when it would count.
func protections() []variation {
	before, all := production01(), production("")
	strict := before.and(files{"guard.yaml": strings.NewReplacer("  HG040: {off: nothing is protected on that day}\n", "", "  HG041: {off: nothing is protected on that day}\n", "").Replace(guardYAML)})
	few := files{manifest: document(only(all, "5-gateway", "5-query"))}
	gone := passes() // what is not there any more, one revision does not miss
	return []variation{
		{"protection taken off one commit before the deletion", strict.and(files{manifest: document(production(prune("Prune=false,Delete=false")))}), []step{
			{files{manifest: before[manifest]}, refuses("ERROR HG04", "influx"), refuses(app01 + ": 7 objects are left without protection")},
			{few, gone, loses}, // the namespace takes with it what is left
		}},
		{"protection that comes with the deletion of the rest", nil, []step{{files{manifest: document(only(production(prune("Prune=false")), "1-etcd", "5-query"))}, gone, loses}}},
		{"objects leave the file", nil, []step{{files{manifest: document(without(all, "1-kafka", "2-backups"))}, gone,
			refuses(app01 + " deletes 2 objects, 2 of them stateful (apps/StatefulSet influx/kafka; PersistentVolumeClaim influx/backups)")}}},
		{"the namespace alone leaves the file", nil, []step{{files{manifest: document(without(all, "0-namespace"))}, gone, loses}}},
	}
}

// held are objects that leave git while something holds them, which then ends.
func held() []variation {
	before := production01()
	off := files{apps: strings.ReplaceAll(before[apps], "prune: true, ", "")}
	few := files{manifest: document(without(production(""), "1-kafka", "2-backups"))}
	return []variation{{"pruning goes off, objects leave, pruning goes on", nil, []step{
		{off, passes(), passes()},
		{few, passes(), refuses(app01 + " leaves behind 2 objects, 2 of them stateful (apps/StatefulSet influx/kafka; PersistentVolumeClaim influx/backups), kept only while automated.prune is off")},
		{files{apps: before[apps]}, passes(), refuses(app01 + " prunes now, and did not before")},
	}}}
}

func TestEachVariationOfTheIncidentIsSeen(t *testing.T) {
	for _, v := range slices.Concat(duplicates(), renames(), paths(), protections(), held()) {
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
