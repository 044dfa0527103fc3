package object

import (
	"bytes"
	"unicode/utf8"
)

// mapping scans a block mapping whose keys stand in a column and whose first one was read.
func (s *scanner) mapping(col int, t token, r role) map[string]any {
	s.enter()
	defer s.leave()
	var m map[string]any
	if s.build {
		m = make(map[string]any)
	}
	if r == roleMetadata {
		s.metadata = true
	}
	seen := keysSeen{base: len(s.keys)}
	for !s.odd {
		s.key(&seen, t, r)
		v := s.entry(col, t, r)
		if m != nil && !s.odd {
			m[s.text(s.src[t.from:t.to])] = v
		}
		if s.col < col {
			break
		}
		if s.col > col {
			s.give()
			break
		}
		if t = s.token(); !t.key() {
			s.give()
		}
	}
	s.keys = s.keys[:seen.base]
	return m
}

// entry scans the value of a key of a block mapping.
func (s *scanner) entry(col int, t token, r role) (v any) {
	s.count()
	text, below := s.wanted(t, r)
	s.way = append(s.way, step{key: t.span})
	switch {
	case text != nil:
		v = s.identityText(text)
	case !s.spaces():
		v = s.inline(col, below)
	default:
		s.endLine()
		switch {
		case s.col > col:
			v = s.block(below)
		case s.col == col && s.dash():
			v = s.sequence(col, true)
		}
	}
	s.way = s.way[:len(s.way)-1]
	return v
}

// identityText scans a scalar on its key's line that must be a text, and notes it.
func (s *scanner) identityText(to *[]byte) any {
	if s.spaces() {
		s.give()
		return nil
	}
	t := s.token()
	if t.key() || !s.isText(t) {
		s.give()
		return nil
	}
	*to = s.unquoted(t)
	s.endLine()
	if s.build {
		return string(*to)
	}
	return nil
}

// wanted returns where the text of a key goes that is part of an object's identity, nil for others, and the role of a mapping below it.
func (s *scanner) wanted(t token, r role) (*[]byte, role) {
	if r == roleOther {
		return nil, roleOther
	}
	key := s.src[t.from:t.to]
	switch r {
	case roleObject:
		switch string(key) {
		case "apiVersion":
			return &s.apiVersion, roleOther
		case "kind":
			return &s.kind, roleOther
		case "metadata":
			return nil, roleMetadata
		case "items":
			s.give()
		}
	case roleMetadata:
		switch string(key) {
		case "name":
			return &s.name, roleOther
		case "namespace":
			return &s.namespace, roleOther
		case "generateName":
			return &s.generateName, roleOther
		case "labels":
			return nil, roleLabels
		case "annotations":
			return nil, roleAnnotations
		}
	case roleLabels:
		return wantedPair(&s.labels, key), roleOther
	case roleAnnotations:
		return wantedPair(&s.annotations, key), roleOther
	}
	return nil, roleOther
}

// identifies says whether a key of such a mapping is part of an object's identity, or what it leads to.
func (r role) identifies(key []byte) bool {
	switch r {
	case roleObject:
		return string(key) == "apiVersion" || string(key) == "kind" || string(key) == "metadata"
	case roleMetadata:
		return string(key) == "name" || string(key) == "namespace" || string(key) == "generateName" || string(key) == "labels" || string(key) == "annotations"
	case roleLabels, roleAnnotations:
		return retainedBytes(key)
	}
	return false
}

func wantedPair(pairs *[]pair, key []byte) *[]byte {
	if !retainedBytes(key) {
		return nil
	}
	*pairs = append(*pairs, pair{key: key})
	return &(*pairs)[len(*pairs)-1].value
}

// keysSeen are the keys of a mapping up to where it is scanned: those in scanner.keys from base on, and in a set once they are many.
type keysSeen struct {
	base int
	set  map[string]struct{}
}

// manyKeys is from when on a mapping's keys are looked up in a set.
const manyKeys = 24

// key notes a key, and a repeated one as such.
func (s *scanner) key(seen *keysSeen, t token, r role) {
	key := s.src[t.from:t.to]
	if string(key) == "<<" || t.escaped() {
		s.give()
		return
	}
	if !s.seenBefore(seen, key) {
		s.keys = append(s.keys, t.span)
		return
	}
	if r.identifies(key) { // which one stands is the parser's to say
		s.give()
		return
	}
	s.repeated = append(s.repeated, Repeated{s.field(t.span), s.line, utf8.RuneCount(s.src[s.start:t.at()]) + 1})
}

func (s *scanner) seenBefore(seen *keysSeen, key []byte) bool {
	keys := s.keys[seen.base:]
	if seen.set == nil && len(keys) < manyKeys {
		for _, k := range keys {
			if bytes.Equal(s.src[k.from:k.to], key) {
				return true
			}
		}
		return false
	}
	if seen.set == nil {
		seen.set = make(map[string]struct{})
		for _, k := range keys {
			seen.set[string(s.src[k.from:k.to])] = struct{}{}
		}
	}
	if _, ok := seen.set[string(key)]; ok {
		return true
	}
	seen.set[string(key)] = struct{}{}
	return false
}

// block scans a mapping or sequence that begins a line of its own.
func (s *scanner) block(r role) any {
	col := s.col
	if s.dash() {
		return s.sequence(col, false)
	}
	t := s.token()
	if !t.key() {
		s.give()
		return nil
	}
	return s.asValue(s.mapping(col, t, r))
}

// asValue is the mapping as a value: nil where none was built.
func (s *scanner) asValue(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// sequence scans a block sequence whose dashes stand in a column. One without indentation stands in the column of the keys of the mapping
// around it.
func (s *scanner) sequence(col int, indentless bool) any {
	s.enter()
	defer s.leave()
	list := []any{}
	for i := 0; !s.odd; i++ {
		s.pos++
		s.count()
		s.way = append(s.way, step{index: i})
		v := s.item(col)
		s.way = s.way[:len(s.way)-1]
		if s.build {
			list = append(list, v)
		}
		if s.col < col || s.col == col && indentless && !s.dash() {
			break
		}
		if s.col > col || !s.dash() {
			s.give()
		}
	}
	if !s.build {
		return nil
	}
	return list
}

// item scans what is behind a dash.
func (s *scanner) item(col int) any {
	if s.spaces() {
		s.endLine()
		if s.col > col {
			return s.block(roleOther)
		}
		return nil
	}
	at := s.pos - s.start
	if s.dash() {
		return s.sequence(at, false)
	}
	switch s.src[s.pos] {
	case '|', '>', '[', '{':
		return s.inline(col, roleOther)
	}
	t := s.token()
	if t.key() {
		return s.asValue(s.mapping(at, t, roleOther))
	}
	v := s.scalar(t)
	s.endLine()
	return v
}

// inline scans a value that begins on the line of its key or dash; the innermost collection around it is in a column.
func (s *scanner) inline(col int, r role) (v any) {
	switch s.src[s.pos] {
	case '|', '>':
		return s.blockScalar(col)
	case '[', '{':
		v = s.flow(r)
	default:
		t := s.token()
		if t.key() {
			s.give()
			return nil
		}
		v = s.scalar(t)
	}
	s.endLine()
	return v
}

// blockScalar scans a literal or folded scalar inside a collection in a column. Its text is indented as its first line is that has any,
// and at least one more than the collection.
func (s *scanner) blockScalar(col int) any {
	b := blockStyle{folded: s.src[s.pos] == '>'}
	s.pos++
	if s.pos < len(s.src) && (s.src[s.pos] == '-' || s.src[s.pos] == '+') {
		b.chomp = s.src[s.pos]
		s.pos++
	}
	if !s.spaces() {
		s.give()
		return nil
	}
	s.nextLine(s.lineEnd(s.pos))
	from := s.pos
	if b.indent = s.blockIndent(col); s.odd {
		return nil
	}
	for s.pos < len(s.src) {
		p := s.pos
		for p < len(s.src) && s.src[p] == ' ' && p-s.start < b.indent {
			p++
		}
		if p-s.start < b.indent && p < len(s.src) && s.src[p] != '\n' {
			if s.src[p] == '\t' {
				s.give()
				return nil
			}
			break
		}
		s.nextLine(s.lineEnd(p))
	}
	text := s.src[from:s.pos]
	s.content()
	if !s.build || s.odd {
		return nil
	}
	return b.value(text)
}

// blockIndent returns by how much the text of a block scalar is indented that begins here.
func (s *scanner) blockIndent(col int) int {
	widest, start := 0, s.pos
	for p := start; ; p++ {
		if p < len(s.src) && s.src[p] == ' ' {
			continue
		}
		width := p - start
		widest = max(widest, width)
		if p < len(s.src) && s.src[p] == '\n' {
			start = p + 1
			continue
		}
		if p < len(s.src) && (s.src[p] == '\t' || width < widest && width > col) {
			s.give() // a line before the text is indented more than the text
		}
		return max(widest, col+1)
	}
}
