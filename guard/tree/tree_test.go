package tree_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// repository makes a folder with files, texts that begin with "-> " being links, and commits them.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "-> "); link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "all"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

var files = map[string]string{
	"a/z.yaml": "1", "a-b/x.yaml": "2", "a.yaml": "3", "a/b/c.yaml": "4", "B.yaml": "5\n", "ä ö\t.yaml": "6",
	"link.yaml": "-> a/z.yaml", "chain.yaml": "-> link.yaml", "a/up.yaml": "-> ../B.yaml", "gone.yaml": "-> nothing", "circle": "-> circle",
	"out.yaml": "-> ../elsewhere.yaml", "root.yaml": "-> /etc/hostname",
}

func TestAFolderAndItsRevisionAreTheSame(t *testing.T) {
	dir := repository(t, files)
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	revision, err := tree.Revision(t.Context(), dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = revision.Close() }()
	a, b := folder.Files(), revision.Files()
	if len(a) != len(b) {
		t.Fatalf("the folder has %v, the revision %v", a, b)
	}
	for i := range a {
		if a[i].Path != b[i].Path || a[i].Target != b[i].Target || a[i].Escapes != b[i].Escapes {
			t.Errorf("the folder has %+v, the revision %+v", a[i], b[i])
		}
		x, errX := folder.Read(a[i])
		y, errY := revision.Read(b[i])
		if string(x) != string(y) || (errX == nil) != (errY == nil) || (errX != nil) != a[i].Escapes {
			t.Errorf("%s: %q %v in the folder, %q %v in the revision", a[i].Path, x, errX, y, errY)
		}
		if !b[i].Escapes && b[i].Hash != tree.Hash(y) {
			t.Errorf("%s: the hash is %s, want %s", b[i].Path, b[i].Hash, tree.Hash(y))
		}
	}
}

func TestFilesAreInTheOrderOfAWalk(t *testing.T) {
	dir := repository(t, files)
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	var got, want []string
	for _, f := range folder.Files() {
		got = append(got, f.Path)
	}
	if err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if !slices.Contains([]string{"gone.yaml", "circle"}, rel) {
			want = append(want, filepath.ToSlash(rel))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %q, want %q", got, want)
	}
}

func TestUnderAFolderAreItsFilesAndNoOthers(t *testing.T) {
	list := []tree.File{{Path: "a/b/c"}, {Path: "a/z"}, {Path: "a-b/x"}, {Path: "a.yaml"}}
	for folder, want := range map[string]int{"": 4, ".": 4, "a": 2, "a/": 2, "./a/b": 1, "a-b": 1, "b": 0, "a.yaml": 0, "../a": 2} {
		if got := len(tree.Under(list, folder)); got != want {
			t.Errorf("under %q are %d files, want %d", folder, got, want)
		}
	}
}

func TestARevisionThatIsNotThereIsNamed(t *testing.T) {
	dir := repository(t, map[string]string{"a": "1"})
	for _, name := range []string{"nothing", "--upload-pack=x", "main:a"} {
		if _, err := tree.Revision(t.Context(), dir, name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tree.Folder(filepath.Join(dir, "nothing")); err == nil {
		t.Error("a folder that is not there is opened")
	}
}

func TestLinksToFoldersAreFollowedInThePathsBelowThem(t *testing.T) {
	dir := repository(t, map[string]string{"env/v1/yml/a.yaml": "1", "env/v2/yml/b.yaml": "2", "env/current": "-> v1", "top": "-> env/current", "env/out": "-> ../../x", "round/a": "-> ../round/b/c", "round/b/c": "-> ../a"})
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	revision, err := tree.Revision(t.Context(), dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []tree.Tree{folder, revision} {
		for path, want := range map[string]string{
			"env/current/yml": "env/v1/yml", "./top/yml/": "env/v1/yml", "env/v2/yml": "env/v2/yml", "env/current": "env/current", "": "", ".": ".", "env/out/a": "env/out/a", "round/a/x": "round/a/x",
		} {
			if got := tree.Resolve(of, path); got != want {
				t.Errorf("%s: %q leads to %q, want %q", of.Name(), path, got, want)
			}
		}
		if err := of.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFoldersAboveAFileEndWithTheTree(t *testing.T) {
	for file, want := range map[string][]string{"a/b/c.yaml": {"a/b", "a", ""}, "c.yaml": {""}, "": nil} {
		if got := slices.Collect(tree.Above(file)); !slices.Equal(got, want) {
			t.Errorf("above %q are %q, want %q", file, got, want)
		}
	}
}
