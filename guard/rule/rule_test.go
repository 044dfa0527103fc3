package rule_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
)

var update = flag.Bool("update", false, "write what is found, and the document of the rules, anew")

// TestEveryRuleHasAFixtureThatFailsAndOneThatPasses holds that each rule finds what testdata/ID/fail has, at the lines and columns that
// testdata/ID/want.txt says, and nothing in testdata/ID/pass, where no other rule finds an error either.
func TestEveryRuleHasAFixtureThatFailsAndOneThatPasses(t *testing.T) {
	for _, r := range rule.Catalogue() {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join("testdata", r.ID)
			fail := filepath.Join(dir, "fail")
			if r.ID == "HG007" { // no file system of any developer must have trouble with the fixture
				fail = t.TempDir()
				if err := os.CopyFS(fail, os.DirFS(filepath.Join(dir, "fail"))); err != nil {
					t.Fatal(err)
				}
				files{"env/cluster01/app01/yml/v1.service-app01.web.yaml": "# none\n"}.write(t, fail)
			}
			found := of(r.ID, checkFolder(t, fail))
			if len(found) == 0 {
				t.Errorf("it finds nothing in %s", dir)
			}
			compare(t, filepath.Join(dir, "want.txt"), strings.Join(found, "\n")+"\n")
			passes := checkFolder(t, filepath.Join(dir, "pass"))
			if found := of(r.ID, passes); len(found) > 0 {
				t.Errorf("it finds what is right:\n%s", strings.Join(found, "\n"))
			}
			if found := errorsOf(passes); len(found) > 0 {
				t.Errorf("the fixture that passes has errors:\n%s", strings.Join(found, "\n"))
			}
		})
	}
}

// of returns the findings of a rule, in the order of their places.
func of(id string, r rule.Result) []string {
	findings := append([]finding.Finding{}, r.Findings...)
	finding.Sort(findings)
	var found []string
	for _, f := range findings {
		if f.Rule == id {
			found = append(found, f.Severity.String()+" "+line(f))
		}
	}
	return found
}

// compare holds a text against a file.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", file, got, want)
	}
}
