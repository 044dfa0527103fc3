package rule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// mend mends a folder and returns what it says.
func mend(t *testing.T, dir string) []string {
	t.Helper()
	s, err := settings.Read(filepath.Join(dir, settings.Name), true)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	i, err := inventory.Load(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := rule.Mend(i, checkFolder(t, dir).Findings)
	if err != nil {
		t.Fatal(err)
	}
	done, err := changes.Apply(dir)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// on returns the files of a folder.
func on(t *testing.T, dir string) files {
	t.Helper()
	f := make(files)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		f[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestMendedRepositoriesAreCleanAndNothingElseHasChanged takes a repository that is right, takes out of it what --fix puts back, and holds
// what --fix makes of it against the lines that are expected, to the byte.
func TestMendedRepositoriesAreCleanAndNothingElseHasChanged(t *testing.T) {
	const folder = "env/cluster01/app01/yml/"
	right := article(2, 1)
	sts := folder + "apps.v1.StatefulSet-app01-cluster01.app01-db.yaml"
	claim := folder + "v1.PersistentVolumeClaim-app01-cluster01.app01-shared.yaml"
	namespace := folder + "v1.Namespace-app01-cluster01.yaml"
	app := "env/cluster01/argocd/yml/argoproj.io.v1alpha1.Application-argocd.app01-cluster01.yaml"
	service, config := folder+"v1.Service-app01-cluster01.app01-db.yaml", folder+"v1.ConfigMap-app01-cluster01.app01-config.yaml"
	option := "    argocd.argoproj.io/sync-options: "
	for name, c := range map[string]struct{ before, after files }{
		"an annotation among others": {
			files{sts: strings.Replace(right[sts], option+"Prune=false,Delete=false\n", "    # why: see the page\n    team: 'db'   # of storage\n", 1)},
			files{sts: strings.Replace(right[sts], option+"Prune=false,Delete=false\n", "    # why: see the page\n"+option+"Prune=false,Delete=false\n    team: 'db'   # of storage\n", 1)}},
		"no annotations": {
			files{sts: strings.Replace(right[sts], protected, "  # the name\n", 1)},
			files{sts: strings.Replace(right[sts], protected, "  # the name\n"+protected, 1)}},
		"other options, misspelt by case and in quotes": {
			files{claim: strings.Replace(right[claim], "Prune=false,Delete=false", `"ServerSideApply=true, Prune=true"   # later`, 1)},
			files{claim: strings.Replace(right[claim], "Prune=false,Delete=false", `"ServerSideApply=true,Prune=false,Delete=false"   # later`, 1)}},
		"half a protection that asks": {
			files{namespace: strings.Replace(right[namespace], "Prune=false,Delete=false", "Prune=confirm", 1)},
			files{namespace: strings.Replace(right[namespace], "Prune=false,Delete=false", "Prune=confirm,Delete=false", 1)}},
		"flow style and line ends of Windows": {
			files{namespace: "apiVersion: v1 # core\r\nkind: Namespace\r\nmetadata: {name: app01-cluster01}\r\n"},
			files{namespace: "apiVersion: v1 # core\r\nkind: Namespace\r\nmetadata: {\"annotations\": {\"argocd.argoproj.io/sync-options\": \"Prune=false,Delete=false\"}, name: app01-cluster01}\r\n"}},
		"letters of more bytes than one before it": {
			files{namespace: "apiVersion: v1\nkind: Namespace\n\"metadata\": {labels: {\"größe\": \"ü\"}, annotations: {a: \"é\"}, name: app01-cluster01} # ß\n"},
			files{namespace: "apiVersion: v1\nkind: Namespace\n\"metadata\": {labels: {\"größe\": \"ü\"}, annotations: {\"argocd.argoproj.io/sync-options\": \"Prune=false,Delete=false\", a: \"é\"}, name: app01-cluster01} # ß\n"}},
		"the check for shared objects, and the Application's own protection": {
			files{app: strings.Replace(strings.Replace(right[app], "    - FailOnSharedResource=true\n", "", 1), option+"Prune=confirm\n", "    team: db\n", 1)},
			files{app: strings.Replace(strings.Replace(strings.Replace(right[app], "    - FailOnSharedResource=true\n", "", 1), "    - CreateNamespace", "    - FailOnSharedResource=true\n    - CreateNamespace", 1), option+"Prune=confirm\n", option+"Prune=confirm\n    team: db\n", 1)}},
		"no sync policy": {
			files{app: right[app][:strings.Index(right[app], "  syncPolicy:")]},
			files{app: strings.Replace(right[app][:strings.Index(right[app], "  syncPolicy:")], "spec:\n", "spec:\n  syncPolicy:\n    syncOptions:\n    - FailOnSharedResource=true\n", 1)}},
		"a file of many objects": {
			files{service: "", config: "", folder + "all.yaml": "# of app01\n---\n" + right[service] + "--- \n# the configuration\n" + right[config]},
			files{service: "# of app01\n" + right[service], config: "# the configuration\n" + right[config]}},
		"another name": {
			files{service: "", folder + "service.yaml": "# s\n" + right[service]},
			files{service: "# s\n" + right[service]}},
		"another name, and unprotected": {
			files{namespace: "", folder + "ns.yml": strings.Replace(right[namespace], protected, "", 1)},
			files{namespace: "", strings.TrimSuffix(namespace, ".yaml") + ".yml": right[namespace]}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			right.with(c.before).write(t, dir)
			if r := checkFolder(t, dir); len(r.Findings) == 0 {
				t.Fatal("there is nothing to mend")
			}
			done := mend(t, dir)
			if len(done) == 0 {
				t.Error("nothing is said to be mended")
			}
			want, got := right.with(c.after), on(t, dir)
			for _, path := range want.with(got).paths() {
				if got[path] != want[path] {
					t.Errorf("%s is\n%s\nwant\n%s", path, got[path], want[path])
				}
			}
			if r := checkFolder(t, dir); len(r.Findings) != 0 {
				t.Errorf("still found are\n%s", strings.Join(lines(r), "\n"))
			}
		})
	}
}

func TestWhatCannotBeMendedByteForByteIsLeftAsItIs(t *testing.T) {
	const folder = "env/cluster01/app01/yml/"
	right := article(1, 1)
	namespace := folder + "v1.Namespace-app01-cluster01.yaml"
	app := "env/cluster01/argocd/yml/argoproj.io.v1alpha1.Application-argocd.app01-cluster01.yaml"
	twice := strings.Replace(right[app], "  name: app01-cluster01", "  name: app01-cluster01 ", 1)
	for name, f := range map[string]files{
		"an anchor":              {namespace: "apiVersion: v1\nkind: Namespace\nmetadata: &m\n  name: app01-cluster01\n"},
		"a merge":                {namespace: "apiVersion: v1\nkind: Namespace\nx: &x {name: app01-cluster01}\nmetadata:\n  <<: *x\n"},
		"a folded text":          {namespace: "apiVersion: v1\nkind: Namespace\nmetadata:\n  annotations:\n    argocd.argoproj.io/sync-options: >-\n      Prune=false,\n      PruneLast=true\n  name: app01-cluster01\n"},
		"the incident in a file": {app: twice + "---\n" + right[app]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			all := right.with(f)
			all.write(t, dir)
			mend(t, dir)
			for path, text := range all {
				if got := on(t, dir)[path]; got != text {
					t.Errorf("%s became\n%s", path, got)
				}
			}
			if r := checkFolder(t, dir); len(r.Findings) == 0 {
				t.Error("what was not mended is no longer found")
			}
		})
	}
}

func TestAFileThatChangedSinceItWasReadIsNotOverwritten(t *testing.T) {
	right := article(1, 1)
	sts := "env/cluster01/app01/yml/apps.v1.StatefulSet-app01-cluster01.app01-db.yaml"
	dir := t.TempDir()
	right.with(files{sts: strings.Replace(right[sts], protected, "", 1)}).write(t, dir)
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	i, err := inventory.Load(t.Context(), folder, inventory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := rule.Mend(i, checkFolder(t, dir).Findings)
	if err != nil {
		t.Fatal(err)
	}
	files{sts: right[sts]}.write(t, dir)
	if _, err := changes.Apply(dir); err == nil || !strings.Contains(err.Error(), "has changed since it was read") {
		t.Errorf("applying gives %v", err)
	}
}
