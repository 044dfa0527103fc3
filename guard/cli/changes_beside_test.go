package cli

import "strings"

// nobody is an owner in git, in the metadata of an object.
const nobody = ", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: nobody, uid: 11111111-1111-1111-1111-111111111111}]"

// automated is app01 with another automation.
func automated(how string) string {
	return strings.Replace(app01(appPath, ""), "automated: {prune: true}", "automated: "+how, 1)
}

func init() {
	manual, unpruned := texts{appFile: automated("null")}, texts{appFile: automated("{selfHeal: true}")}
	guarded := texts{appFile: automated("null"), etcdFile: annotated(statefulSet("etcd"), pruneFalse)}
	owned := strings.Replace(statefulSet("etcd"), ", namespace: influx", ", namespace: influx"+nobody, 1)
	operation := "operation: {sync: {prune: true}}\n"
	changes("HG113",
		changed{"a StatefulSet leaves an Application without automation", manual, texts{etcdFile: ""}, "stays only while automated sync is off"},
		changed{"a StatefulSet leaves while pruning is off", unpruned, texts{etcdFile: ""}, "stays only while automated.prune is off"},
		changed{"a ConfigMap leaves an Application without automation", manual, texts{confFile: ""}, ""},
		changed{"a StatefulSet with Prune=false leaves", guarded, texts{etcdFile: ""}, ""},
	)
	changes("HG114",
		changed{"pruning goes on", unpruned, texts{appFile: app01(appPath, "")}, "automated.prune was off"},
		changed{"automation comes, without pruning", manual, unpruned, ""},
		changed{"it prunes all the time", nil, texts{confFile: ""}, ""},
	)
	changes("HG115",
		changed{"an operation comes", nil, texts{appFile: app01(appPath, "") + operation}, "has an operation in git"},
		changed{"it was there before", texts{appFile: app01(appPath, "") + operation}, texts{confFile: ""}, ""},
	)
	changes("HG116",
		changed{"a StatefulSet gets an owner", nil, texts{etcdFile: owned}, "gets an owner in git"},
		changed{"it had that owner before", texts{etcdFile: owned}, texts{confFile: ""}, ""},
	)
}
