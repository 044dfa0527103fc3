package object

// flow scans a flow collection on one line.
func (s *scanner) flow(r role) (v any) {
	s.enter()
	defer s.leave()
	if s.odd {
		return nil
	}
	mapping := s.src[s.pos] == '{'
	s.pos++
	if mapping {
		return s.asValue(s.flowMapping(r))
	}
	return s.flowSequence()
}

// flowMapping scans a flow mapping behind its brace.
func (s *scanner) flowMapping(r role) map[string]any {
	var m map[string]any
	if s.build {
		m = make(map[string]any)
	}
	if r == roleMetadata {
		s.metadata = true
	}
	if s.closes('}') {
		return m
	}
	seen := keysSeen{base: len(s.keys)}
	for !s.odd {
		t := s.scalarToken(true)
		if !t.key() || s.odd {
			s.give()
			break
		}
		s.key(&seen, t, r)
		s.count()
		text, below := s.wanted(t, r)
		s.way = append(s.way, step{key: t.span})
		v := s.flowValue(text, below)
		s.way = s.way[:len(s.way)-1]
		if m != nil && !s.odd {
			m[s.text(s.src[t.from:t.to])] = v
		}
		if !s.another('}') {
			break
		}
	}
	s.keys = s.keys[:seen.base]
	return m
}

// flowSequence scans a flow sequence behind its bracket.
func (s *scanner) flowSequence() any {
	list := []any{}
	for i := 0; !s.odd && (i > 0 || !s.closes(']')); i++ {
		s.count()
		s.way = append(s.way, step{index: i})
		v := s.flowValue(nil, roleOther)
		s.way = s.way[:len(s.way)-1]
		if s.build {
			list = append(list, v)
		}
		if !s.another(']') {
			break
		}
	}
	if !s.build {
		return nil
	}
	return list
}

// flowValue scans a value in a flow collection, which must be a text if one is wanted.
func (s *scanner) flowValue(want *[]byte, r role) any {
	if s.spaces() || s.odd {
		s.give()
		return nil
	}
	if c := s.src[s.pos]; want == nil && (c == '[' || c == '{') {
		return s.flow(r)
	}
	t := s.scalarToken(true)
	if t.key() || s.odd || want != nil && !s.isText(t) {
		s.give()
		return nil
	}
	if want != nil {
		*want = s.unquoted(t)
	}
	return s.scalar(t)
}

// closes says whether a collection ends here, and goes behind its end.
func (s *scanner) closes(end byte) bool {
	if s.spaces() {
		s.give()
		return false
	}
	if s.src[s.pos] != end {
		return false
	}
	s.pos++
	return true
}

// another says whether another entry follows, and goes to it, or behind the collection's end.
func (s *scanner) another(end byte) bool {
	if s.odd || s.closes(end) || s.odd {
		return false
	}
	if s.src[s.pos] != ',' {
		s.give()
		return false
	}
	s.pos++
	if s.spaces() {
		s.give()
		return false
	}
	return true
}
