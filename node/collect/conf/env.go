package conf

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/template"
	"github.com/influxdata/toml"
	"github.com/influxdata/toml/ast"
)

// Lookup finds an environment variable; os.LookupEnv is one.
type Lookup func(name string) (value string, set bool)

// expand replaces `$NAME`, `${NAME}`, `${NAME:-default}` and their kin in s, as Telegraf does in the strict mode: what is
// not set, or is no valid reference, stays as written, and `$$` is a `$`.
func (l Lookup) expand(s string) (string, error) { return l.expandAnd(s, func(string) {}) }

// expandAnd is expand that tells of each reference to a variable that is not set.
func (l Lookup) expandAnd(s string, unset func(reference string)) (string, error) {
	if !strings.Contains(s, "$") {
		return s, nil
	}
	keepUnknown := func(text string, m template.Mapping, cfg *template.Config) (string, error) {
		value, applied, err := template.DefaultReplacementAppliedFunc(text, m, cfg)
		switch {
		case err != nil && strings.HasPrefix(err.Error(), "Invalid template:"):
			return text, nil
		case err == nil && !applied:
			unset(text)
			return text, nil
		}
		return value, err
	}
	return template.SubstituteWithOptions(s, template.Mapping(l), template.WithReplacementFunction(keepUnknown), template.WithoutLogging)
}

// expandBare replaces the references that stand outside of strings by TOML values: a number, a boolean, an array or a string
// of the environment keeps its type, anything else becomes a string. None can hold a line end, so none can add a key.
func (l Lookup) expandBare(file string, text []byte, statements []statement) ([]byte, error) {
	out := make([]byte, 0, len(text))
	pos := 0
	for _, st := range statements {
		for _, ref := range st.bare {
			name := string(text[ref.begin:ref.end])
			value, err := l.expand(name)
			if err != nil {
				return nil, &Error{File: file, Line: st.line, Err: err}
			}
			if value == name {
				return nil, &Error{File: file, Line: st.line, Err: fmt.Errorf("environment variable %s is not set", name)}
			}
			out = append(out, text[pos:ref.begin]...)
			out = append(out, literal(value)...)
			pos = ref.end
		}
	}
	return append(out, text[pos:]...), nil
}

// literal writes an environment value as one TOML value on one line. Its `$` are doubled, so that it is not expanded again.
func literal(value string) string {
	if typed, ok := typedLiteral(value); ok {
		return typed
	}
	return strings.ReplaceAll(quote(value), "$", "$$")
}

// typedLiteral returns value when it is a TOML value already, of a kind that an option can have.
func typedLiteral(value string) (string, bool) {
	value = strings.TrimSpace(value)
	if value == "" || strings.ContainsAny(value, "\r\n#") {
		return "", false
	}
	table, err := toml.Parse([]byte("x = " + value + "\n"))
	if err != nil || len(table.Fields) != 1 {
		return "", false
	}
	kv, ok := table.Fields["x"].(*ast.KeyValue)
	if !ok {
		return "", false
	}
	switch kv.Value.(type) {
	case *ast.Integer, *ast.Float, *ast.Boolean, *ast.Array, *ast.String:
		return strings.ReplaceAll(value, "$", "$$"), true
	}
	return "", false
}

// quote returns s as a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// number returns the integer, float or boolean that s spells, as TOML writes it.
func number(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return s, true
	}
	if s == "true" || s == "false" {
		return s, true
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil && strings.IndexFunc(s, notOfNumber) < 0 {
		return s, true
	}
	return "", false
}

func notOfNumber(r rune) bool { return !strings.ContainsRune("0123456789+-.eE", r) }

// expandTree replaces the references in every string below node. The error names the line of the value.
func (l Lookup) expandTree(node any, line int) error {
	switch n := node.(type) {
	case *ast.Table:
		for _, field := range n.Fields {
			if err := l.expandTree(field, n.Line); err != nil {
				return err
			}
		}
	case []*ast.Table:
		for _, table := range n {
			if err := l.expandTree(table, table.Line); err != nil {
				return err
			}
		}
	case *ast.KeyValue:
		return l.expandTree(n.Value, n.Line)
	case *ast.Array:
		for _, value := range n.Value {
			if err := l.expandTree(value, line); err != nil {
				return err
			}
		}
	case *ast.String:
		value, err := l.expand(n.Value)
		if err != nil {
			return &toml.LineError{Line: line, Err: err}
		}
		n.Value = value
	}
	return nil
}
