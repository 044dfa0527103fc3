package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
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
	repo := t.TempDir()
	repository{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: a}\n"}.commit(t, repo)
	unreachable := kubeconfig(t)
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
		"not a limit":              {2, []string{"diff", "HEAD..", "--max-deleted", "-1"}},
		"not a percentage":         {2, []string{"diff", "HEAD..", "--max-deleted-percent", "200"}},
		"no plan to apply":         {3, []string{"recover", "apply", "--yes", filepath.Join(chart, "none")}},
		"no plan to verify":        {3, []string{"recover", "verify", filepath.Join(chart, "none")}},
		"no plan to print":         {3, []string{"recover", "runbook", filepath.Join(chart, "none")}},
		"no manifests":             {2, []string{"recover", "plan"}},
		"manifests in two places":  {2, []string{"recover", "plan", "--manifests", chart, "--revision", "main"}},
		"no policy":                {2, []string{"recover", "plan", "--manifests", chart, "--policy", filepath.Join(misspelt, "guard.yaml")}},
		"no recipient":             {2, []string{"snapshot", t.TempDir(), "--include-secret-values", "--recipient", "age1x"}},
		"no cluster to ask":        {3, []string{"snapshot", t.TempDir(), "--kubeconfig", unreachable}},
		"no passphrase to read":    {3, []string{"snapshot", "secrets", t.TempDir(), "--passphrase-file", filepath.Join(chart, "none")}},
		"no place for the plan":    {3, []string{"diff", "HEAD..HEAD", "--repo", repo, "--to", filepath.Join(chart, "none", "plan.html"), "--cache", t.TempDir()}},
		"no source for an option":  {2, []string{"render", filepath.Join(repo, "a.yaml"), "--repo", repo, "-o", filepath.Join(repo, "out"), "--set", "a=b"}},
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

// kubeconfig makes one of a cluster that is not there: nobody listens any more where it says.
func kubeconfig(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: 'http://%s'}}]\n"+
		"contexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {}}]\n", l.Addr())
	if err := errors.Join(l.Close(), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWithoutAKubeconfigTheErrorSaysHowToGiveOne(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	for _, args := range [][]string{{"protect", "audit"}, {"snapshot", t.TempDir()}, {"recover", "plan", "--manifests", "../rule/testdata/HG001/pass"}} {
		code, _, errs := command(t, args...)
		if code != ExitUnknown || errs != "Error: finding the API server: there is no kubeconfig: give one by --kubeconfig, or set KUBECONFIG\n" {
			t.Errorf("%q ends with %d: %s", args, code, errs)
		}
	}
}

// TestTheClientOfClustersLogsNothing holds that what is printed is the command's own.
func TestTheClientOfClustersLogsNothing(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = was }()
	code, _, errs := command(t, "recover", "plan", "--manifests", "../rule/testdata/HG001/pass", "--kubeconfig", kubeconfig(t))
	text, err := os.ReadFile(file.Name())
	if code != ExitUnknown || len(text) > 0 || err != nil || strings.Count(errs, "\n") > 1 {
		t.Errorf("it ends with %d: %s%s, %v", code, text, errs, err)
	}
}

func TestMistakesAreAnsweredByWhatThereIs(t *testing.T) {
	for want, args := range map[string][]string{
		"Error: -o \"xml\" is not understood: it is github, gitlab, json, junit, sarif or text\nRun 'holdfast-guard check --help' for usage.\n": {"check", "-o", "xml"},
		"Error: --fail-on \"loud\" is not understood: it is error, warning or info\nRun 'holdfast-guard check --help' for usage.\n":             {"check", "--fail-on", "loud"},
		"Error: -o \"nope\" is not understood: it is text, json, markdown or html\nRun 'holdfast-guard diff --help' for usage.\n":               {"diff", "a..b", "-o", "nope"},
		"Error: " + os.TempDir() + " is in no git repository: give the folder of one by --repo\n":                                               {"diff", "main...HEAD", "--repo", os.TempDir()},
	} {
		if _, _, errs := command(t, args...); errs != want {
			t.Errorf("%q says %s", args, errs)
		}
	}
	for _, id := range []string{"HG001", "HG040", "HG101"} {
		if _, out, _ := command(t, "rules", id); strings.ContainsAny(out, "#<*") || !strings.Contains(out, "\nWhy: ") {
			t.Errorf("rules %s says %s", id, out)
		}
	}
	if _, out, _ := command(t, "--help"); !strings.Contains(out, "Exit codes: ") {
		t.Errorf("the help of all has no exit codes: %s", out)
	}
}
