package trust_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testsIn are the names of the test functions and fuzzers below folders.
func testsIn(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, folder := range folders {
		if err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name != "TestMain" {
					found[f.Name.Name] = true
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestEachThreatHasATestThatIsThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "trust", "threats.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := testsIn(t, ".", filepath.Join("..", "e2e", "trust"))
	name := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`")
	rows := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| threat |") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			t.Errorf("%d cells: %s", len(cells), line)
			continue
		}
		named := name.FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 {
			t.Errorf("no test shows: %s", cells[0])
		}
		for _, m := range named {
			if !there[m[1]] {
				t.Errorf("there is no %s, which is to show: %s", m[1], cells[0])
			}
		}
	}
	if rows < 20 {
		t.Errorf("there are %d threats: the table is not read", rows)
	}
}
