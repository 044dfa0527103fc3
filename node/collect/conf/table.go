package conf

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/influxdata/toml"
	"github.com/influxdata/toml/ast"
)

// Table is one table of a configuration text with its sub-tables: `[node]`, one `[[remote]]`, one `[[inputs.ping]]`.
type Table struct {
	File string
	Line int // of the header
	// Path is what the header says, at most two keys: {"node"}, {"inputs", "ping"}.
	Path []string

	text []byte // the whole text with everything but this table blanked out
	env  Lookup
}

// ParseOptions say how a text is read.
type ParseOptions struct {
	// Env finds environment variables; nil finds none.
	Env Lookup
	// TextualEnv replaces references anywhere in the text before it is parsed, as Telegraf did by default until
	// version 1.37. A value can then add keys and tables.
	TextualEnv bool
}

// pluginTables are the tables whose members are tables of their own.
var pluginTables = []string{"inputs", "outputs", "processors", "aggregators", "secretstores", "plugins"}

// Parse splits a text into its tables, in the order written. file is the text's name in errors.
func Parse(file string, text []byte, o ParseOptions) ([]*Table, error) {
	if o.Env == nil {
		o.Env = func(string) (string, bool) { return "", false }
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, &Error{File: file, Err: errors.New("this is not a TOML text in UTF-8")}
	}
	text, err := substitute(file, text, o)
	if err != nil {
		return nil, err
	}
	statements := scan(text)
	tables, err := split(file, text, statements, o.Env)
	if err != nil {
		return nil, err
	}
	tree, err := toml.Parse(keep(text, statements))
	if err != nil {
		return nil, syntaxError(file, err)
	}
	if err := o.Env.expandTree(tree, 0); err != nil {
		return nil, at(file, 0, err)
	}
	return tables, nil
}

// syntaxError places an error of the TOML parser, whose line may be the one after the mistake.
func syntaxError(file string, err error) error {
	if le := new(toml.LineError); errors.As(err, &le) && le.Err.Error() == "invalid TOML syntax" {
		return &Error{File: file, Line: le.Line, Err: errors.New("invalid TOML syntax, here or just before")}
	}
	return at(file, 0, err)
}

// substitute replaces what must be replaced before the text is TOML.
func substitute(file string, text []byte, o ParseOptions) ([]byte, error) {
	statements := scan(text)
	if !o.TextualEnv {
		return o.Env.expandBare(file, text, statements)
	}
	expanded, err := o.Env.expand(string(keep(text, statements)))
	if err != nil {
		return nil, &Error{File: file, Err: err}
	}
	return []byte(strings.ReplaceAll(expanded, "$", "$$")), nil
}

func split(file string, text []byte, statements []statement, env Lookup) ([]*Table, error) {
	var tables []*Table
	members := map[*Table][]statement{}
	latest := map[string]*Table{}
	var current *Table
	for _, st := range statements {
		if st.crowded {
			return nil, &Error{File: file, Line: st.line, Err: errors.New("only a comment can follow a [table] on its line")}
		}
		if st.header {
			path := st.path[:min(len(st.path), tableDepth(st.path[0]))]
			name := strings.Join(path, "\x00")
			current = latest[name]
			if current == nil || len(st.path) == len(path) {
				current = &Table{File: file, Line: st.line, Path: slices.Clone(path), env: env}
				latest[name] = current
				tables = append(tables, current)
			}
		}
		if current == nil {
			return nil, &Error{File: file, Line: st.line, Err: fmt.Errorf("%q stands before the first table; put it under a [table]", st.key)}
		}
		members[current] = append(members[current], st)
	}
	for _, t := range tables {
		t.text = keep(text, members[t])
	}
	return tables, nil
}

func tableDepth(first string) int {
	if slices.Contains(pluginTables, first) {
		return 2
	}
	return 1
}

// Name returns the path with dots.
func (t *Table) Name() string { return strings.Join(t.Path, ".") }

// Text returns the table alone, at the lines it has in its file. References inside strings are not replaced.
func (t *Table) Text() []byte { return t.text }

// LineOf returns the line of the first value with the given key, or of the header when there is none.
func (t *Table) LineOf(key string) int {
	for _, st := range scan(t.text) {
		if !st.header && st.key == key {
			return st.line
		}
	}
	return t.Line
}

// Errorf returns an error at the line of the given key, or of the table when key is empty.
func (t *Table) Errorf(key, format string, args ...any) error {
	return &Error{File: t.File, Line: t.LineOf(key), Err: fmt.Errorf(format, args...)}
}

// Wrap places err in the table: at the line that err knows, with the key that stands there, or at the header's.
func (t *Table) Wrap(err error) error {
	le := new(toml.LineError)
	if known := new(Error); errors.As(err, &known) || !errors.As(err, &le) {
		return at(t.File, t.Line, err)
	}
	for _, st := range scan(t.text) {
		unknown := new(UnknownKeyError)
		if !st.header && st.line == le.Line && !errors.As(le.Err, &unknown) {
			return &Error{File: t.File, Line: le.Line, Err: fmt.Errorf("%s.%s: %w", t.Name(), st.key, le.Err)}
		}
	}
	return at(t.File, t.Line, err)
}

// NumbersToDurations turns a bare number given for one of the keys, which Telegraf would silently ignore, into the
// seconds that it means.
func (t *Table) NumbersToDurations(keys ...string) {
	var out []byte
	pos := 0
	for _, st := range scan(t.text) {
		if st.header || !slices.Contains(keys, st.key) {
			continue
		}
		value := string(bytes.TrimSpace(t.text[st.value:st.end]))
		if _, err := strconv.ParseFloat(value, 64); err == nil {
			out = append(out, t.text[pos:st.value]...)
			out = append(out, ` "`+value+`s"`...)
			pos = st.end
		}
	}
	t.text = append(out, t.text[pos:]...)
}

// ConvertReferences turns each string of the value at the given line that is only a reference to the environment,
// like "${PORT}", into the number or boolean that the variable holds. It tells whether it changed anything.
func (t *Table) ConvertReferences(line int) bool {
	changed := false
	out := make([]byte, 0, len(t.text))
	pos := 0
	for _, st := range scan(t.text) {
		if line < st.line || line > st.lastLine {
			continue
		}
		for _, ref := range st.refs {
			value, err := t.env.expand(string(bytes.Trim(t.text[ref.begin:ref.end], `"'`)))
			if err != nil {
				continue
			}
			if lit, ok := number(value); ok {
				out = append(out, t.text[pos:ref.begin]...)
				out = append(out, lit...)
				pos = ref.end
				changed = true
			}
		}
	}
	t.text = append(out, t.text[pos:]...)
	return changed
}

// unset tells of the table's references to variables that are not set. Such a reference is left as it is written, as Telegraf leaves it.
func (t *Table) unset() (warnings []string) {
	for _, st := range scan(t.text) {
		for _, text := range st.texts {
			_, _ = t.env.expandAnd(string(t.text[text.begin:text.end]), func(reference string) { // Parse has returned the error
				warnings = append(warnings, fmt.Sprintf("%s:%d: %s.%s names the variable %s, which is not set: it is taken as it is written ($$ stands for a $ that is meant)",
					t.File, st.line, t.Name(), st.key, strings.Trim(reference, "${}")))
			})
		}
	}
	return warnings
}

// tree parses the table and returns its node, references replaced.
func (t *Table) tree() (*ast.Table, error) {
	root, err := toml.Parse(t.text)
	if err != nil {
		return nil, err
	}
	if err := t.env.expandTree(root, t.Line); err != nil {
		return nil, err
	}
	for _, key := range t.Path {
		switch node := root.Fields[key].(type) {
		case *ast.Table:
			root = node
		case []*ast.Table:
			root = node[0]
		default:
			return nil, fmt.Errorf("%q is not a table", key)
		}
	}
	return root, nil
}
