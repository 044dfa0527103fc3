package render

import (
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

func TestAnEntryStandsForEveryPathThatItsPatternMatches(t *testing.T) {
	files := treetest.Folder(t, map[string]string{"clusters/c1/app01.yaml": "", "clusters/c1/app02.yaml": "", "clusters/c2/app01.yaml": "", "apps/app01.jsonnet": "", "charts/web/Chart.yaml": ""}).Files()
	entries := []Entry{
		{Each: "clusters/(cluster)/(app).yaml", Source: "apps/(app).jsonnet", Output: "env/(cluster)/(app)/yml", TLAStr: map[string]string{"cluster": "(cluster)"},
			TLACode: map[string]string{"f": "(function(x) x)(1)"}, JPath: []string{"lib", "lib/(app)"}},
		{Source: "charts/(chart)", Output: "env/c1/app01/yml", Values: []string{"v/(chart).yaml"}, Release: "(chart)-x", Set: []string{"a=1,b={x,y},c=1\\,2", "d.e=f=g"}, SetString: []string{"t=1"}},
	}
	if _, err := Outputs(entries, files); err == nil || !strings.Contains(err.Error(), "which the output") {
		t.Errorf("several charts are written to one folder: %v", err)
	}
	entries[1].Source = "charts/web"
	outputs, err := Outputs(entries, files)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, o := range outputs {
		folders = append(folders, o.Folder)
	}
	if want := []string{"env/c1/app01/yml", "env/c1/app02/yml", "env/c2/app01/yml"}; !reflect.DeepEqual(folders, want) {
		t.Fatalf("the outputs are %v", folders)
	}
	first := outputs[0].Sources
	if len(first) != 2 || first[0].Path != "apps/app01.jsonnet" || !reflect.DeepEqual(first[0].Jsonnet, engine.JsonnetOptions{Libraries: []string{"lib", "lib/app01"},
		TLAs: []engine.Variable{{Name: "cluster", Value: "c1"}, {Name: "f", Value: "(function(x) x)(1)", Code: true}}}) {
		t.Errorf("the sources of the first are %+v", first)
	}
	want := []engine.Parameter{{Name: "a", Value: "1"}, {Name: "b", Value: "{x,y}"}, {Name: "c", Value: `1\,2`}, {Name: "d.e", Value: "f=g"}, {Name: "t", Value: "1", Text: true}}
	if got := first[1].Helm.Parameters; !reflect.DeepEqual(got, want) {
		t.Errorf("the parameters are %+v", got)
	}
}

func TestEntriesThatCannotBeMeantAreRefused(t *testing.T) {
	for want, e := range map[string]Entry{
		"source is missing":     {Output: "out"},
		"output is missing":     {Source: "a"},
		"a bracket":             {Source: "a(", Output: "out"},
		"which the output":      {Source: "a/(app)", Output: "out"},
		"has the part (b)":      {Source: "a/(app)", Output: "out/(app)/(b)"},
		"is no NAME=VALUE":      {Source: "a", Output: "out", Set: []string{"x"}},
		"no file and no folder": {Source: "none/(app)", Output: "out/(app)"},
	} {
		if _, err := Outputs([]Entry{e}, treetest.Folder(t, map[string]string{"a/b": ""}).Files()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: the error is %v, want %s", e, err, want)
		}
	}
}
