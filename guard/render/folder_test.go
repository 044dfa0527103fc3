package render

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// differences returns the kinds and names of what differs, in order.
func differences(o *Outcome) string {
	var list []string
	for _, d := range o.Differences {
		list = append(list, string(d.Kind)+" "+d.Name)
	}
	return strings.Join(list, ", ")
}

// compare holds a folder of the repository against sources.
func (r *repository) compare(t *testing.T, folder string, sources ...Source) *Outcome {
	t.Helper()
	f, err := OpenFolder(r.dir, folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	o, err := r.Compare(t.Context(), &Output{Folder: folder, Sources: sources}, f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// others are files that render never wrote, beside one that it did.
var others = map[string]string{
	"out/v1.Service-a.old.yaml":    service("a", "old"),
	"out/README.md":                "# out\n",
	"out/values.yaml":              "replicas: 1\n",
	"out/kustomization.yaml":       "resources: []\n",
	"out/two.yaml":                 service("a", "x") + "---\n" + service("a", "y"),
	"out/v1.Service-a.wrong.yaml":  service("a", "right"),
	"out/v1.Service-a.broken.yaml": "apiVersion: v1\nkind: Service\nmetadata: {\n",
	"out/v1.Service-a.list.yaml":   "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: list, namespace: a}}\n",
	"out/more.jsonnet":             "{}",
	"out/below/v1.Service-a.yaml":  service("", "a"),
}

func TestStaleFilesGoOnlyWhenAskedAndNothingElseGoes(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": service("a", "new")})
	write(t, r.dir, others)
	source := Source{Path: "a.yaml"}
	want := "foreign more.jsonnet, foreign two.yaml, foreign v1.Service-a.broken.yaml, foreign v1.Service-a.list.yaml, missing v1.Service-a.new.yaml, stale v1.Service-a.old.yaml, foreign v1.Service-a.wrong.yaml"
	if got := differences(r.compare(t, "out", source)); got != want {
		t.Errorf("before: %s\nwant %s", got, want)
	}
	out, err := r.to(t.Context(), "out", false, source)
	if err != nil || len(out.Removed) > 0 || len(out.Written) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	for name, text := range others {
		if now, err := os.ReadFile(filepath.Join(r.dir, name)); err != nil || string(now) != text {
			t.Errorf("%s is %s, %v", name, now, err)
		}
	}
	if out, err = r.to(t.Context(), "out", true, source); err != nil || !slices.Equal(out.Removed, []string{"v1.Service-a.old.yaml"}) {
		t.Fatalf("%+v, %v", out, err)
	}
	for name, text := range others {
		if now, err := os.ReadFile(filepath.Join(r.dir, name)); name == "out/v1.Service-a.old.yaml" {
			if !os.IsNotExist(err) {
				t.Errorf("%s is there: %v", name, err)
			}
		} else if err != nil || string(now) != text {
			t.Errorf("%s is %s, %v", name, now, err)
		}
	}
}

func TestFilesThatAreKeptForAnotherAreNotLookedAt(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": service("a", "new"), "out/v1.Service-a.old.yaml": service("a", "old")})
	f, err := OpenFolder(r.dir, "out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	out, err := r.Write(t.Context(), &Output{Folder: "out", Sources: []Source{{Path: "a.yaml"}}, Keep: []string{"*.old.*"}}, f, true)
	if err != nil || len(out.Removed) > 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestWhereNothingIsRenderedNothingIsRemoved(t *testing.T) {
	r := newRepository(t, map[string]string{"a.jsonnet": "[]", "out/v1.Service-a.old.yaml": service("a", "old")})
	if _, err := r.to(t.Context(), "out", true, Source{Path: "a.jsonnet"}); err == nil || !strings.Contains(err.Error(), "nothing was rendered") {
		t.Errorf("the error is %v", err)
	}
	if got := names(files(t, filepath.Join(r.dir, "out"))); got != "v1.Service-a.old.yaml" {
		t.Errorf("there is %s", got)
	}
}

func TestDifferencesSayWhatDiffers(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": service("a", "b") + "spec: {a: 1, b: 2}\n---\n" + service("a", "c"),
		"out/v1.Service-a.b.yaml": service("a", "b") + "spec:\n  a: 1\n  b: 3\n", "out/v1.Service-a.c.yaml": "{kind: Service, apiVersion: v1, metadata: {name: c, namespace: a}}\n"})
	out := r.compare(t, "out", Source{Path: "a.yaml"})
	if got := differences(out); got != "changed v1.Service-a.b.yaml, changed v1.Service-a.c.yaml" {
		t.Fatalf("they are %s", got)
	}
	if d := out.Differences[0]; d.Diff != "@ line 8\n-   b: 3\n+   b: 2\n" || d.Origin.String() != "a.yaml:1" || d.Why != "" {
		t.Errorf("the first is %+v", d)
	}
	if d := out.Differences[1]; d.Why != "it has the same object, written in another way" || d.Origin.Line != 8 {
		t.Errorf("the second is %+v", d)
	}
}

func TestARevisionIsComparedAsAFolderIs(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": service("a", "new"), "b.yaml": service("a", "same"), "out/v1.Service-a.same.yaml": service("a", "same")})
	write(t, r.dir, others)
	again, err := tree.Folder(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	r.Tree = again
	sources := []Source{{Path: "a.yaml"}, {Path: "b.yaml"}}
	want := r.compare(t, "out", sources...)
	got, err := r.Compare(t.Context(), &Output{Folder: "out", Sources: sources}, NewCommitted(again, "out"))
	if err != nil || differences(got) != differences(want) || got.Objects != 2 {
		t.Errorf("it is %s, %v\nand the folder's %s", differences(got), err, differences(want))
	}
}

func TestNoLinkLeadsOutOfTheOutput(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "v1.Service-a.b.yaml")
	write(t, outside, map[string]string{"v1.Service-a.b.yaml": "precious\n"})
	untouched := func(t *testing.T) {
		t.Helper()
		if got := files(t, outside); len(got) != 1 || got["v1.Service-a.b.yaml"] != "precious\n" {
			t.Errorf("outside there is %v", got)
		}
	}
	link := func(t *testing.T, target, name string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.Symlink(target, name)); err != nil {
			t.Fatal(err)
		}
	}
	sources := map[string]string{"a.yaml": service("a", "b"), "inside/x": ""}
	for name, at := range map[string][2]string{"the output": {outside, "out"}, "the output, inside": {"inside", "out"}, "a folder on its way": {outside, "env"}, "a folder on its way, inside": {"../inside", "env/c"}} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t, sources)
			link(t, at[0], filepath.Join(r.dir, at[1]))
			folder := "out"
			if at[1] != "out" {
				folder = at[1] + "/app/yml"
			}
			if _, err := r.to(t.Context(), folder, true, Source{Path: "a.yaml"}); err == nil || !strings.Contains(err.Error(), "is a link") {
				t.Errorf("the error is %v", err)
			}
			untouched(t)
			if got := names(files(t, filepath.Join(r.dir, "inside"))); got != "x" {
				t.Errorf("inside there is %s", got)
			}
		})
	}
	t.Run("a file and the folder of what is not ready", func(t *testing.T) {
		r := newRepository(t, sources)
		link(t, victim, filepath.Join(r.dir, "out/v1.Service-a.b.yaml"))
		link(t, outside, filepath.Join(r.dir, "out", staging))
		link(t, victim, filepath.Join(r.dir, "out/v1.Service-a.gone.yaml"))
		if got := differences(r.compare(t, "out", Source{Path: "a.yaml"})); got != "changed v1.Service-a.b.yaml, foreign v1.Service-a.gone.yaml" {
			t.Errorf("it is %s", got)
		}
		if _, err := r.to(t.Context(), "out", true, Source{Path: "a.yaml"}); err != nil {
			t.Fatal(err)
		}
		untouched(t)
		if got := files(t, filepath.Join(r.dir, "out")); names(got) != "v1.Service-a.b.yaml v1.Service-a.gone.yaml" || got["v1.Service-a.b.yaml"] != service("a", "b") {
			t.Errorf("the output has %v", got)
		}
	})
	t.Run("a source", func(t *testing.T) {
		r := newRepository(t, sources)
		link(t, victim, filepath.Join(r.dir, "src/a.yaml"))
		folder, err := tree.Folder(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = folder.Close() })
		r.Tree = folder
		if _, err := r.to(t.Context(), "out", false, Source{Path: "src"}); err == nil || !strings.Contains(err.Error(), "link out of the repository") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestAFolderInAFilesPlaceIsAnErrorBeforeAnythingIsWritten(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": service("a", "a") + "---\n" + service("a", "b"), "out/v1.Service-a.b.yaml/x": ""})
	if _, err := r.to(t.Context(), "out", true, Source{Path: "a.yaml"}); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("the error is %v", err)
	}
	if got := names(files(t, filepath.Join(r.dir, "out"))); got != "v1.Service-a.b.yaml" {
		t.Errorf("there is %s", got)
	}
}

func TestOfTwoRunsAtOnceOneIsRefusedAndTheOtherIsWhole(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": service("a", "b")})
	f, err := OpenFolder(r.dir, "out")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.to(t.Context(), "out", true, Source{Path: "a.yaml"}); err == nil || !strings.Contains(err.Error(), "another run writes to it") {
		t.Errorf("the error is %v", err)
	}
	if err := errors.Join(f.end(false), f.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := r.to(t.Context(), "out", true, Source{Path: "a.yaml"}); err != nil || len(out.Written) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestARunThatIsCancelledChangesNothing(t *testing.T) {
	var text strings.Builder
	for n := range 200 {
		text.WriteString(service("a", "s"+string(rune('a'+n%26))+strings.Repeat("x", n/26)) + "---\n")
	}
	r := newRepository(t, map[string]string{"a.yaml": text.String(), "out/v1.Service-a.old.yaml": service("a", "old")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.to(ctx, "out", true, Source{Path: "a.yaml"}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if got := names(files(t, filepath.Join(r.dir, "out"))); got != "v1.Service-a.old.yaml" {
		t.Errorf("there is %s", got)
	}
}
