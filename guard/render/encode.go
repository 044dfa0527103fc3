package render

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// encode writes an object as YAML. The keys are in the order of their bytes, lists at the column of their key, no line is folded, and
// texts of several lines are blocks where that can be read everywhere. The same object gives the same bytes, whatever the version of any
// library.
//
// What is a text stays one for readers of YAML 1.1 and of 1.2: words and numbers of either are in double quotes, and what begins with
// something that YAML knows is in single ones.
func encode(body map[string]any) ([]byte, error) {
	e := encoder{}
	if len(body) == 0 {
		return []byte("{}\n"), nil
	}
	if err := e.mapping(body, 0); err != nil {
		return nil, err
	}
	return e.out, nil
}

type encoder struct{ out []byte }

// maxKey is how long a key is written, in bytes: YAML knows no longer ones on one line.
const maxKey = 1000

// mapping writes entries at a column; that of the first is where the text ends.
func (e *encoder) mapping(m map[string]any, column int) error {
	for n, key := range slices.Sorted(maps.Keys(m)) {
		if n > 0 {
			e.indent(column)
		}
		from := len(e.out)
		if e.word(key); len(e.out)-from > maxKey {
			return fmt.Errorf("a key has more than %d bytes: %.60q", maxKey, key)
		}
		e.out = append(e.out, ':')
		if err := e.entry(m[key], column); err != nil {
			return err
		}
	}
	return nil
}

// entry writes the value of a key that is at a column.
func (e *encoder) entry(v any, column int) error {
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 {
			e.out = append(e.out, '\n')
			e.indent(column + 2)
			return e.mapping(v, column+2)
		}
	case []any:
		if len(v) > 0 {
			e.out = append(e.out, '\n')
			e.indent(column)
			return e.list(v, column)
		}
	}
	e.out = append(e.out, ' ')
	return e.scalar(v, column+2)
}

// list writes items at a column; that of the first is where the text ends.
func (e *encoder) list(items []any, column int) error {
	for n, v := range items {
		if n > 0 {
			e.indent(column)
		}
		e.out = append(e.out, "- "...)
		var err error
		switch v := v.(type) {
		case map[string]any:
			if len(v) > 0 {
				err = e.mapping(v, column+2)
				break
			}
			err = e.scalar(v, column+2)
		case []any:
			if len(v) > 0 {
				err = e.list(v, column+2)
				break
			}
			err = e.scalar(v, column+2)
		default:
			err = e.scalar(v, column+2)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) indent(column int) {
	for range column {
		e.out = append(e.out, ' ')
	}
}

// scalar writes what is on the rest of a line, or a block at a column, and the line's end.
func (e *encoder) scalar(v any, column int) error {
	switch v := v.(type) {
	case nil:
		e.out = append(e.out, "null"...)
	case bool:
		e.out = strconv.AppendBool(e.out, v)
	case int64:
		e.out = strconv.AppendInt(e.out, v, 10)
	case uint64:
		e.out = strconv.AppendUint(e.out, v, 10)
	case float64:
		e.out = strconv.AppendFloat(e.out, v, 'g', -1, 64)
	case map[string]any:
		e.out = append(e.out, "{}"...)
	case []any:
		e.out = append(e.out, "[]"...)
	case string:
		if isBlock(v) {
			e.block(v, column)
			return nil
		}
		e.word(v)
	default:
		return fmt.Errorf("%T is nothing that JSON has", v)
	}
	e.out = append(e.out, '\n')
	return nil
}

// isBlock says whether a text is written as a block: it has several lines, and no reader needs to be told how far the first is indented,
// nor does anything go lost that an editor takes away.
func isBlock(s string) bool {
	return strings.Contains(s, "\n") && !strings.ContainsRune(" \t\n", rune(s[0])) && !strings.Contains(s, " \n") && !strings.Contains(s, "\t\n") &&
		!strings.HasSuffix(s, " ") && !strings.HasSuffix(s, "\t") && strings.IndexFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && !printable(r) }) < 0
}

// block writes a text line by line.
func (e *encoder) block(s string, column int) {
	e.out = append(e.out, '|')
	switch {
	case !strings.HasSuffix(s, "\n"):
		e.out = append(e.out, '-')
		s += "\n"
	case strings.HasSuffix(s, "\n\n"):
		e.out = append(e.out, '+')
	}
	e.out = append(e.out, '\n')
	for line := range strings.Lines(s) {
		if line != "\n" {
			e.indent(column)
		}
		e.out = append(e.out, line...)
	}
}

// printable says whether a character can stand in YAML as it is, and cannot be mistaken for another: spaces beside the plain one are not.
func printable(r rune) bool { return unicode.IsPrint(r) && r != utf8.RuneError && r != '\ufeff' }

// word writes a text on one line.
func (e *encoder) word(s string) {
	switch {
	case strings.IndexFunc(s, func(r rune) bool { return !printable(r) }) >= 0:
		e.quoted(s)
	case s == "" || isOther(s):
		e.quoted(s)
	case isPlain(s):
		e.out = append(e.out, s...)
	default:
		e.out = append(e.out, '\'')
		e.out = append(e.out, strings.ReplaceAll(s, "'", "''")...)
		e.out = append(e.out, '\'')
	}
}

// words are no texts in YAML 1.1 or 1.2, in whatever case.
var words = map[string]bool{"null": true, "true": true, "false": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true,
	"~": true, "<<": true, "=": true, ".inf": true, "+.inf": true, "-.inf": true, ".nan": true}

// isOther says whether a reader might take a plain text for something else: a word that is known, a number, or a time. Rather too often than
// not often enough, but for versions and addresses, which are frequent.
func isOther(s string) bool {
	if len(s) <= 5 && words[strings.ToLower(s)] {
		return true
	}
	first := s[0]
	if first == '+' || first == '-' || first == '.' {
		return len(s) > 1 && (s[1] >= '0' && s[1] <= '9' || s[1] == '.' || s[1] == '_')
	}
	if first < '0' || first > '9' {
		return false
	}
	dots, others := 0, 0
	for _, r := range s {
		switch {
		case r == '.':
			dots++
		case r >= '0' && r <= '9':
		case strings.ContainsRune("abcdefABCDEFxXoOtTzZ_+-: ", r):
			others++
		default:
			return false // no number and no time has it
		}
	}
	return others > 0 || dots < 2
}

// isPlain says whether a text that is nothing else needs no quotes.
func isPlain(s string) bool {
	first := s[0]
	switch {
	case strings.IndexByte("!&*|>@`%#,[]{}\"'?: ", first) >= 0, s[len(s)-1] == ' ', s[len(s)-1] == ':':
		return false
	case first == '-' && (len(s) == 1 || s[1] == ' ' || strings.HasPrefix(s, "---")):
		return false
	}
	return !strings.Contains(s, ": ") && !strings.Contains(s, " #")
}

// quoted writes a text in double quotes.
func (e *encoder) quoted(s string) {
	e.out = append(e.out, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			e.out = append(e.out, '\\', byte(r))
		case r == '\n':
			e.out = append(e.out, `\n`...)
		case r == '\t':
			e.out = append(e.out, `\t`...)
		case r == '\r':
			e.out = append(e.out, `\r`...)
		case printable(r):
			e.out = utf8.AppendRune(e.out, r)
		case r < 0x100:
			e.out = fmt.Appendf(e.out, `\x%02X`, r)
		case r < 0x10000:
			e.out = fmt.Appendf(e.out, `\u%04X`, r)
		default:
			e.out = fmt.Appendf(e.out, `\U%08X`, r)
		}
	}
	e.out = append(e.out, '"')
}
