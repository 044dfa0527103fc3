package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repo is a git repository of a test.
type repo struct {
	*testing.T
	dir string
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	r := &repo{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repo) git(args ...string) string {
	r.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// write writes files by path; an empty text takes one away, and one that begins with "-> " is a link.
func (r *repo) write(files map[string]string) {
	r.Helper()
	for path, text := range files {
		path = filepath.Join(r.dir, filepath.FromSlash(path))
		err := os.RemoveAll(path)
		if err == nil && text != "" {
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				if target, link := strings.CutPrefix(text, "-> "); link {
					err = os.Symlink(target, path)
				} else {
					err = os.WriteFile(path, []byte(text), 0o600)
				}
			}
		}
		if err != nil {
			r.Fatal(err)
		}
	}
}

// commit writes files and commits all there is.
func (r *repo) commit(files map[string]string) string {
	r.Helper()
	r.write(files)
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "x")
	return r.git("rev-parse", "HEAD")
}

// diff compares two revisions.
func (r *repo) diff(revisions string, args ...string) (code int, said string) {
	r.Helper()
	code, out, errs := command(r.T, append([]string{"diff", revisions, "--repo", r.dir, "--cache", filepath.Join(r.TempDir(), "cache")}, args...)...)
	return code, out + errs
}

const (
	appPath = "env/cluster01/app01/yml"
	appFile = "env/cluster01/argocd/yml/app01.yaml"
)

// app01 is the Application app01, which prunes, with more in its source.
func app01(path, source string) string {
	return "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: app01-cluster01, namespace: argocd}\nspec:\n" +
		"  project: app01-cluster01\n  destination: {server: https://kubernetes.default.svc, namespace: influx}\n" +
		"  source: {repoURL: https://git.example.org/infrastructure.git, path: " + path + source + "}\n" +
		"  syncPolicy: {automated: {prune: true}}\n"
}

func statefulSet(name string) string {
	return "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: " + name + ", namespace: influx}\n"
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: influx}\n"
}

// inFolder is app01 with a StatefulSet and a ConfigMap in its folder.
func inFolder() map[string]string {
	return map[string]string{appFile: app01(appPath, ""), appPath + "/etcd.yaml": statefulSet("etcd"), appPath + "/cm.yaml": configMap("conf")}
}

// parted is a branch that has Argo CD read two files alone, while main got a third.
func parted(t *testing.T) *repo {
	r := newRepo(t)
	r.commit(inFolder())
	r.git("checkout", "-q", "-b", "change")
	r.commit(map[string]string{appFile: app01(appPath, ", directory: {include: '{etcd,cm}.yaml'}")})
	r.git("checkout", "-q", "main")
	r.commit(map[string]string{appPath + "/newdb.yaml": statefulSet("newdb")})
	return r
}

func TestThreeDotsPlanWhatTheMergeDoes(t *testing.T) {
	r := parted(t)
	code, said := r.diff("main...change")
	if code != ExitFailed || !strings.Contains(said, "apps/StatefulSet influx/newdb") {
		t.Errorf("it ends with %d:\n%s", code, said)
	}
	if code, said := r.diff("main...change", "--merge-base"); code != ExitDone {
		t.Errorf("from where they parted it ends with %d:\n%s", code, said)
	}
	if at := r.git("status", "--porcelain") + r.git("rev-parse", "--abbrev-ref", "HEAD"); at != "main" {
		t.Errorf("the work tree is %q", at)
	}
}

func TestAConflictIsSaidWithWhatToDo(t *testing.T) {
	r := parted(t)
	r.commit(map[string]string{appFile: app01(appPath, ", directory: {exclude: 'x.yaml'}")})
	code, said := r.diff("main...change")
	for _, word := range []string{"main and change conflict in " + appFile, "merge main into change", "--merge-base"} {
		if code != ExitUnknown || !strings.Contains(said, word) {
			t.Errorf("it ends with %d and does not say %q:\n%s", code, word, said)
		}
	}
	if code, said := r.diff("main...change", "--merge-base"); code != ExitDone {
		t.Errorf("from where they parted it ends with %d:\n%s", code, said)
	}
}

func TestAGitThatCannotMergeIsSaid(t *testing.T) {
	r := parted(t)
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	old := "#!/bin/sh\nfor a; do [ \"$a\" = --write-tree ] && { echo 'usage: git merge-tree <base-tree> <branch1> <branch2>' >&2; exit 129; }; done\nexec " + real + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(old), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	code, said := r.diff("main...change")
	if code != ExitUnknown || !strings.Contains(said, "git 2.38 or newer") || !strings.Contains(said, "--merge-base") {
		t.Errorf("it ends with %d:\n%s", code, said)
	}
	r.git("checkout", "-q", "change")
	r.git("reset", "-q", "--hard", "main")
	r.commit(map[string]string{appPath + "/newdb.yaml": ""})
	if code, said := r.diff("main...change"); code != ExitFailed || !strings.Contains(said, "newdb") {
		t.Errorf("what needs no merge ends with %d:\n%s", code, said)
	}
}

func TestMergeBaseIsForThreeDots(t *testing.T) {
	r := parted(t)
	for _, revisions := range []string{"main..change", "main...", "main"} {
		if code, said := r.diff(revisions, "--merge-base"); code != ExitUsage {
			t.Errorf("%s ends with %d:\n%s", revisions, code, said)
		}
	}
}

func TestAPathThroughALinkIsFollowed(t *testing.T) {
	r := newRepo(t)
	r.commit(map[string]string{"guard.yaml": "conventions: []\n", appFile: app01("env/current/yml", ""), "env/current": "-> v1", "env/v1/yml/etcd.yaml": statefulSet("etcd"),
		"env/v1/yml/cm.yaml": configMap("conf"), "env/v2/yml/cm.yaml": configMap("conf")})
	if code, said := r.checked(); strings.Contains(said, "HG013") || strings.Contains(said, "HG014") && strings.Contains(said, "env/v1") {
		t.Errorf("check ends with %d:\n%s", code, said)
	}
	r.commit(map[string]string{"env/v1/yml/etcd.yaml": ""})
	if code, said := r.diff("HEAD~1..HEAD"); code != ExitFailed || !strings.Contains(said, "influx/etcd") {
		t.Errorf("a StatefulSet leaves, and it ends with %d:\n%s", code, said)
	}
	r.git("reset", "-q", "--hard", "HEAD~1")
	r.commit(map[string]string{"env/current": "-> v2"})
	if code, said := r.diff("HEAD~1..HEAD"); code != ExitFailed || !strings.Contains(said, "influx/etcd") || !strings.Contains(said, "HG102") {
		t.Errorf("the link leads elsewhere, and it ends with %d:\n%s", code, said)
	}
}

func TestWhatTheCheckoutOfArgoCDMakesIsNotAnalysed(t *testing.T) {
	other := newRepo(t)
	other.commit(map[string]string{"yml/etcd.yaml": statefulSet("etcd")})
	pointer := func(oid string) string {
		return "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat(oid, 64) + "\nsize 812\n"
	}
	submodule := func(path string) func(r *repo) {
		return func(r *repo) { r.git("submodule", "add", "-q", other.dir, path) }
	}
	for name, c := range map[string]struct {
		app    string
		before func(r *repo)
		change map[string]string
		say    string
	}{
		"the folder is in a submodule":     {app01("mod/yml", ""), submodule("mod"), nil, "mod is a submodule at the commit"},
		"a submodule is below the folder":  {app01(appPath, ", directory: {recurse: true}"), submodule(appPath + "/vendor"), nil, "vendor is a submodule at the commit"},
		"a submodule below is not entered": {app01(appPath, ""), submodule(appPath + "/vendor"), nil, ""},
		"a pointer of git LFS changes":     {app01(appPath, ""), func(r *repo) { r.write(map[string]string{appPath + "/db.yaml": pointer("4")}) }, map[string]string{appPath + "/db.yaml": pointer("5")}, "db.yaml: it is a pointer of git LFS"},
		"a pointer of git LFS goes":        {app01(appPath, ""), func(r *repo) { r.write(map[string]string{appPath + "/db.yaml": pointer("4")}) }, map[string]string{appPath + "/db.yaml": ""}, "db.yaml: it is a pointer of git LFS"},
		"a manifest gets another encoding": {app01(appPath, ""), func(*repo) {}, map[string]string{".gitattributes": "/env/**/etcd.yaml text working-tree-encoding=UTF-16LE\n"}, "etcd.yaml is checked out as UTF-16LE"},
		"names get another encoding":       {app01(appPath, ""), func(*repo) {}, map[string]string{"env/.gitattributes": "etcd.* working-tree-encoding=UTF-16LE\n"}, "etcd.yaml is checked out as UTF-16LE"},
		"other files get another encoding": {app01(appPath, ""), func(*repo) {}, map[string]string{".gitattributes": "docs/*.yaml working-tree-encoding=UTF-16LE\n*.yaml text eol=lf\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.write(inFolder())
			c.before(r)
			r.commit(map[string]string{appFile: c.app})
			r.commit(c.change)
			code, said := r.diff("HEAD~1..HEAD", "--full")
			if want := map[bool]int{true: ExitDone, false: ExitUnknown}[c.say == ""]; code != want || !strings.Contains(said, c.say) {
				t.Errorf("it ends with %d and does not say %q:\n%s", code, c.say, said)
			}
		})
	}
}
