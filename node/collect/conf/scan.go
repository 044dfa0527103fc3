package conf

import "bytes"

// statement is one line-level item of TOML: a table header or a key with its value, without the comment after it.
type statement struct {
	begin, end int // bytes of the text
	line       int // of begin, from 1
	lastLine   int // of end

	header  bool
	array   bool     // the header is [[path]]
	path    []string // of a header
	crowded bool     // something else stands behind the header on its line

	key   string // of a key and value, without quotes
	value int    // where the value begins

	bare  []span // references to the environment outside of strings
	texts []span // strings of the value, quotes included
	refs  []span // strings, quotes included, that consist of one reference
}

type span struct{ begin, end int }

// scanner cuts TOML text into statements. It is lenient: what it cannot make sense of becomes part of a statement, for
// the TOML parser to complain about.
type scanner struct {
	text []byte
	pos  int
	line int
}

func scan(text []byte) []statement {
	s := &scanner{text: text, line: 1}
	var all []statement
	for {
		s.skipBlank()
		if s.pos >= len(s.text) {
			return all
		}
		st := statement{begin: s.pos, line: s.line}
		if s.text[s.pos] == '[' {
			s.scanHeader(&st)
		} else {
			s.scanKeyValue(&st)
		}
		st.lastLine = s.line
		all = append(all, st)
	}
}

// skipBlank skips white space, line ends and whole-line comments.
func (s *scanner) skipBlank() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '\n':
			s.line++
			s.pos++
		case ' ', '\t', '\r':
			s.pos++
		case '#':
			s.skipComment()
		default:
			return
		}
	}
}

func (s *scanner) skipComment() {
	if i := bytes.IndexByte(s.text[s.pos:], '\n'); i >= 0 {
		s.pos += i
		return
	}
	s.pos = len(s.text)
}

func (s *scanner) scanHeader(st *statement) {
	st.header = true
	s.pos++
	if s.pos < len(s.text) && s.text[s.pos] == '[' {
		st.array = true
		s.pos++
	}
	var part []byte
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case ' ', '\t':
			s.pos++
		case '"', '\'':
			from := s.pos
			s.skipString()
			part = append(part, bytes.Trim(s.text[from:s.pos], string(c))...)
		case '.':
			st.path = append(st.path, string(part))
			part = part[:0]
			s.pos++
		case ']':
			st.path = append(st.path, string(part))
			s.pos++
			if st.array && s.pos < len(s.text) && s.text[s.pos] == ']' {
				s.pos++
			}
			st.end = s.pos
			s.skipToLineEnd(st)
			return
		case '\n':
			st.path = append(st.path, string(part))
			st.end = s.pos
			return
		default:
			part = append(part, c)
			s.pos++
		}
	}
	st.path = append(st.path, string(part))
	st.end = s.pos
}

// skipToLineEnd skips what follows a header on its line, which can only be a comment.
func (s *scanner) skipToLineEnd(st *statement) {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		switch s.text[s.pos] {
		case '#':
			s.skipComment()
			return
		case ' ', '\t', '\r':
			s.pos++
		default:
			st.crowded = true
			s.pos++
		}
	}
}

func (s *scanner) scanKeyValue(st *statement) {
	depth := 0
	value := false
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case '\n':
			if depth <= 0 {
				return
			}
			s.line++
			s.pos++
		case ' ', '\t', '\r':
			s.pos++
		case '#':
			s.skipComment()
		case '"', '\'':
			from := s.pos
			quotes := s.skipString()
			st.end = s.pos
			if value {
				st.texts = append(st.texts, span{from, s.pos})
			}
			if value && s.pos-from >= 2*quotes && isReference(s.text[from+quotes:s.pos-quotes]) {
				st.refs = append(st.refs, span{from, s.pos})
			}
		case '$':
			from := s.pos
			s.skipReference()
			st.end = s.pos
			st.bare = append(st.bare, span{from, s.pos})
		default:
			switch c {
			case '=':
				if !value {
					value = true
					st.value = s.pos + 1
					st.key = string(bytes.Trim(bytes.TrimSpace(s.text[st.begin:s.pos]), `"'`))
				}
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			}
			s.pos++
			st.end = s.pos
		}
	}
}

// skipString moves behind the string that starts here and returns how many quotes delimit it. A one-line string that
// is not closed ends with its line.
func (s *scanner) skipString() int {
	quote := s.text[s.pos]
	triple := bytes.Repeat([]byte{quote}, 3)
	if bytes.HasPrefix(s.text[s.pos:], triple) {
		s.pos += 3
		for s.pos < len(s.text) && !bytes.HasPrefix(s.text[s.pos:], triple) {
			if s.text[s.pos] == '\n' {
				s.line++
			}
			s.skipCharacter(quote)
		}
		s.pos = min(s.pos+3, len(s.text))
		return 3
	}
	s.pos++
	for s.pos < len(s.text) && s.text[s.pos] != quote && s.text[s.pos] != '\n' {
		s.skipCharacter(quote)
	}
	if s.pos < len(s.text) && s.text[s.pos] == quote {
		s.pos++
	}
	return 1
}

// skipCharacter skips one character of a string, or two where the first escapes the second.
func (s *scanner) skipCharacter(quote byte) {
	if quote == '"' && s.text[s.pos] == '\\' && s.pos+1 < len(s.text) && s.text[s.pos+1] != '\n' {
		s.pos++
	}
	s.pos++
}

// skipReference moves behind `$NAME` or `${…}`; braces nest, because defaults do.
func (s *scanner) skipReference() {
	s.pos++
	if s.pos < len(s.text) && s.text[s.pos] == '{' {
		for depth := 0; s.pos < len(s.text) && s.text[s.pos] != '\n'; s.pos++ {
			switch s.text[s.pos] {
			case '{':
				depth++
			case '}':
				if depth--; depth == 0 {
					s.pos++
					return
				}
			}
		}
		return
	}
	for s.pos < len(s.text) && isName(s.text[s.pos]) {
		s.pos++
	}
}

func isName(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// isReference tells whether the content of a string is one reference and nothing else.
func isReference(content []byte) bool {
	if len(content) < 2 || content[0] != '$' || content[1] == '$' {
		return false
	}
	s := &scanner{text: content}
	s.skipReference()
	return s.pos == len(content)
}

// keep returns text with everything but the statements blanked out: the line ends stay.
func keep(text []byte, statements []statement) []byte {
	out := make([]byte, 0, len(text))
	pos := 0
	for _, st := range statements {
		out = appendLineEnds(out, text[pos:st.begin])
		out = append(out, text[st.begin:st.end]...)
		pos = st.end
	}
	return append(appendLineEnds(out, text[pos:]), '\n')
}

func appendLineEnds(dst, skipped []byte) []byte {
	for range bytes.Count(skipped, []byte{'\n'}) {
		dst = append(dst, '\n')
	}
	return dst
}
