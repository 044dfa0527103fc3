package cli

import (
	"fmt"
	"strings"
)

// texts are the files of a fixture.
type texts = map[string]string

const (
	etcdFile    = appPath + "/etcd.yaml"
	confFile    = appPath + "/cm.yaml"
	moreFile    = appPath + "/more.yaml"
	pruneFalse  = "argocd.argoproj.io/sync-options: 'Prune=false'"
	deleteFalse = "argocd.argoproj.io/sync-options: 'Delete=false'"
)

// annotated returns a manifest of one line of metadata with annotations.
func annotated(manifest, annotations string) string {
	return strings.Replace(manifest, ", namespace: influx", ", namespace: influx, annotations: {"+annotations+"}", 1)
}

// clusterWide is an object without a namespace, with more of its body.
func clusterWide(apiVersion, kind, name, body string) string {
	return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\n" + body
}

// listed is an ApplicationSet that generates Applications with the finalizer for apps of a list.
func listed(elements, more string) string {
	return `apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: apps, namespace: argocd}
spec:
  generators: [{list: {elements: [` + elements + `]}}]
` + more + `  template:
    metadata: {name: '{{app}}-cluster01', finalizers: [resources-finalizer.argocd.argoproj.io]}
    spec:
      project: default
      source: {repoURL: "https://git.example.org/infrastructure.git", path: 'env/cluster01/{{app}}/yml'}
      destination: {server: "https://kubernetes.default.svc", namespace: influx}
      syncPolicy: {automated: {prune: true}}
`
}

// manyConfigs are ConfigMaps that are named after numbers, each in its file.
func manyConfigs(n int) texts {
	all := make(texts)
	for i := range n {
		all[fmt.Sprintf("%s/c%d.yaml", appPath, i)] = configMap(fmt.Sprintf("c%d", i))
	}
	return all
}

// none takes away the files of others.
func none(files texts) texts {
	gone := make(texts)
	for path := range files {
		gone[path] = ""
	}
	return gone
}

// replicated is the StatefulSet etcd with a specification.
func replicated(spec string) string { return statefulSet("etcd") + "spec: {" + spec + "}\n" }

const definition = "apiextensions.k8s.io/v1"

// topicsOf defines Topic, with versions and a scope.
func topicsOf(scope string, versions ...string) string {
	body := "spec:\n  group: queue.example.org\n  scope: " + scope + "\n  names: {kind: Topic, plural: topics}\n  versions:\n"
	for _, v := range versions {
		body += "  - {name: " + strings.TrimPrefix(v, "-") + ", storage: true, served: " + fmt.Sprint(!strings.HasPrefix(v, "-")) + "}\n"
	}
	return clusterWide(definition, "CustomResourceDefinition", "topics.queue.example.org", body)
}

func init() {
	otherFolder := texts{"env/cluster01/app02/yml/b.yaml": configMap("b")}

	changes("HG100",
		changed{"more than a change may delete", overlaid(manyConfigs(4), texts{"guard.yaml": "max-deleted: 2\nmax-deleted-percent: 0\n"}), none(manyConfigs(3)), "deletes 3 objects, more than 2"},
		changed{"a great part of an Application", manyConfigs(2), none(manyConfigs(2)), "loses 2 of its 4 objects"},
		changed{"one of many", manyConfigs(4), none(manyConfigs(1)), ""},
	)
	changes("HG101",
		changed{"a StatefulSet leaves", nil, texts{etcdFile: ""}, "apps/StatefulSet influx/etcd would be deleted"},
		changed{"one that was protected leaves", texts{etcdFile: annotated(statefulSet("etcd"), pruneFalse)}, texts{etcdFile: ""}, ""},
		changed{"a ConfigMap leaves", nil, texts{confFile: ""}, ""},
	)
	changes("HG102",
		changed{"another folder", otherFolder, texts{appFile: app01("env/cluster01/app02/yml", "")}, "path: env/cluster01/app01/yml -> env/cluster01/app02/yml"},
		changed{"another namespace", nil, texts{appFile: strings.Replace(app01(appPath, ""), "namespace: influx", "namespace: other", 1)}, "namespace: influx -> other"},
		changed{"the same folder, and other files of it", nil, texts{appFile: app01(appPath, ", directory: {exclude: x.yaml}")}, ""},
	)
	changes("HG103",
		changed{"an Application leaves", nil, texts{appFile: ""}, "the Application app01-cluster01 leaves git"},
		changed{"its file gets another name", nil, texts{appFile: "", "env/cluster01/argocd/yml/b.yaml": app01(appPath, "")}, ""},
	)
	changes("HG104",
		changed{"Prune=false goes", texts{etcdFile: annotated(statefulSet("etcd"), pruneFalse)}, texts{etcdFile: statefulSet("etcd")}, "keeps it from being pruned"},
		changed{"Delete=false goes", texts{etcdFile: annotated(statefulSet("etcd"), deleteFalse)}, texts{etcdFile: statefulSet("etcd")}, "from being deleted with its Application"},
		changed{"a StorageClass does not retain", texts{moreFile: clusterWide("storage.k8s.io/v1", "StorageClass", "fast", "reclaimPolicy: Retain\n")},
			texts{moreFile: clusterWide("storage.k8s.io/v1", "StorageClass", "fast", "reclaimPolicy: Delete\n")}, "(reclaimPolicy)"},
		changed{"a volume does not retain", texts{moreFile: clusterWide("v1", "PersistentVolume", "a", "spec: {persistentVolumeReclaimPolicy: Retain}\n")},
			texts{moreFile: clusterWide("v1", "PersistentVolume", "a", "spec: {persistentVolumeReclaimPolicy: Delete}\n")}, "(spec.persistentVolumeReclaimPolicy)"},
		changed{"a StatefulSet that is deleted does not retain", texts{etcdFile: replicated("persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain}")},
			texts{etcdFile: replicated("persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}")}, "persistentVolumeClaimRetentionPolicy.whenDeleted"},
		changed{"protections come", nil, texts{etcdFile: annotated(replicated("persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain}"), pruneFalse)}, ""},
	)
	other := "env/cluster01/app02/yml/cm.yaml"
	app02 := strings.ReplaceAll(app01("env/cluster01/app02/yml", ""), "app01-", "app02-")
	handover := texts{"env/cluster01/argocd/yml/app02.yaml": app02, "env/cluster01/app02/yml/b.yaml": configMap("b")}
	changes("HG105",
		changed{"a ConfigMap goes from one Application to another", handover, texts{confFile: "", other: configMap("conf")}, "ConfigMap influx/conf may be deleted"},
		changed{"it is in another file of its Application", handover, texts{confFile: "", moreFile: configMap("conf")}, ""},
	)
	changes("HG106",
		changed{"another selector", texts{etcdFile: replicated("selector: {matchLabels: {a: b}}")}, texts{etcdFile: replicated("selector: {matchLabels: {a: c}}")}, "changes spec.selector"},
		changed{"another Service", texts{etcdFile: replicated("serviceName: a")}, texts{etcdFile: replicated("serviceName: b")}, "changes spec.serviceName"},
		changed{"other pods at once", texts{etcdFile: replicated("podManagementPolicy: OrderedReady")}, texts{etcdFile: replicated("podManagementPolicy: Parallel")}, "changes spec.podManagementPolicy"},
		changed{"other claims", texts{etcdFile: replicated("volumeClaimTemplates: [{metadata: {name: a}}]")}, texts{etcdFile: replicated("volumeClaimTemplates: [{metadata: {name: b}}]")}, "changes spec.volumeClaimTemplates"},
		changed{"more replicas", texts{etcdFile: replicated("replicas: 3")}, texts{etcdFile: replicated("replicas: 5")}, ""},
	)
	changes("HG107",
		changed{"to none", texts{etcdFile: replicated("replicas: 3")}, texts{etcdFile: replicated("replicas: 0")}, "goes from 3 replicas to none"},
		changed{"to one less", texts{etcdFile: replicated("replicas: 3")}, texts{etcdFile: replicated("replicas: 2")}, ""},
	)
	changes("HG108",
		changed{"a definition leaves", texts{moreFile: topicsOf("Namespaced", "v1")}, texts{moreFile: ""}, "topics.queue.example.org leaves git"},
		changed{"a definition gets a version", texts{moreFile: topicsOf("Namespaced", "v1")}, texts{moreFile: topicsOf("Namespaced", "v1", "v2")}, ""},
	)
	set := texts{appFile: listed("{app: app01}, {app: app02}", ""), "env/cluster01/app02/yml/b.yaml": configMap("b")}
	changes("HG109",
		changed{"an element leaves", set, texts{appFile: listed("{app: app02}", "")}, "app01-cluster01 is not generated any more"},
		changed{"an element comes", set, texts{appFile: listed("{app: app01}, {app: app02}, {app: app03}", ""), "env/cluster01/app03/yml/c.yaml": configMap("c")}, ""},
	)
	remote := strings.Replace(app02, "path: env/cluster01/app02/yml", "chart: db, targetRevision: 1.2.3", 1)
	changes("HG110",
		changed{"a chart from elsewhere", texts{"env/cluster01/argocd/yml/app02.yaml": remote}, nil, "the deletions of app02-cluster01 are not known"},
		changed{"a folder of the repository", handover, nil, ""},
	)
	changes("HG111",
		changed{"the limit is widened", texts{"guard.yaml": "max-deleted: 5\n"}, texts{"guard.yaml": "max-deleted: 500\n"}, "guard.yaml is edited"},
		changed{"the limit is narrowed", texts{"guard.yaml": "max-deleted: 5\n"}, texts{"guard.yaml": "max-deleted: 4\n"}, ""},
	)
	bad := "a: b: c\napiVersion: v1\nkind: A\nmetadata: {name: a}\n"
	changes("HG112",
		changed{"a file is none", nil, texts{moreFile: bad}, "app01-cluster01 cannot be rendered any more"},
		changed{"such a file goes", texts{moreFile: bad}, texts{moreFile: ""}, moreFile + ", which is gone"},
		changed{"such a file is mended", texts{moreFile: bad}, texts{moreFile: configMap("a")}, ""},
		changed{"all can be rendered", nil, texts{moreFile: configMap("a")}, ""},
	)
}
