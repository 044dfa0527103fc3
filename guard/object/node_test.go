package object

import "testing"

func TestAnObjectsNodeIsFoundInItsDocumentAndList(t *testing.T) {
	data := []byte("# head\n---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n---\nkind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: B, metadata: {name: b}}\n- apiVersion: v1\n  kind: B\n  metadata: {name: c}\n")
	f := Read("a.yaml", data, nil)
	if f.Bad != nil || len(f.Objects) != 3 {
		t.Fatalf("%+v", f)
	}
	for n := range f.Objects {
		o := &f.Objects[n]
		node, before, err := o.Node(data)
		if err != nil {
			t.Fatal(err)
		}
		if before+node.Line != o.Line || node.Column != o.Column || value(value(node, "metadata"), "name").Value != o.Name {
			t.Errorf("%s is at %d:%d, its node at %d:%d", o.Name, o.Line, o.Column, before+node.Line, node.Column)
		}
	}
	if _, _, err := (&Object{Document: 1, Item: 4}).Node(data); err == nil {
		t.Error("an item that is not there was found")
	}
}

func TestFilesAreNamedByTheirObject(t *testing.T) {
	for want, o := range map[string]Object{
		"apps.v1.StatefulSet-influx.kafka.yaml":                        {Key: Key{"apps", "StatefulSet", "influx", "kafka"}, Version: "v1"},
		"v1.Service-influx.etcd.yaml":                                  {Key: Key{"", "Service", "influx", "etcd"}, Version: "v1"},
		"v1.Namespace-influx.yaml":                                     {Key: Key{"", "Namespace", "", "influx"}, Version: "v1"},
		"rbac.authorization.k8s.io.v1.ClusterRole-system%3Ax.yaml":     {Key: Key{"rbac.authorization.k8s.io", "ClusterRole", "", "system:x"}, Version: "v1"},
		"argoproj.io.v1alpha1.Application-argocd.app01-cluster01.yaml": {Key: Key{"argoproj.io", "Application", "argocd", "app01-cluster01"}, Version: "v1alpha1"},
	} {
		if got := FileName(o.Key, o.Version); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
