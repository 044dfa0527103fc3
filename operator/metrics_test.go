package operator

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`^holdfast_operator_[a-z_]+[a-z]$`)

// TestEveryMetricIsDocumentedAndEveryDocumentedMetricIsThere compares the names in the code, where each is written out, with the table.
func TestEveryMetricIsDocumentedAndEveryDocumentedMetricIsThere(t *testing.T) {
	var registered []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING && metricName.MatchString(strings.Trim(l.Value, `"`)) {
				registered = append(registered, strings.Trim(l.Value, `"`))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/operator/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(holdfast_operator_[a-z_]+)").FindAllSubmatch(page, -1) {
		documented = append(documented, string(row[1]))
	}
	slices.Sort(registered)
	slices.Sort(documented)
	if len(registered) < 10 || !slices.Equal(registered, documented) {
		t.Errorf("in the code are\n%s\nand in the table\n%s", strings.Join(registered, "\n"), strings.Join(documented, "\n"))
	}
}
