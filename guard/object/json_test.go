package object

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestJSONIsReadThatIsNoYAML(t *testing.T) {
	f := Read("a.json", []byte("{\t\"apiVersion\":\"v1\",\t\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":{\"smile\":\"\\ud83d\\ude00\",\"slash\":\"\\/\",\"n\":1e3,\"\u0085\":\"\u007f\"}}"), Kinds{{"", "ConfigMap"}: true})
	if f.Bad != nil || len(f.Objects) != 1 {
		t.Fatalf("%+v", f)
	}
	want := map[string]any{"smile": "\U0001f600", "slash": "/", "n": 1000.0, "\u0085": "\u007f"}
	if got := f.Objects[0].Body["data"]; !reflect.DeepEqual(got, want) {
		t.Errorf("data is %v, want %v", got, want)
	}
}

func TestPlacesInJSONCountCharacters(t *testing.T) {
	f := Read("a.json", []byte("\n {\"kind\":\"List\",\n\"items\":[ {\"apiVersion\":\"v1\",\"kind\":\"A\",\"metadata\":{\"name\":\"\u00e9\",\"name\":\"b\"}},\n  {\"apiVersion\":\"v1\",\"kind\":\"B\",\"metadata\":{\"name\":\"c\"},\"spec\":[{\"x\":1},{\"y\":1,\"y\":2}]}]}"), nil)
	if f.Bad != nil || len(f.Objects) != 2 || !f.Lists {
		t.Fatalf("%+v", f)
	}
	if a, b := f.Objects[0], f.Objects[1]; a.Line != 3 || a.Column != 11 || a.Name != "b" || b.Line != 4 || b.Column != 3 || b.Item != 2 {
		t.Errorf("the items are %+v and %+v", a, b)
	}
	want := []Repeated{{"items[0].metadata.name", 3, 64}, {"items[1].spec[1].y", 4, 80}}
	if !reflect.DeepEqual(f.Repeated, want) {
		t.Errorf("repeated are %+v, want %+v", f.Repeated, want)
	}
}

func TestOfRepeatedListsInJSONTheLastStands(t *testing.T) {
	f := Read("a.json", []byte("{\"items\":[{},{}],\n\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"A\",\"metadata\":{\"name\":\"a\"}}]}"), nil)
	if f.Bad != nil || len(f.Objects) != 1 || f.Objects[0].Line != 2 {
		t.Errorf("%+v", f)
	}
}

func TestJSONThatIsNoObjectIsBad(t *testing.T) {
	for _, text := range []string{"[]", "1", "\"a\"", "{", "", "{}", "{\"a\":1e999}", "{} {}", "\ufeff{}", strings.Repeat("[", 20000), strings.Repeat("{\"a\":", MaxDepth+2) + "1" + strings.Repeat("}", MaxDepth+2)} {
		if f := Read("a.json", []byte(text), nil); f.Bad == nil || f.Objects != nil {
			t.Errorf("%.40q is %+v", text, f)
		}
	}
	if f := Read("a.json", []byte("null"), nil); f.Bad != nil {
		t.Errorf("null is %v", f.Bad)
	}
}

// FuzzJSON holds the reader to encoding/json: what that decodes is read, and each kept body is what it decodes.
func FuzzJSON(f *testing.F) {
	f.Add([]byte("{\"apiVersion\":\"v1\",\"kind\":\"A\",\"metadata\":{\"name\":\"a\",\"name\":\"b\"},\"x\":[1,null,{\"y\":\"\\u00e9\"}]}"))
	f.Add([]byte("{\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"A\",\"metadata\":{\"generateName\":\"a\"}}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := Read("a.json", data, nil)
		var want map[string]any
		if err := json.Unmarshal(data, &want); err != nil {
			if file.Bad == nil && !file.Skipped {
				t.Fatalf("it is read as %+v, and is none: %v", file, err)
			}
			return
		}
		file = Read("a.json", data, kindsOf(file))
		for _, o := range file.Objects {
			body := want
			if o.Item > 0 {
				body, _ = want["items"].([]any)[o.Item-1].(map[string]any)
			}
			if !reflect.DeepEqual(o.Body, body) {
				t.Fatalf("item %d is\n%v\nwant\n%v", o.Item, o.Body, body)
			}
			if o.Line < 1 || o.Column < 1 || !strings.HasPrefix(lineAt(data, o.Line, o.Column), "{") {
				t.Fatalf("no object begins in line %d, column %d", o.Line, o.Column)
			}
		}
		for _, r := range file.Repeated {
			if !strings.HasPrefix(lineAt(data, r.Line, r.Column), "\"") {
				t.Fatalf("no key begins in line %d, column %d", r.Line, r.Column)
			}
		}
	})
}

// lineAt is the rest of a line from a column on.
func lineAt(data []byte, line, column int) string {
	text := []rune(strings.Split(string(data), "\n")[line-1])
	return string(text[column-1:])
}
