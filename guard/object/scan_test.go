package object

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
)

// parsed reads a file of YAML with the parser alone.
func parsed(data []byte, keep Kinds) *File {
	f := &File{}
	number := 0
	for before, text := range Documents(data) {
		if bad := f.parse(text, number, before, keep); bad != nil {
			return &File{Bad: bad}
		}
		number++
	}
	return f
}

// kindsOf are the kinds of a file's objects.
func kindsOf(f *File) Kinds {
	kinds := make(Kinds)
	for _, o := range f.Objects {
		kinds[o.GroupKind()] = true
	}
	return kinds
}

// same compares values of bodies, where a number that is none equals itself.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if v, ok := b[k]; !ok || !same(a[k], v) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	}
	return a == b
}

// requireSame compares two files, and every value of every object.
func requireSame(t *testing.T, data []byte, got, want *File) {
	t.Helper()
	if len(got.Objects) != len(want.Objects) {
		t.Fatalf("%d objects, the parser finds %d in\n%s\n%v\n%v", len(got.Objects), len(want.Objects), data, got.Bad, want.Bad)
	}
	for i := range got.Objects {
		g, w := got.Objects[i], want.Objects[i]
		if (g.Body == nil) != (w.Body == nil) || !same(g.Body, w.Body) {
			t.Fatalf("the body\n%#v\nis to the parser\n%#v\nin\n%s", g.Body, w.Body, data)
		}
		g.Body, w.Body = nil, nil
		if !reflect.DeepEqual(g, w) {
			t.Fatalf("the object\n%+v\nis to the parser\n%+v\nin\n%s", g, w, data)
		}
	}
	if !reflect.DeepEqual(got.Repeated, want.Repeated) || !reflect.DeepEqual(got.Bad, want.Bad) || got.Lists != want.Lists {
		t.Fatalf("the file\n%+v\nis to the parser\n%+v\nin\n%s", got, want, data)
	}
}

// requireScannedIsRead holds the scanner to the parser for a document: what is accepted is read the same, with every value in it.
func requireScannedIsRead(t *testing.T, text []byte) (accepted bool) {
	t.Helper()
	var got File
	if !got.scan(text, 3, 7, nil) {
		if got.Objects != nil || got.Repeated != nil {
			t.Fatalf("an odd document left something: %+v", got)
		}
		return false
	}
	var want File
	if bad := want.parse(text, 3, 7, nil); bad != nil {
		t.Fatalf("accepted, and not read: %v in\n%s", bad, text)
	}
	requireSame(t, text, &got, &want)
	kinds := kindsOf(&want)
	got, want = File{}, File{}
	if !got.scan(text, 0, 0, kinds) || want.parse(text, 0, 0, kinds) != nil {
		t.Fatalf("read, and with its body not:\n%s", text)
	}
	requireSame(t, text, &got, &want)
	return true
}

// manifests are files in the ways of several renderers.
func manifests(t testing.TB) map[string][]byte {
	files, err := filepath.Glob(filepath.Join("testdata", "manifests", "*.yaml"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	all := make(map[string][]byte)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = data
	}
	return all
}

func TestManifestsOfRenderersAreScannedAndAreAsTheParserHasThem(t *testing.T) {
	for name, data := range manifests(t) {
		t.Run(name, func(t *testing.T) {
			want := parsed(data, nil)
			if want.Bad != nil || len(want.Objects) == 0 {
				t.Fatalf("it is no manifest: %+v", want)
			}
			requireSame(t, data, Read(name, data, nil), want)
			kinds := kindsOf(want)
			requireSame(t, data, Read(name, data, kinds), parsed(data, kinds))
			for _, text := range Documents(data) {
				if !requireScannedIsRead(t, text) {
					t.Errorf("left to the parser:\n%s", text)
				}
			}
		})
	}
}

func TestControlCharactersAreFoundWhereverTheyStand(t *testing.T) {
	for c := range 256 {
		want := c == '\n' || c == '\t' || c >= ' ' && c < 0x7f
		for at := range 17 {
			text := bytes.Repeat([]byte("\n~ \t"), 5)[:17]
			text[at] = byte(c)
			if got := plainText(text); got != want {
				t.Fatalf("%#x at %d: %v", c, at, got)
			}
		}
	}
}

func TestWhatIsReadHoldsNothingOfTheFile(t *testing.T) {
	data := []byte("apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: name-of-it\n  namespace: its-namespace\n  labels:\n    app.kubernetes.io/instance: its-label\n  annotations:\n    argocd.argoproj.io/sync-options: 'Prune=false'\nspec:\n  text: |\n    some text\n  spec: [a, b]\n  spec: c\n")
	f := Read("a.yaml", data, Stateful())
	want := Read("a.yaml", bytes.Clone(data), Stateful())
	for i := range data {
		data[i] = 'x'
	}
	requireSame(t, data, f, want)
	if f.Objects[0].Name != "name-of-it" {
		t.Errorf("the name became %q", f.Objects[0].Name)
	}
}

func TestFilesAreReadAtTheSameTime(t *testing.T) {
	files := manifests(t)
	want := make(map[string]*File)
	for name, data := range files {
		want[name] = parsed(data, Stateful())
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 20 {
				for name, data := range files {
					if got := Read(name, data, Stateful()); !reflect.DeepEqual(got, want[name]) {
						t.Errorf("%s is read as %+v", name, got)
					}
				}
			}
		})
	}
	readers.Wait()
}

func FuzzScannedIsRead(f *testing.F) {
	for _, data := range manifests(f) {
		for _, text := range Documents(data) {
			f.Add(text)
		}
	}
	for _, body := range oddBodies {
		f.Add([]byte(head + body))
	}
	for _, body := range evenBodies {
		f.Add([]byte(head + body))
	}
	f.Fuzz(func(t *testing.T, text []byte) { requireScannedIsRead(t, text) })
}

// FuzzBodyScannedIsRead spends all its tries on documents that begin as objects do.
func FuzzBodyScannedIsRead(f *testing.F) {
	for _, body := range oddBodies {
		f.Add(body)
	}
	for _, body := range evenBodies {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) { requireScannedIsRead(t, []byte(head+body)) })
}

const head = "apiVersion: v1\nkind: A\nmetadata:\n  name: a\n"

// evenBodies are ends of documents that the scanner must take.
var evenBodies = map[string]string{
	"sequence without indentation":     "a:\n- b\n- c: d\n  e:\n  - f\ng: h\n",
	"sequence with indentation":        "a:\n  - b\n  -\n    c: d\n  - - e\n    - f\n",
	"empty values":                     "a:\nb:\n  c:\n  d: ~\n",
	"empty items":                      "a:\n-\n- b\n-\nc:\n",
	"a comment between key and value":  "a: # here\n  # there\n  b: c # d\n\n# e\nf: '#' #\n",
	"colons and hashes in text":        "a: b:c#d\ne: http://x:80/#y\n",
	"kinds of scalars":                 "a: [1, -2, 0x1f, 0o17, 017, 1e3, .5, .inf, 1_000, 2001-01-01, true, yes, null, ~, y, 12345678901234567890, +1, '1', \"1\"]\n",
	"literal":                          "a: |\n  b\n    c\n\n  d\n\n\ne: |-\n  f\n\ng: |+\n  h\n\ni: j\n",
	"folded":                           "a: >\n  b\n  c\n\n  d\n    e\n  f\n\n\n  g\nh: >-\n  i\n  j\nk: >+\n  l\n\n",
	"a literal with tabs":              "a: |\n  b\n  \tc\n   \t\n  \n",
	"a literal that begins empty":      "a: |\n\n \n  b\nc: |\nd: |+\n\n\ne: f\n",
	"a literal at the end":             "a: |\n  b",
	"a literal and spaces at the end":  "a: |+\n  b\n     ",
	"literals in a sequence":           "a:\n- |\n  b\n- >-\n  c\n  d\n",
	"a comment after a literal":        "a: |\n  b\n # c\nd: e\n",
	"flow":                             "a: {b: [c, {d: e}], f: 'g', \"h\": {}, i: []}\nj: [ ]\nk: { }\n",
	"quotes":                           "a: 'it''s'\nb: \"c\\n\\\"\\u00e9\"\n'd': e\n\"f\": ''\n",
	"texts beyond ASCII":               "a: \u00e4\u20ac\U0001f600\n# \u00e9\nb: {\u00e9: 1, c: 2, c: 3}\n",
	"repeated keys":                    "a:\n  b: 1\n  b: 2\n  c:\n  - d: 1\n    d: 2\n    'd': 3\ne.f: {g: 1, g: [h, {i: 1, i: 2}]}\na: 2\n",
	"dashes that begin a text":         "a: -b\nc:\n- --d\n- -1\n- - -e\n",
	"no line feed at the end":          "a: b",
	"spaces at ends of lines":          "a: b  \nc:   \n- d \n",
	"a literal with a separator in it": "a: |\n  ---\n  ...\nb: c\n",
}

// oddBodies are ends of documents that the scanner must leave to the parser.
var oddBodies = map[string]string{
	"anchor": "a: &b c\n", "alias": "a: &b c\nd: *b\n", "tag": "a: !!str 1\n", "merge": "a: &b {c: d}\ne:\n  <<: *b\n",
	"plain over lines": "a: b\n  c\n", "quoted over lines": "a: \"b\n  c\"\n", "flow over lines": "a: [b,\n  c]\n",
	"an indentation indicator": "a: |2\n   b\n", "a tab": "a:\tb\n", "a tab before a comment": "a: b\t# c\n", "a tab in a literal's indentation": "a: |\n \tb\n",
	"a complex key": "? a\n: b\n", "an end": "a: b\n...\n", "a directive": "%YAML 1.1\n---\na: b\n",
	"a dedent to nowhere": "a:\n    b: c\n  d: e\n", "a deeper line": "a: b\n  c: d\n", "a value twice": "a: b: c\n", "a colon at the end": "a: b:\n",
	"carriage return": "a: b\r\n", "next line": "a: b\u0085c: d\n", "line separator": "a: b\u2028c: d\n", "byte order mark": "\ufeffa: b\n", "a control character": "a: \x01\n", "no UTF-8": "a: \xff\n",
	"a literal less indented than empty lines": "a: |\n     \n  b\n", "an escape": "a: \"\\x41\"\n", "a bad escape": "a: \"\\z\"\n", "half a character": "a: \"\\ud83d\\ude00\"\n",
	"a pair in a flow sequence": "a: [b: c]\n", "a key alone in flow": "a: {b}\n", "a comma at the end": "a: [b,]\n", "a colon without space in flow": "a: {\"b\":c}\n",
	"a comment without space": "a: \"b\"#c\n", "text after a quote": "a: 'b' c\n", "a percent sign": "a: %b\n", "an at sign": "a: @b\n", "a backquote": "a: `b`\n",
	"an open flow": "a: [b\n", "an open quote": "a: 'b\n", "items": "items: []\n", "a repeated kind": "kind: B\n", "repeated metadata": "metadata: {name: b}\n",
	"a sequence in a mapping": "a: b\n- c\n", "a scalar on a line of its own": "a:\n  b\n", "a key that is a flow": "{a: b}: c\n",
}

func TestTheScannerTakesWhatRenderersWrite(t *testing.T) {
	for name, body := range evenBodies {
		t.Run(name, func(t *testing.T) {
			if !requireScannedIsRead(t, []byte(head+body)) {
				t.Errorf("it is odd:\n%s", body)
			}
		})
	}
}

func TestTheScannerLeavesAllElseToTheParser(t *testing.T) {
	for name, body := range oddBodies {
		t.Run(name, func(t *testing.T) {
			if requireScannedIsRead(t, []byte(head+body)) {
				t.Errorf("it is taken:\n%s", body)
			}
			if want, got := parsed([]byte(head+body), nil), Read("a.yaml", []byte(head+body), nil); want.Bad != nil && got.Bad == nil {
				t.Errorf("it is read: %+v", got)
			}
		})
	}
	for _, metadata := range []string{"{}", "[]", "a", "{name: 1}", "{name: null}", "{name: ~, generateName: b-}", "{name: 1e3}", "{name: [a]}", "{name: a, namespace: true}", "{name: a, labels: {helm.sh/chart: 1}}", "{name: a, name: b}"} {
		if requireScannedIsRead(t, []byte("apiVersion: v1\nkind: A\nmetadata: "+metadata+"\n")) {
			t.Errorf("metadata %s is taken", metadata)
		}
	}
}
