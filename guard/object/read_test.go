package object

import (
	"strings"
	"testing"
)

func TestDocumentsAreReadInOrderWithTheirPlaces(t *testing.T) {
	f := Read("a.yaml", []byte("# first\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\n---\n---\n# none\n---\nkind: StatefulSet\napiVersion: apps/v1\nmetadata:\n  name: b\n  annotations: {argocd.argoproj.io/sync-options: Prune=false, other: x}\nspec: {replicas: 2}\n"), Stateful())
	if f.Bad != nil {
		t.Fatal(f.Bad)
	}
	if len(f.Objects) != 2 {
		t.Fatalf("%d objects, want 2", len(f.Objects))
	}
	a, b := f.Objects[0], f.Objects[1]
	if a.Key != (Key{"", "Service", "n", "a"}) || a.Line != 3 || a.Version != "v1" || a.Body != nil {
		t.Errorf("the first is %+v", a)
	}
	if b.Key != (Key{"apps", "StatefulSet", "", "b"}) || b.Line != 10 || b.Body["spec"].(map[string]any)["replicas"] != 2.0 {
		t.Errorf("the second is %+v", b)
	}
	if len(b.Annotations) != 1 || b.Annotations["argocd.argoproj.io/sync-options"] != "Prune=false" {
		t.Errorf("its annotations are %v", b.Annotations)
	}
}

func TestOfRepeatedKeysTheLastStandsAndAllAreReported(t *testing.T) {
	f := Read("a.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  name: b\nspec:\n  ports:\n  - port: 1\n    port: 2\n"), nil)
	if f.Bad != nil || f.Objects[0].Name != "b" {
		t.Fatalf("%+v", f)
	}
	if len(f.Repeated) != 2 || f.Repeated[0] != (Repeated{"metadata.name", 5, 3}) || f.Repeated[1] != (Repeated{"spec.ports[0].port", 9, 5}) {
		t.Errorf("repeated are %+v", f.Repeated)
	}
}

func TestListsAreFlattenedOneLevel(t *testing.T) {
	f := Read("a.yaml", []byte("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n"), nil)
	if f.Bad != nil || len(f.Objects) != 2 || !f.Lists || f.Objects[1].Item != 2 || f.Objects[1].Line != 5 {
		t.Fatalf("%+v", f)
	}
	if f := Read("a.yaml", []byte("apiVersion: v1\nkind: List\nitems: null\n"), nil); f.Bad != nil || len(f.Objects) != 0 {
		t.Errorf("a null list: %+v", f)
	}
}

func TestWhatIsNoManifestIsBadAtItsLine(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		line       int
		manifest   bool
		words      string
	}{
		"values":           {"a.yaml", "replicas: 2\n", 1, false, "apiVersion is missing"},
		"broken":           {"a.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n name: b\n", 4, true, "not YAML"},
		"second document":  {"a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: v1\nkind: A\nmetadata: {}\n", 5, true, "no metadata.name"},
		"number as name":   {"a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: 12}\n", 1, true, "quote it"},
		"two JSON objects": {"a.json", "{\"a\":1}\n{\"b\":2}\n", 2, true, "a file of its own"},
		"no JSON":          {"a.json", "{\"a\":1,\n}\n", 2, true, "not JSON"},
		"alias in itself":  {"a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: &a [*a]\n", 1, true, "levels deep"},
		"a list":           {"a.yaml", "- a\n", 1, false, "no object"},
	} {
		t.Run(name, func(t *testing.T) {
			f := Read(c.file, []byte(c.text), nil)
			if f.Bad == nil || len(f.Objects) != 0 {
				t.Fatalf("%+v", f)
			}
			if f.Bad.Line != c.line || f.Bad.Manifest != c.manifest || !strings.Contains(f.Bad.Message, c.words) {
				t.Errorf("it is %+v", f.Bad)
			}
		})
	}
}

func TestKeysAreComparedAsArgoCDDoes(t *testing.T) {
	s := Scopes{Custom: map[Kind]bool{{"example.org", "Zone"}: false}}
	for _, c := range []struct{ in, out Key }{
		{Key{"", "Service", "", "a"}, Key{"", "Service", "d", "a"}},
		{Key{"", "Service", "n", "a"}, Key{"", "Service", "n", "a"}},
		{Key{"", "Namespace", "n", "a"}, Key{"", "Namespace", "", "a"}},
		{Key{"example.org", "Zone", "n", "a"}, Key{"example.org", "Zone", "", "a"}},
		{Key{"example.org", "Unknown", "", "a"}, Key{"example.org", "Unknown", "d", "a"}},
	} {
		if got := s.Normalise(c.in, "d"); got != c.out {
			t.Errorf("%v becomes %v, want %v", c.in, got, c.out)
		}
	}
	if (Key{"extensions", "Ingress", "n", "a"}).Canonical() != (Key{"networking.k8s.io", "Ingress", "n", "a"}) {
		t.Error("an Ingress in extensions is not the one in networking.k8s.io")
	}
}
