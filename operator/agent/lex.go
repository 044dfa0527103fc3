package agent

import (
	"bytes"
	"fmt"
)

// withoutComments takes the comments out of a text as the agent does before it parses (removeComments in Telegraf's config/envvar.go):
// a quote also opens a string where TOML would not allow one, strings of one line end with their line, and a backslash outside of
// strings escapes what follows. Line ends stay, and with them the numbers of lines.
func withoutComments(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		end := i + 1
		switch c := text[i]; c {
		case '#':
			i = lineEnd(text, i)
			continue
		case '\\':
			end = min(i+2, len(text))
		case '\'', '"':
			end = stringEnd(text, i, c)
		}
		out = append(out, text[i:end]...)
		i = end
	}
	return out
}

func lineEnd(text []byte, i int) int {
	if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(text)
}

// stringEnd is where the string that begins at i ends, after its closing quotes. Backslashes escape in double quotes only.
func stringEnd(text []byte, i int, quote byte) int {
	triple := []byte{quote, quote, quote}
	long := bytes.HasPrefix(text[i:], triple)
	if long {
		i += 3
	} else {
		i++
	}
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quote == '"':
			i++
		case long && c == quote && bytes.HasPrefix(text[i:], triple):
			return i + 3
		case !long && (c == quote || c == '\n'):
			return i + 1
		}
	}
	return len(text)
}

// maxNesting is how deep arrays and inline tables may stand in one another.
const maxNesting = 64

// checkNesting guards the parser, which calls itself for every array within an array: a text of a million brackets would overflow its
// stack, and that ends the process. It must see as strings exactly what the parser sees as strings, so that no bracket escapes it;
// where it sees that the parser must fail, it stops, except for long strings, which the parser would read again as short ones.
func checkNesting(text []byte) *problem {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '[', '{':
			if depth++; depth > maxNesting {
				return &problem{lineAt(text, i), fmt.Sprintf("arrays and tables are nested more than %d deep, or brackets are not closed", maxNesting)}
			}
		case ']', '}':
			depth = max(0, depth-1)
		case '#':
			i = lineEnd(text, i)
		case '\'', '"':
			end, ok := tomlString(text, i, c)
			if !ok && bytes.HasPrefix(text[i:], []byte{c, c, c}) {
				return &problem{lineAt(text, i), "the string that begins with three quotes is not closed, or has an unescaped quote, a tab or an unknown escape in it"}
			}
			if !ok {
				return nil
			}
			i = end - 1
		}
	}
	return nil
}

// tomlString is the end of the string at i by the parser's grammar, or false where the grammar has no string.
func tomlString(text []byte, i int, quote byte) (int, bool) {
	triple := []byte{quote, quote, quote}
	long := bytes.HasPrefix(text[i:], triple)
	if long {
		i += 3
	} else {
		i++
	}
	for ; i < len(text); i++ {
		c := text[i]
		newline := c == '\n' || c == '\r'
		switch {
		case c == quote && long:
			if bytes.HasPrefix(text[i:], triple) {
				return i + 3, true
			}
			if quote == '"' {
				return 0, false
			}
		case c == quote:
			return i + 1, true
		case newline && !long, c < ' ' && !newline && (c != '\t' || quote == '"'):
			return 0, false
		case c == '\\' && quote == '"':
			i++
			if i == len(text) || !escapable(text[i], long) {
				return 0, false
			}
		}
	}
	return 0, false
}

func escapable(c byte, long bool) bool {
	return bytes.IndexByte([]byte(`btnfr"/\uU`), c) >= 0 || long && (c == '\n' || c == '\r')
}

func lineAt(text []byte, i int) int { return 1 + bytes.Count(text[:i], []byte("\n")) }
