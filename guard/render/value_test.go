package render

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// FuzzEncodedIsReadAsItWas holds that an object written as YAML is read as the same object, by the library of Kubernetes and by package
// object, and that writing it again gives the same bytes.
func FuzzEncodedIsReadAsItWas(f *testing.F) {
	for _, seed := range []string{
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"y":"yes","n":"no","1":"1","true":"null","a":"","b":" x ","c":"0x1F","d":"1_000","e":"1:20","f":"2020-01-01","g":"<<","h":"=","i":"~"}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"x\n","b":"\nx","c":" x\ny","d":"x\n\n","e":"x \ny\t\n","f":"\t","g":"\r\n","h":"#x","i":"x\n# y","j":"--- \n","k":"a: b\n- c","l":"\n"}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"\u0085x","b":"\u2028\n","c":"\ufeffx","d":"\u0000","e":"\ud83d\ude00","f":"\u007f","g":"\u00a0\n "}}`,
		`{"apiVersion":"v1","kind":"X","metadata":{"name":"a"},"spec":{"a":9007199254740993,"b":18446744073709551615,"c":1e6,"d":1.5,"e":-0,"f":1e400,"g":1e21,"h":[],"i":{},"j":null,"k":[[],[1],{}],"l":true,"m":-1e-7,"n":123456789.125}}`,
		`{"apiVersion":"v1","kind":"X","metadata":{"name":"a"},"x":{"":1,"- a":2,"a b":3,"?":4,"a:":5,"[":6,"a\nb":7,"!":8,"&":9,"*":10,"<<":{"a":1}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		body, ok := v.(map[string]any)
		if err != nil || !ok || len(data) > 1<<16 {
			return // what is no object is never written
		}
		text, err := encode(body)
		if err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		again, err := parse(text)
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("%s is written as\n%s\nand read as %#v, %v\nwant %#v", data, text, again, err, v)
		}
		if more, err := encode(again.(map[string]any)); err != nil || !bytes.Equal(more, text) {
			t.Fatalf("%v: it is written anew as\n%s\nand not as\n%s", err, more, text)
		}
		var third map[string]any // by the library of YAML 1.2
		if err := yaml.Unmarshal(text, &third); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		if plain, err := json.Marshal(third); err == nil {
			if read, err := parseJSON(plain); err != nil || !reflect.DeepEqual(read, v) {
				t.Fatalf("%s\nis read as %#v, %v\nwant %#v", text, read, err, v)
			}
		}
		k, _, _, err := identity(body)
		if _, list := body["items"]; err != nil || list || bytes.Contains(text, []byte(object.SkipMarker)) {
			return
		}
		file := object.Read("a.yaml", text, nil)
		if file.Bad != nil || len(file.Objects) != 1 || file.Objects[0].Key != k {
			t.Fatalf("package object reads %+v, %v from\n%s\nwant %v", file.Objects, file.Bad, text, k)
		}
	})
}

// FuzzWhateverIsRenderedIsAnObjectOrAnError holds that any text that a tool gives becomes objects that are written and read as they are, or an
// error.
func FuzzWhateverIsRenderedIsAnObjectOrAnError(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "a: &a [*a]\n", "- {a: {b: null}}\n- !!binary aGk=\n", "? [a]\n: b\n", "1: {.inf: .nan}\n",
		"kind: List\nitems: [{}, 1]\n", "a: &x {kind: A, apiVersion: v1, metadata: {name: x}}\nb: *x\n", "{\"a\": 1e999}", "a: 2020-01-01\nkind: 0o7\n", "%YAML 1.1\n---\n\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parse(data)
		if err != nil || len(data) > 1<<16 {
			return
		}
		_ = objects(v, "", 0, func(o found) { // what was found before an error counts too
			if _, _, _, err := identity(o.body); err != nil {
				return
			}
			text, err := encode(o.body)
			if err != nil {
				return
			}
			if again, err := parse(text); err != nil || !reflect.DeepEqual(again, any(o.body)) {
				t.Fatalf("%q has %#v\nand it is read as %#v, %v", data, o.body, again, err)
			}
		})
	})
}
