package rule

import (
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// FuzzEdit edits files of others: whatever is in them, an edit is right by verify or is refused, and none ends the program.
func FuzzEdit(f *testing.F) {
	for _, text := range []string{
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n", "apiVersion: v1\r\nkind: Namespace\r\nmetadata:\r\n  annotations:\r\n    a: 'ü'\r\n  name: a\r\n",
		"kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: a\n    annotations: {}\n", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}`,
		"apiVersion: v1\nkind: Namespace\nmetadata:\n  annotations: &a\n    argocd.argoproj.io/sync-options: \"Prune=true\"\n  name: a\nspec:\n  syncPolicy:\n    syncOptions: [a, b]\n---\napiVersion: v1\nkind: A\nmetadata:\n  ? name\n  : b\n",
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, item bool) {
		const name = "file.yaml"
		read := object.Read(name, data, nil)
		want := set{way: optionField, value: "Prune=false,Delete=false"}
		if item {
			want = set{way: []string{"spec", "syncPolicy", "syncOptions"}, value: "FailOnSharedResource=true", item: true}
		}
		for n := range read.Objects {
			o := &read.Objects[n]
			edits, err := newSource(name, data).object(o, []set{want})
			if err != nil {
				continue
			}
			after := applyAll(data, edits)
			if err := verify(name, data, after, []*object.Object{o}, map[*object.Object][]set{o: {want}}); err == nil && len(after) < len(data)-64 {
				t.Errorf("%q became %q", data, after)
			}
		}
	})
}
