package object

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestAFileIsTheSameAfterItsEncoding(t *testing.T) {
	paths, err := filepath.Glob("testdata/manifests/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal(err, paths)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{data, append([]byte("a: 1\na: 2\n---\n"), data...), append(data, "\n a:\n- b"...)} {
			sameAfterEncoding(t, Read(path, text, Control().And(Stateful())))
		}
	}
	sameAfterEncoding(t, &File{Skipped: true, Lists: true, Size: 1 << 33, Repeated: []Repeated{{"a.b", 1, 2}}, Comments: []Comment{{1, 7, "HG040"}}, Objects: []Object{{Generated: true, Item: 2, Labels: map[string]string{"holdfast.dev/x": ""}}}})
}

func sameAfterEncoding(t *testing.T, f *File) {
	t.Helper()
	text, err := AppendFile(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeFile(text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, f) {
		t.Errorf("it becomes %+v, want %+v", got, f)
	}
}

func FuzzDecodeFile(f *testing.F) {
	text, err := AppendFile(nil, Read("a.yaml", []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {holdfast.dev/a: b}}\n"), Stateful()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := DecodeFile(data)
		if err != nil {
			return
		}
		again, err := AppendFile(nil, file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeFile(again); err != nil {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}
