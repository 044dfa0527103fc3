package agent

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/influxdata/toml"
	"github.com/influxdata/toml/ast"
)

// Syntax is the built-in check of one file: whether it is TOML as the agent reads it, and whether every table at the top is one that an
// agent knows. It returns what the file has, or a *Refusal. Values and plugins are not looked at.
func Syntax(f File) (Tables, error) {
	tree, err := parse(f)
	if err != nil {
		return Tables{}, err
	}
	tables, p := tablesOf(tree)
	if p != nil {
		return Tables{}, &Refusal{File: f.Name, Line: p.line, Message: p.message}
	}
	return tables, nil
}

// parse reads a text as the agent does: it refuses what does not look like text, drops the byte order mark, takes out comments by its
// own rules, and parses TOML 0.4.
func parse(f File) (tree *ast.Table, err error) {
	refuse := func(line int, format string, args ...any) (*ast.Table, error) {
		return nil, &Refusal{File: f.Name, Line: line, Message: fmt.Sprintf(format, args...)}
	}
	if len(f.Text) > MaxText {
		return refuse(0, "the text has %d bytes; at most %d are allowed", len(f.Text), MaxText)
	}
	if kind := http.DetectContentType(f.Text); !strings.HasPrefix(kind, "text/plain") {
		return refuse(0, "this is not text but %s", kind)
	}
	text := bytes.TrimPrefix(f.Text, []byte("\xef\xbb\xbf"))
	// The parser counts \r\n as two lines, which would make every line number of a Windows file wrong.
	text = withoutComments(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	if p := checkNesting(text); p != nil {
		return refuse(p.line, "%s", p.message)
	}
	if len(bytes.Trim(text, " \t\n")) == 0 {
		return &ast.Table{}, nil // the parser takes 400 kB to find that out, and most pods bring no inputs
	}
	defer func() {
		// The parser panics on some texts that it should refuse, and the texts are not the operator's.
		if caught := recover(); caught != nil {
			tree, err = refuse(0, "the text cannot be parsed as TOML")
		}
	}()
	tree, err = toml.Parse(text)
	var at *toml.LineError
	switch {
	case err == nil:
		return tree, nil
	case !errors.As(err, &at):
		return refuse(0, "%v", err)
	case at.Err.Error() != "invalid TOML syntax":
		return refuse(at.Line, "%v", at.Err)
	}
	line := failingLine(text, at.Line)
	if bareVariable(text, line) {
		return refuse(line, "%v: a $VARIABLE must stand within quotes", at.Err)
	}
	return refuse(line, "%v", at.Err)
}

// failingLine corrects the line of a text that does not follow the grammar. The parser counts the line end that it stopped at, and so
// names the line after the one at fault when that is right up to its end; it does not where the line end begins with \r.
func failingLine(text []byte, line int) int {
	var at *toml.LineError
	if _, err := toml.Parse(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))); errors.As(err, &at) {
		return at.Line
	}
	return line
}

var variable = regexp.MustCompile(`\$(?:\$|\{?([A-Za-z_][A-Za-z0-9_]*))`)

// Variables are the names of the environment variables that the text, other than its comments, speaks of: each once, in the order of
// the text.
func Variables(text []byte) []string {
	var names []string
	seen := map[string]bool{}
	for _, m := range variable.FindAllSubmatch(withoutComments(text), -1) {
		if name := string(m[1]); name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

var bare = regexp.MustCompile(`=\s*\$`)

// bareVariable is whether a value in the line is a variable without quotes, which is not TOML.
func bareVariable(text []byte, line int) bool {
	lines := bytes.Split(text, []byte("\n"))
	return line >= 1 && line <= len(lines) && bare.Match(lines[line-1])
}
