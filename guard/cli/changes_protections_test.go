package cli

import (
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/protect"
)

// belt is the policy that protect writes, and its binding.
func belt(o protect.Options) string {
	text, err := protect.YAML(o)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func init() {
	snapshots := func(policy string) texts {
		return texts{moreFile: clusterWide("snapshot.storage.k8s.io/v1", "VolumeSnapshotContent", "a", "spec: {deletionPolicy: "+policy+"}\n")}
	}
	scaled := func(policy string) texts {
		return texts{etcdFile: replicated("persistentVolumeClaimRetentionPolicy: {" + policy + "}")}
	}
	approving := func(until string) texts {
		return texts{appFile: strings.Replace(app01(appPath, ""), "namespace: argocd", "namespace: argocd, annotations: {argocd.argoproj.io/deletion-approved: '"+until+"'}", 1)}
	}
	labelled := func(value string) texts {
		return texts{etcdFile: strings.Replace(statefulSet("etcd"), "namespace: influx", "namespace: influx, labels: {policy.kruise.io/delete-protection: "+value+"}", 1)}
	}
	class := func(policy string) texts {
		return texts{moreFile: clusterWide("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass", "a", "deletionPolicy: "+policy+"\n")}
	}
	changes("HG104",
		changed{"the claims of ordinals that go are not retained", scaled("whenScaled: Retain"), scaled("whenScaled: Delete"), "whenScaled"},
		changed{"nor are they where nothing said so", nil, scaled("whenDeleted: Delete"), "whenDeleted"},
		changed{"that they are retained is said", nil, scaled("whenDeleted: Retain, whenScaled: Retain"), ""},
		changed{"a snapshot goes with its object", snapshots("Retain"), snapshots("Delete"), "spec.deletionPolicy"},
		changed{"snapshots of a class go with their objects", class("Retain"), class("Delete"), "(deletionPolicy)"},
		changed{"snapshots of a class stay", class("Delete"), class("Retain"), ""},
		changed{"deletions of an Application are approved in git", nil, approving("2099-01-01T00:00:00Z"), "answers beforehand"},
		changed{"such an approval goes", approving("2099-01-01T00:00:00Z"), texts{appFile: app01(appPath, "")}, ""},
		changed{"OpenKruise refuses no deletions any more", labelled("Always"), texts{etcdFile: statefulSet("etcd")}, "policy.kruise.io/delete-protection"},
		changed{"OpenKruise refuses fewer deletions", labelled("Always"), labelled("Cascading"), "policy.kruise.io/delete-protection"},
		changed{"OpenKruise refuses more deletions", labelled("Cascading"), labelled("Always"), ""},
		changed{"a deletion is approved in git", nil, texts{etcdFile: annotated(statefulSet("etcd"), protect.Approval+": '2099-01-01T00:00:00Z'")}, "git approves the deletion of apps/StatefulSet influx/etcd"},
		changed{"a bucket goes with its object", texts{moreFile: clusterWide("s3.aws.upbound.io/v1beta1", "Bucket", "a", "spec: {deletionPolicy: Orphan}\n")},
			texts{moreFile: clusterWide("s3.aws.upbound.io/v1beta1", "Bucket", "a", "spec: {deletionPolicy: Delete}\n")}, "spec.deletionPolicy was Orphan"},
	)

	all, some := belt(protect.Options{Kinds: []protect.Kind{{Group: "kafka.strimzi.io", Resource: "kafkas"}}}), belt(protect.Options{})
	policy, binding, _ := strings.Cut(strings.TrimPrefix(some, "---\n"), "---\n")
	changes("HG104",
		changed{"the belt's binding leaves", texts{moreFile: some}, texts{moreFile: policy}, "ValidatingAdmissionPolicyBinding " + protect.Name + ", which refuses deletions in the cluster, leaves git"},
		changed{"the belt leaves with its Application", texts{moreFile: some}, texts{appFile: ""}, "which refuses deletions in the cluster, leaves git"},
		changed{"the belt only warns", texts{moreFile: some}, texts{moreFile: belt(protect.Options{Audit: true})}, "validationActions has no Deny"},
		changed{"the belt is for fewer kinds", texts{moreFile: all}, texts{moreFile: some}, "it is not for kafka.strimzi.io/kafkas any more"},
		changed{"the belt is for some namespaces", texts{moreFile: some}, texts{moreFile: belt(protect.Options{Namespaces: []string{"influx"}})}, "spec.matchConditions is another"},
		changed{"the belt lets pass what fails", texts{moreFile: some}, texts{moreFile: strings.Replace(some, "failurePolicy: Fail", "failurePolicy: Ignore", 1)}, "spec.failurePolicy is another"},
		changed{"the belt is for more kinds", texts{moreFile: some}, texts{moreFile: all}, ""},
		changed{"the belt denies what it wrote down", texts{moreFile: belt(protect.Options{Audit: true})}, texts{moreFile: some}, ""},
		changed{"the belt is in another file", texts{moreFile: some}, texts{moreFile: policy, appPath + "/belt.yaml": binding}, ""},
	)

	late := annotated(statefulSet("etcd"), pruneFalse)
	manual := func(app string) string { return strings.Replace(app, "prune: true", "prune: false", 1) }
	excluding := app01(appPath, ", directory: {exclude: etcd.yaml}")
	set := texts{appFile: listed("{app: app01}, {app: app02}", ""), "env/cluster01/app02/yml/b.yaml": configMap("b")}
	changes("HG104",
		changed{"protection comes with the exclusion", nil, texts{appFile: excluding, etcdFile: late}, "apps/StatefulSet influx/etcd gets protection from being pruned in the change with which it leaves"},
		changed{"protection comes with what is left behind, for pruning is off", texts{appFile: manual(app01(appPath, ""))}, texts{appFile: manual(excluding), etcdFile: late}, "which is too late"},
		changed{"protection comes with a move out of the folder", nil, texts{etcdFile: "", "old/etcd.yaml": late}, "which is too late"},
		changed{"protection comes where another Application has one of its name", texts{"env/cluster02/app01/yml/etcd.yaml": statefulSet("etcd")},
			texts{etcdFile: "", "env/cluster02/app01/yml/etcd.yaml": late}, ""},
		changed{"protection comes to what stays", nil, texts{etcdFile: late}, ""},
		changed{"the exclusion comes after the protection", texts{etcdFile: late}, texts{appFile: excluding}, ""},
		changed{"a set begins to preserve when an element leaves", set,
			texts{appFile: listed("{app: app02}", "  syncPolicy: {preserveResourcesOnDeletion: true}\n")}, "gets preserveResourcesOnDeletion in the change that deletes app01-cluster01"},
		changed{"a set begins to preserve", set, texts{appFile: listed("{app: app01}, {app: app02}", "  syncPolicy: {preserveResourcesOnDeletion: true}\n")}, ""},
	)
}
