package object

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestAFileBeyondTheLimitIsBadAndNotReadInPart(t *testing.T) {
	data := append([]byte(head), bytes.Repeat([]byte("#"+strings.Repeat("-", 1022)+"\n"), MaxFile>>10)...)
	f := Read("a.yaml", data, nil)
	if f.Bad == nil || !f.Bad.Manifest || f.Objects != nil || !strings.Contains(f.Bad.Message, fmt.Sprint(MaxFile)) {
		t.Errorf("%+v", f)
	}
	if f := Read("a.yaml", data[:MaxFile], nil); f.Bad != nil || len(f.Objects) != 1 {
		t.Errorf("as large as the limit: %+v", f)
	}
}

func TestASkippedFileHasNoObjects(t *testing.T) {
	for _, text := range []string{"# " + SkipMarker + "\n" + head, head + "text: |\n  " + SkipMarker + "\n", SkipMarker + ": ["} {
		if f := Read("a.yaml", []byte(text), nil); !f.Skipped || f.Objects != nil || f.Bad != nil {
			t.Errorf("%+v", f)
		}
	}
}

func TestAliasesThatBecomeTooManyValuesAreBad(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9)+fmt.Sprintf("*a%d", i-1))
	}
	f := Read("a.yaml", []byte(b.String()), nil)
	if f.Bad == nil || !strings.Contains(f.Bad.Message, fmt.Sprint(MaxNodes)) {
		t.Errorf("%+v", f.Bad)
	}
}

func TestNestingHasALimit(t *testing.T) {
	nested := func(depth int) map[string]string {
		var block strings.Builder
		for i := range depth {
			fmt.Fprintf(&block, "%sa:\n", strings.Repeat(" ", i))
		}
		return map[string]string{
			"mappings":        head + block.String(),
			"sequences":       head + "a:\n" + strings.Repeat("- ", depth-1) + "b\n",
			"flow":            head + "a: " + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + "\n",
			"flow over lines": head + "a: " + strings.Repeat("[\n", depth-1) + strings.Repeat("]", depth-1) + "\n",
		}
	}
	for name, text := range nested(MaxDepth - 1) {
		if f := Read("a.yaml", []byte(text), nil); f.Bad != nil || len(f.Objects) != 1 {
			t.Errorf("%s within the limit: %+v", name, f.Bad)
		}
	}
	for name, text := range nested(MaxDepth + 2) {
		if f := Read("a.yaml", []byte(text), nil); f.Bad == nil || !strings.Contains(f.Bad.Message, "levels deep") {
			t.Errorf("%s beyond the limit: %+v", name, f.Bad)
		}
	}
	for _, text := range []string{"a: " + strings.Repeat("[", 20000), "a: " + strings.Repeat("{a: ", 20000), "a:\n" + strings.Repeat("- ", 20000)} {
		if f := Read("a.yaml", []byte(head+text), nil); f.Bad == nil {
			t.Errorf("%.20q far beyond the limit is read", text)
		}
	}
}

func TestAliasesAndMergeKeysAreResolved(t *testing.T) {
	text := "apiVersion: v1\nkind: A\nmetadata: &m\n  name: a\n  labels: &l {app.kubernetes.io/instance: x}\nspec:\n  <<: *l\n  own: 1\nmore:\n  <<: [{own: 2, a: 3}, {a: 4, b: 5}]\n  own: 6\n"
	f := Read("a.yaml", []byte(text), Kinds{{"", "A"}: true})
	if f.Bad != nil || len(f.Objects) != 1 {
		t.Fatalf("%+v", f)
	}
	body := f.Objects[0].Body
	if want := map[string]any{"app.kubernetes.io/instance": "x", "own": 1.0}; !reflect.DeepEqual(body["spec"], want) {
		t.Errorf("spec is %v", body["spec"])
	}
	if want := map[string]any{"own": 6.0, "a": 3.0, "b": 5.0}; !reflect.DeepEqual(body["more"], want) {
		t.Errorf("more is %v", body["more"])
	}
	f = Read("a.yaml", []byte("base: &b\n  apiVersion: v1\n  kind: A\n  metadata: {name: b}\napiVersion: v1\nkind: List\nitems: [*b]\n"), nil)
	if f.Bad != nil || len(f.Objects) != 1 || f.Objects[0].Line != 1 || f.Objects[0].Column != 7 {
		t.Errorf("an alias as an item is %+v", f)
	}
	f = Read("a.yaml", []byte("a: &a {items: [{apiVersion: v1, kind: A, metadata: {name: c}}]}\n<<: *a\n"), nil)
	if f.Bad != nil || len(f.Objects) != 1 || f.Objects[0].Name != "c" {
		t.Errorf("merged items are %+v", f)
	}
	f = Read("a.yaml", []byte("a: &items b\nitems: [1]\n*items : []\n"), nil)
	if f.Bad == nil || !strings.Contains(f.Bad.Message, "item 1") {
		t.Errorf("an alias called items as a key: %+v", f)
	}
}

func TestMergingWhatIsNoMappingIsBad(t *testing.T) {
	for _, text := range []string{head + "a:\n  <<: [1]\n", head + "a: {<<: b}\n", head + "? [a]\n: b\n"} {
		if f := Read("a.yaml", []byte(text), nil); f.Bad == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestAGeneratedNameIsNoName(t *testing.T) {
	for _, file := range []struct{ name, text string }{
		{"a.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: a-\n"},
		{"a.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: ~\n  generateName: &x a-\n"},
		{"a.json", "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"generateName\":\"a-\"}}"},
	} {
		f := Read(file.name, []byte(file.text), nil)
		if f.Bad != nil || !f.Objects[0].Generated || f.Objects[0].Name != "a-" {
			t.Errorf("%q is %+v", file.text, f)
		}
	}
	if f := Read("a.yaml", []byte("apiVersion: v1\nkind: A\nmetadata: {name: b, generateName: a-}\n"), nil); f.Objects[0].Generated || f.Objects[0].Name != "b" {
		t.Errorf("with a name too: %+v", f.Objects[0])
	}
}

func TestWordsOfYAML11AreNamesAndThoseOf12AreNone(t *testing.T) {
	for _, name := range []string{"y", "n", "yes", "no", "on", "off", "Yes", "nulls", "true-ish", "1st", "0x", "v1", "1.2.3", "2001-01-01", "-a", "\"1\"", "'true'", "1_a"} {
		f := Read("a.yaml", []byte("apiVersion: v1\nkind: A\nmetadata:\n  name: "+name+"\n"), nil)
		if f.Bad != nil || f.Objects[0].Name != strings.Trim(name, `"'`) {
			t.Errorf("%s is %+v", name, f)
		}
	}
	for _, name := range []string{"true", "False", "null", "~", "1", "1e3", "0x1f", "0o7", "1_000", ".5", ".inf", "+1", ""} {
		f := Read("a.yaml", []byte("apiVersion: v1\nkind: A\nmetadata:\n  name: "+name+"\n"), nil)
		if f.Bad == nil {
			t.Errorf("%s is %+v", name, f.Objects)
		}
	}
}

func TestEveryGroupAndKindHasOneScopeAndAlias(t *testing.T) {
	var s Scopes
	for _, k := range []Kind{{"", "Namespace"}, {"", "PersistentVolume"}, {"rbac.authorization.k8s.io", "ClusterRole"}, {"storage.k8s.io", "StorageClass"}, {"apiextensions.k8s.io", "CustomResourceDefinition"}} {
		if s.Namespaced(k) {
			t.Errorf("%v lives in a namespace", k)
		}
	}
	for _, k := range []Kind{{"", "Service"}, {"rbac.authorization.k8s.io", "Role"}, {"example.org", "Namespace"}, {ArgoGroup, "Application"}, {"", "namespace"}} {
		if !s.Namespaced(k) {
			t.Errorf("%v lives in no namespace", k)
		}
	}
	s.Custom = map[Kind]bool{{"example.org", "Zone"}: false, {"", "Namespace"}: true}
	if s.Namespaced(Kind{"example.org", "Zone"}) || !s.Namespaced(Kind{"", "Namespace"}) {
		t.Error("what is configured does not count")
	}
	for old, want := range map[Kind]string{
		{"extensions", "Deployment"}: "apps", {"extensions", "NetworkPolicy"}: "networking.k8s.io", {"", "Event"}: "events.k8s.io",
		{"authorization.openshift.io", "ClusterRole"}: "rbac.authorization.k8s.io", {"extensions", "Other"}: "extensions", {"", "Service"}: "",
	} {
		if got := (Key{Group: old.Group, Kind: old.Kind, Name: "a"}).Canonical(); got != (Key{Group: want, Kind: old.Kind, Name: "a"}) {
			t.Errorf("%v becomes %v", old, got)
		}
	}
}

func TestFieldsAreWrittenSoThatTheyCanBeToldApart(t *testing.T) {
	for want, way := range map[string][]string{
		"a.b[0].c":               {"a", "b", "[0]", "c"},
		"a[\"b.c/d\"].e":         {"a", "b.c/d", "e"},
		"[\"x y\"]":              {"x y"},
		"items[1].metadata.name": {"items", "[1]", "metadata", "name"},
	} {
		if got := Field(way); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, data := range manifests(f) {
		f.Add(data)
	}
	for _, body := range oddBodies {
		f.Add([]byte(head + body + "---\n" + head))
	}
	f.Add([]byte("a: &items b\nitems: [1]\n*items : []\n"))
	f.Add([]byte("items:\n- &a {apiVersion: v1, kind: A, metadata: {name: a}}\n- *a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := Read("a.yaml", data, nil)
		if got.Skipped {
			return
		}
		want := parsed(data, nil)
		if want.Bad != nil {
			want.Bad.Manifest = looksLikeManifest(data)
		}
		requireSame(t, data, got, want)
	})
}
