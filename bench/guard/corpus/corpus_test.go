package corpus

import (
	"bytes"
	"path"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

var small = Shape{Clusters: 2, Apps: 3, Seed: 7}

func TestEveryFileHasOneObjectWhoseIdentityIsItsOwn(t *testing.T) {
	files := 0
	type at struct {
		dir string
		object.Key
	}
	seen := make(map[at]string)
	kinds := make(map[string]int)
	err := small.Files(func(f File) error {
		files++
		o := object.Read(f.Path, f.Data, nil)
		if o.Bad != nil || len(o.Objects) != 1 || o.Repeated != nil {
			t.Fatalf("%s is %+v:\n%s", f.Path, o, f.Data)
		}
		x := o.Objects[0]
		key := at{path.Dir(f.Path), x.Key}
		if seen[key] != "" {
			t.Errorf("%s and %s both have %v", seen[key], f.Path, x.Key)
		}
		seen[key] = f.Path
		kinds[x.Kind]++
		base := path.Base(f.Path)
		if !strings.Contains(base, x.Version+"."+x.Kind+"-") || !strings.HasSuffix(base, x.Name+".yaml") || !strings.HasPrefix(base, x.Group) {
			t.Errorf("%s has %v", f.Path, x.Key)
		}
		return nil
	})
	if err != nil || files != small.Objects() {
		t.Fatalf("%d files, want %d; %v", files, small.Objects(), err)
	}
	apps := small.Clusters * small.Apps
	for kind, n := range map[string]int{"ConfigMap": 27 * apps, "Service": 21 * apps, "StatefulSet": 4 * apps, "Namespace": apps, "Application": apps + small.Clusters} {
		if kinds[kind] != n {
			t.Errorf("%d of %s, want %d", kinds[kind], kind, n)
		}
	}
}

func TestAShapeAlwaysGivesTheSameBytes(t *testing.T) {
	all := func(s Shape) []byte {
		var b bytes.Buffer
		if err := s.Files(func(f File) error { b.WriteString(f.Path); b.Write(f.Data); return nil }); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	first := all(small)
	if !bytes.Equal(first, all(small)) {
		t.Error("two runs differ")
	}
	other := small
	other.Seed++
	if bytes.Equal(first, all(other)) {
		t.Error("the seed makes no difference")
	}
}

func TestAChangeTouchesTenFilesOfTheRepository(t *testing.T) {
	files := make(map[string]string)
	if err := small.Files(func(f File) error { files[f.Path] = string(f.Data); return nil }); err != nil {
		t.Fatal(err)
	}
	change, err := small.Change()
	if err != nil {
		t.Fatal(err)
	}
	changed, added, removed := 0, 0, 0
	for _, f := range change {
		was, there := files[f.Path]
		switch {
		case !there && f.Data != nil:
			added++
		case there && f.Data == nil:
			removed++
		case there && was != string(f.Data):
			changed++
		}
	}
	if changed != 8 || added != 1 || removed != 1 {
		t.Errorf("%d changed, %d added, %d removed", changed, added, removed)
	}
}
