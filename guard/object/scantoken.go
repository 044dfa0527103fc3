package object

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// token is a scalar on one line: where its text is, without quotes. It is small enough to stay in registers.
type token struct {
	span
	is style
}

// style is what a token is.
type style uint8

const (
	isKey     style = 1 << iota // a colon follows, and pos is behind it
	isEscaped                   // quotes or escapes are in the text
	isSingle                    // it is in single quotes
	isDouble                    // it is in double quotes
)

func (t token) key() bool     { return t.is&isKey != 0 }
func (t token) escaped() bool { return t.is&isEscaped != 0 }
func (t token) quoted() bool  { return t.is&(isSingle|isDouble) != 0 }

// at is where it begins, with its quote.
func (t token) at() int {
	if t.quoted() {
		return t.from - 1
	}
	return t.from
}

// maxKey is how long a key may be, in bytes. The parser takes no more than 1,024 characters up to the colon for one.
const maxKey = 1000

// token scans a scalar in block context.
func (s *scanner) token() token { return s.scalarToken(false) }

// noToken says that the document is odd.
func (s *scanner) noToken() token {
	s.give()
	return token{}
}

func (s *scanner) scalarToken(flow bool) token {
	if s.pos >= len(s.src) {
		return s.noToken()
	}
	if c := s.src[s.pos]; c == '"' || c == '\'' {
		return s.quoted(c)
	}
	return s.plain(flow)
}

// Classes of characters in plain scalars.
const (
	notFirst  = 1 << iota // no plain scalar that the scanner takes begins so
	stops                 // may end one
	stopsFlow             // ends one in a flow collection, or is more than it takes there
)

var plainClass = func() (t [256]byte) {
	for _, c := range []byte(" \t\n-?:,[]{}#&*!|>'\"%@`") {
		t[c] |= notFirst
	}
	for _, c := range []byte(":#\n\t") {
		t[c] |= stops | stopsFlow
	}
	for _, c := range []byte(",[]{}?") {
		t[c] |= stopsFlow
	}
	return t
}()

// plain scans a plain scalar.
func (s *scanner) plain(flow bool) token {
	src, from := s.src, s.pos
	if plainClass[src[from]]&notFirst != 0 && !s.minus(flow) {
		return s.noToken()
	}
	ends := uint8(stops)
	if flow {
		ends = stopsFlow
	}
	for p := from; ; p++ {
		for p < len(src) && plainClass[src[p]]&ends == 0 {
			p++
		}
		if p < len(src) {
			switch c := src[p]; {
			case c == '\t' || c == '?':
				return s.noToken()
			case c == '#' && src[p-1] != ' ':
				continue
			case c == ':' && p+1 < len(src) && src[p+1] != ' ' && src[p+1] != '\n':
				if flow && plainClass[src[p+1]]&stopsFlow != 0 {
					return s.noToken()
				}
				continue
			}
		}
		to := p
		for src[to-1] == ' ' {
			to--
		}
		if p == len(src) || src[p] != ':' {
			s.pos = to
			return token{span{from, to}, 0}
		}
		if to != p || to-from > maxKey {
			return s.noToken()
		}
		s.pos = p + 1
		return token{span{from, to}, isKey}
	}
}

// minus says whether a dash begins a plain scalar here.
func (s *scanner) minus(flow bool) bool {
	if s.src[s.pos] != '-' || s.pos+1 >= len(s.src) {
		return false
	}
	next := s.src[s.pos+1]
	return next != ' ' && next != '\n' && next != '\t' && !(flow && plainClass[next]&stopsFlow != 0)
}

// quoted scans a scalar in quotes.
func (s *scanner) quoted(quote byte) token {
	t := token{span{from: s.pos + 1}, isSingle}
	if quote == '"' {
		t.is = isDouble
	}
	p := t.from
	for ; p < len(s.src); p++ {
		c := s.src[p]
		switch {
		case c == '\n' || c == '\t':
			return s.noToken()
		case c == '\\' && quote == '"':
			n := escape(s.src[p:])
			if n == 0 {
				return s.noToken()
			}
			t.is |= isEscaped
			p += n - 1
			continue
		case c != quote:
			continue
		}
		if quote == '\'' && p+1 < len(s.src) && s.src[p+1] == quote {
			t.is |= isEscaped
			p++
			continue
		}
		break
	}
	if p >= len(s.src) {
		return s.noToken()
	}
	t.to, s.pos = p, p+1
	if s.pos < len(s.src) && s.src[s.pos] == ':' {
		if s.pos+1 < len(s.src) && s.src[s.pos+1] != ' ' && s.src[s.pos+1] != '\n' {
			return s.noToken()
		}
		t.is |= isKey
		s.pos++
	}
	if t.key() && t.to-t.from > maxKey {
		return s.noToken()
	}
	return t
}

// escape returns the length of an escape of those that JSON has too, 0 for others.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', 'n', 't', 'r', 'b', 'f':
		return 2
	case 'u':
		if len(text) < 6 {
			return 0
		}
		r, err := strconv.ParseUint(string(text[2:6]), 16, 16)
		if err != nil || r >= 0xd800 && r < 0xe000 {
			return 0
		}
		return 6
	}
	return 0
}

// unquoted returns the text of a scalar. It is part of the file's, if nothing in it was escaped.
func (s *scanner) unquoted(t token) []byte {
	text := s.src[t.from:t.to]
	switch {
	case !t.escaped():
		return text
	case t.is&isSingle != 0:
		return bytes.ReplaceAll(text, []byte("''"), []byte("'"))
	}
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			plain = append(plain, text[i])
			continue
		}
		i++
		switch c := text[i]; c {
		case 'n':
			plain = append(plain, '\n')
		case 't':
			plain = append(plain, '\t')
		case 'r':
			plain = append(plain, '\r')
		case 'b':
			plain = append(plain, '\b')
		case 'f':
			plain = append(plain, '\f')
		case 'u':
			r, _ := strconv.ParseUint(string(text[i+1:i+5]), 16, 16)
			plain = utf8.AppendRune(plain, rune(r))
			i += 4
		default:
			plain = append(plain, c)
		}
	}
	return plain
}

// isText says whether a scalar is a text, and no number, truth value or null.
func (s *scanner) isText(t token) bool {
	if t.quoted() || t.to == t.from {
		return t.quoted()
	}
	text := s.src[t.from:t.to]
	switch text[0] {
	case '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		_, ok := s.number(t).(string)
		return ok
	}
	return !isWord(text)
}

// isWord says whether a plain scalar is one of the words that stand for a truth value, null or a merge.
func isWord(text []byte) bool {
	switch string(text) {
	case "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "<<":
		return true
	}
	return false
}

// scalar returns the value of a scalar if values are asked for.
func (s *scanner) scalar(t token) any {
	if !t.quoted() && t.to-t.from == 2 && string(s.src[t.from:t.to]) == "<<" {
		s.give()
	}
	if !s.build || s.odd {
		return nil
	}
	text := s.src[t.from:t.to]
	if t.quoted() {
		return s.text(s.unquoted(t))
	}
	switch c := text[0]; {
	case c >= '0' && c <= '9', c == '+', c == '-', c == '.':
		return s.number(t)
	case !isWord(text):
		return s.text(text)
	case c == 't' || c == 'T':
		return true
	case c == 'f' || c == 'F':
		return false
	}
	return nil
}

// number returns the value of a plain scalar that may be a number, as the YAML parser has it.
func (s *scanner) number(t token) any {
	text := s.src[t.from:t.to]
	if len(text) <= 15 && text[0] != '0' && isDigits(text) {
		n := 0
		for _, c := range text {
			n = 10*n + int(c-'0')
		}
		return float64(n)
	}
	n := yaml.Node{Kind: yaml.ScalarNode, Value: string(text)}
	n.Tag = n.ShortTag()
	v, err := new(document).scalar(&n)
	if err != nil {
		s.give()
	}
	return v
}

func isDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// field writes the way to a key.
func (s *scanner) field(key span) string {
	way := make([]string, 0, len(s.way)+1)
	for _, step := range s.way {
		if step.key == (span{}) {
			way = append(way, fmt.Sprintf("[%d]", step.index))
		} else {
			way = append(way, string(s.src[step.key.from:step.key.to]))
		}
	}
	return Field(append(way, string(s.src[key.from:key.to])))
}

// blockStyle is how a block scalar is written.
type blockStyle struct {
	folded bool
	chomp  byte // '-' drops the last line feeds, '+' keeps all of them, 0 keeps one
	indent int
}

// value returns the text of a block scalar whose lines are given.
func (b blockStyle) value(text []byte) string {
	var out []byte
	breaks := 0                 // empty lines since the last that was not
	first, ended := true, false // ended: the last line has a line feed
	more := false               // the last line began with a blank
	for len(text) > 0 {
		line, rest, hasBreak := bytes.Cut(text, []byte("\n"))
		text = rest
		n := 0
		for n < len(line) && n < b.indent && line[n] == ' ' {
			n++
		}
		line = line[n:]
		if len(line) == 0 {
			if hasBreak {
				breaks++
			}
			continue
		}
		blank := line[0] == ' ' || line[0] == '\t'
		switch {
		case first:
		case b.folded && !more && !blank && ended:
			if breaks == 0 {
				out = append(out, ' ')
			}
		default:
			out = append(out, '\n')
		}
		for ; breaks > 0; breaks-- {
			out = append(out, '\n')
		}
		out = append(out, line...)
		first, ended, more = false, hasBreak, blank
	}
	if b.chomp != '-' && ended {
		out = append(out, '\n')
	}
	if b.chomp == '+' {
		for ; breaks > 0; breaks-- {
			out = append(out, '\n')
		}
	}
	return string(out)
}
