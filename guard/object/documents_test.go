package object

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubernetes "k8s.io/apimachinery/pkg/util/yaml"
)

// kubernetesDocuments reads a file with the reader that Argo CD has, as Argo CD does.
func kubernetesDocuments(data []byte) (objects []map[string]any, err error) {
	d := kubernetes.NewYAMLOrJSONDecoder(bytes.NewReader(data), guessed)
	for {
		u := &unstructured.Unstructured{}
		if err := d.Decode(&u); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return objects, err
		}
		if u != nil {
			objects = append(objects, u.Object)
		}
	}
}

// requireDocumentsOfKubernetes holds what is read to that reader: what it refuses is bad, and what is read is what it has.
func requireDocumentsOfKubernetes(t *testing.T, data []byte) {
	t.Helper()
	got := Read("a.yaml", data, nil)
	if got.Skipped || got.Lists {
		return
	}
	want, err := kubernetesDocuments(data)
	switch {
	case err != nil && got.Bad == nil:
		t.Fatalf("it is read as %d objects, and Kubernetes refuses it: %v\n%q", len(got.Objects), err, data)
	case err != nil && len(want) > 0 && !got.Bad.Manifest && named(want[0]):
		t.Fatalf("Argo CD fails, for it has read %d objects, and is said to pass over\n%q", len(want), data)
	case err != nil || got.Bad != nil: // more is wrong to us: objects without a name, what follows three dots
		return
	}
	var names, wanted []string
	for n := range got.Objects {
		names = append(names, fmt.Sprintf("%s %s", got.Objects[n].Kind, got.Objects[n].Name))
	}
	for _, o := range want {
		metadata, _ := o["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		if name == "" {
			name, _ = metadata["generateName"].(string)
		}
		wanted = append(wanted, fmt.Sprintf("%s %s", o["kind"], name))
	}
	if !reflect.DeepEqual(names, wanted) {
		t.Fatalf("it is read as %q, by Kubernetes as %q:\n%q", names, wanted, data)
	}
}

// named says whether an object has what all objects have.
func named(o map[string]any) bool {
	u := unstructured.Unstructured{Object: o}
	return u.GetAPIVersion() != "" && u.GetName() != ""
}

const (
	yamlA = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n"
	yamlB = "apiVersion: v1\nkind: B\nmetadata: {name: b}\n"
	jsonA = `{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}`
	jsonB = `{"apiVersion":"v1","kind":"B","metadata":{"name":"b"}}`
)

// separated are files and the objects that Argo CD finds in them; bad is a part of what is said where it finds none.
var separated = []struct{ name, text, objects, bad string }{
	{"three dashes", yamlA + "---\n" + yamlB, "A B", ""},
	{"a comment after three dashes", yamlA + "--- # of b\n" + yamlB, "A B", ""},
	{"a comment right after three dashes", yamlA + "---# of b\n" + yamlB, "A B", ""},
	{"spaces after three dashes", yamlA + "---\t \u00a0\n" + yamlB, "A B", ""},
	{"carriage returns", strings.ReplaceAll(yamlA+"---\n"+yamlB, "\n", "\r\n"), "A B", ""},
	{"no line feed at the end", yamlA + "---", "A", ""},
	{"three dashes twice", yamlA + "---\n---\n" + yamlB + "---\n---\n---\n", "A B", ""},
	{"a comment right after three dashes that are the second", yamlA + "---\n---# of b\n" + yamlB, "", "it is not YAML"},
	{"a comment right after the first three dashes", "---# of a\n" + yamlA, "", "it is not YAML"},
	{"a tag after three dashes", yamlA + "--- !!map\n" + yamlB, "", "only a comment may follow"},
	{"an object after three dashes", "--- " + jsonA + "\n", "", "only a comment may follow"},
	{"four dashes", yamlA + "----\n" + yamlB, "", "only a comment may follow"},
	{"three dashes in a text", yamlA + "text: '\n---# here\n'\n", "", "it is not YAML"},
	{"JSON", jsonA, "A", ""},
	{"values of JSON", jsonA + "\n" + jsonB + "\n\n", "A B", ""},
	{"values of JSON on one line", " " + jsonA + jsonB, "A B", ""},
	{"nothing among values of JSON", jsonA + " null " + jsonB, "A B", ""},
	{"a comment after values of JSON", jsonA + jsonB + "# no", "", "after 2 values of JSON"},
	{"three dashes after values of JSON", jsonA + "\n" + jsonB + "\n---\n" + yamlA, "", "after 2 values of JSON"},
	{"YAML after a value of JSON", jsonA + "\n---\n" + yamlB, "A B", ""},
	{"a comment after a value of JSON", jsonA + " # a\n---\n" + yamlB, "A B", ""},
	{"a short comment after a value of JSON", jsonA + "\n#a", "", "it begins as JSON"},
	{"values of JSON after three dashes", "---\n" + jsonA + "\n---\n" + jsonB, "A B", ""},
	{"YAML that begins with a brace", "{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n" + yamlB, "A B", ""},
	{"a mark of the encoding", "\ufeff" + jsonA + jsonB, "A B", ""},
	{"UTF-16", "\xff\xfe" + strings.Join(strings.Split(yamlA+"---\n"+yamlB, ""), "\x00") + "\x00", "A B", ""},
}

func TestDocumentsAreSeparatedAsArgoCDDoes(t *testing.T) {
	for _, c := range separated {
		t.Run(c.name, func(t *testing.T) {
			f := Read("a.yaml", []byte(c.text), nil)
			var kinds []string
			for _, o := range f.Objects {
				kinds = append(kinds, o.Kind)
			}
			if got := strings.Join(kinds, " "); got != c.objects || (f.Bad != nil) != (c.bad != "") || f.Bad != nil && !strings.Contains(f.Bad.Message, c.bad) {
				t.Errorf("it has %q, %v", got, f.Bad)
			}
			requireDocumentsOfKubernetes(t, asUTF8([]byte(c.text)))
		})
	}
}

func TestPlacesInValuesOfJSONAreThoseOfTheFile(t *testing.T) {
	text := []byte("\n" + jsonA + "\n\n " + jsonB + " {\"kind\":\"C\",\n\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"c\",\"name\":\"d\"}}")
	f := Read("a.yaml", text, Kinds{{"", "C"}: true})
	if f.Bad != nil || len(f.Objects) != 3 {
		t.Fatalf("%+v", f)
	}
	for n, at := range []place{{2, 1}, {4, 2}, {4, 2 + len(jsonB) + 1}} {
		if o := f.Objects[n]; o.Line != at.line || o.Column != at.column || o.Document != n {
			t.Errorf("the object %d is %+v, want it at %v", n, o, at)
		}
	}
	if len(f.Repeated) != 1 || f.Repeated[0].Line != 5 || f.Objects[2].Body["kind"] != "C" {
		t.Errorf("repeated are %+v, the body is %v", f.Repeated, f.Objects[2].Body)
	}
	if n, before, err := f.Objects[2].Node(text); err != nil || before+n.Line != 4 {
		t.Errorf("its node is after %d lines: %v", before, err)
	}
}

// pieces are what files are made of that separate documents in every way.
var pieces = []string{yamlA, yamlB, jsonA, jsonB, "---", "--- ", "---\n", "\n---\n", "---#", "----", "\n", "\r\n", " ", "\u00a0", "# c", "# c\n", "null", "null\n", "{}", "{", "a: |\n  b\n", "...\n", "- a\n", "1"}

// FuzzDocumentsAreThoseOfKubernetes holds the splitter to the reader that Argo CD has. Each byte is a piece of the file.
func FuzzDocumentsAreThoseOfKubernetes(f *testing.F) {
	for n := range pieces {
		f.Add([]byte{0, byte(n), 1, byte(n), 2})
		f.Add([]byte{2, byte(n), 3, byte(n), 10, 0})
		f.Add([]byte{byte(n), 10, 6, 0})
	}
	f.Fuzz(func(t *testing.T, of []byte) {
		var text []byte
		for _, n := range of[:min(len(of), 40)] {
			text = append(text, pieces[int(n)%len(pieces)]...)
		}
		requireDocumentsOfKubernetes(t, text)
	})
}
