package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	fixtures = "../rule/testdata/"
	db       = "env/cluster01/app01/yml/apps.v1.StatefulSet-app01.db.yaml"
)

// command runs one command line.
func command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(t.Context(), Options{In: strings.NewReader(""), Out: &o, Err: &e, Getenv: func(string) string { return "" }}, args)
	return code, o.String(), e.String()
}

// copied copies a fixture into a folder of the test.
func copied(t *testing.T, fixture string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.FromSlash(fixtures+fixture))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheckExitsByWhatItFound(t *testing.T) {
	chart := t.TempDir()
	text := "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: redis, namespace: argocd}\nspec:\n  destination: {server: https://kubernetes.default.svc, namespace: redis}\n  project: redis\n  source: {repoURL: https://charts.example.org, chart: redis, targetRevision: 1.0.0}\n  syncPolicy: {syncOptions: [FailOnSharedResource=true]}\n"
	if err := os.WriteFile(filepath.Join(chart, "argoproj.io.v1alpha1.Application-argocd.redis.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	misspelt := t.TempDir()
	if err := os.WriteFile(filepath.Join(misspelt, "guard.yaml"), []byte("clustres: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		code int
		args []string
	}{
		"clean":                    {0, []string{"check", fixtures + "HG001/pass"}},
		"an error":                 {1, []string{"check", fixtures + "HG001/fail"}},
		"a warning":                {0, []string{"check", fixtures + "HG014/fail"}},
		"a warning that fails":     {1, []string{"check", "--fail-on", "warning", fixtures + "HG014/fail"}},
		"not analysed":             {3, []string{"check", chart}},
		"not analysed and allowed": {0, []string{"check", "--allow-unanalysed", chart}},
		"no folder":                {3, []string{"check", filepath.Join(chart, "none")}},
		"no format":                {2, []string{"check", "-o", "yaml", chart}},
		"no severity":              {2, []string{"check", "--fail-on", "fatal", chart}},
		"fix of a revision":        {2, []string{"check", "--fix", "--revision", "main", chart}},
		"settings that are wrong":  {2, []string{"check", misspelt}},
		"no rule":                  {2, []string{"rules", "HG999"}},
		"a rule":                   {0, []string{"rules", "HG001"}},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, errs := command(t, c.args...); code != c.code {
				t.Errorf("the exit code is %d, want %d\n%s%s", code, c.code, out, errs)
			}
		})
	}
}

func TestCheckNamesTheLossInItsFirstLine(t *testing.T) {
	_, out, _ := command(t, "check", fixtures+"HG001/fail")
	if !strings.HasPrefix(out, "ERROR HG001: argocd/app01-cluster01 is defined twice; the last one, env/cluster01/argocd/yml/z.yaml:1, makes it read env/cluster01/app02/yml: everything of app01 ") {
		t.Errorf("it begins with %.300s", out)
	}
}

func TestCheckMendsAndChecksAgain(t *testing.T) {
	dir := copied(t, "HG040/pass")
	file := filepath.Join(dir, filepath.FromSlash(db))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(text), "Prune=false,Delete=false", "Prune=true", 1)
	if err := os.WriteFile(file, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := command(t, "check", dir); code != ExitFailed {
		t.Fatalf("the exit code is %d before", code)
	}
	code, out, errs := command(t, "check", "--fix", dir)
	if code != ExitDone || !strings.Contains(out, "mended: "+db+": HG040") {
		t.Errorf("the exit code is %d:\n%s%s", code, out, errs)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(text) {
		t.Errorf("the file is\n%s, %v", now, err)
	}
}

func TestCheckReadsARevisionAndWritesTheReportToAFile(t *testing.T) {
	dir := copied(t, "HG001/fail")
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "x"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	if err := os.Remove(filepath.Join(dir, "env/cluster01/argocd/yml/z.yaml")); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "report.json")
	code, out, errs := command(t, "check", "--revision", "main", "--cache", filepath.Join(t.TempDir(), "cache"), "-o", "json", "--to", to, dir)
	if code != ExitFailed || !strings.Contains(out, "ERROR HG001") {
		t.Fatalf("the exit code is %d:\n%s%s", code, out, errs)
	}
	text, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ Findings []struct{ Rule string } }
	if err := json.Unmarshal(text, &report); err != nil || report.Findings[0].Rule != "HG001" {
		t.Errorf("%v: %s", err, text)
	}
}
