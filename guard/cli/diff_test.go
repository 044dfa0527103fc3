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
