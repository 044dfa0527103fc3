package line

import "bytes"

// fields parses the field section of the line body[:stop] that begins at pos and appends its fields to b. next is the end of
// the section. stop is without a carriage return; end is stop, moved on when a string contains a newline. unique tells that no
// key is repeated.
func (p *Parser) fields(b *Batch, body []byte, pos, stop int, known *knownSeries) (end, next int, unique bool, reason string) {
	first := len(b.fields)
	followed := p.schemas.last
	if known != nil && known.schema != nil {
		followed = known.schema
	}
	var expected []fieldName // what the schema has behind the fields parsed
	if followed != nil {
		expected = followed.fields
	}
	for ended := false; ; pos++ {
		n := len(b.fields)
		if pos, ended = b.plainFields(body[:stop], pos, expected); ended {
			break
		}
		expected = expected[len(b.fields)-n:]
		var asExpected bool
		pos, stop, asExpected, reason = b.field(body, pos, stop, expected, len(b.fields) > first)
		if reason != "" {
			return stop, pos, false, reason
		}
		if asExpected {
			expected = expected[1:]
		} else {
			followed, expected = nil, nil
		}
		if pos == stop || body[pos] == ' ' {
			break
		}
	}
	if followed == nil {
		if b.repeated(b.fields[first:]) {
			return stop, pos, false, ""
		}
		followed = p.schemas.find(b.fields[first:])
	}
	p.schemas.last = followed
	if known != nil {
		known.schema = followed
	}
	return stop, pos, true, ""
}

// field parses the field at pos, of any kind, and appends it to b. asExpected tells that its key is that of expected[0]. later tells
// that it is not the first field of the section.
func (b *Batch) field(body []byte, pos, stop int, expected []fieldName, later bool) (next, end int, asExpected bool, reason string) {
	f := b.newField()
	asExpected = len(expected) > 0 && hasPrefix(body[pos:stop], expected[0].text)
	if asExpected {
		f.Key = expected[0].key
		pos += len(expected[0].text)
	} else {
		eq, reason := fieldKeyEnd(body[:stop], pos, later)
		if reason != "" {
			return pos, stop, false, reason
		}
		f.Key = b.unescaped(body[pos:eq])
		pos = eq + 1
	}
	next, end, reason = b.value(&f.Value, body, pos, stop)
	return next, end, asExpected, reason
}

// newField appends a field, whatever it holds, to be filled.
func (b *Batch) newField() *Field {
	if len(b.fields) == cap(b.fields) {
		b.fields = append(b.fields, Field{})
	} else {
		b.fields = b.fields[:len(b.fields)+1]
	}
	return &b.fields[len(b.fields)-1]
}

// plainFields parses the fields of line from pos on as long as they are the expected ones with plain numbers for values, and
// appends them to b. next is the beginning of the first that is not, or the end of the section, as ended tells.
func (b *Batch) plainFields(line []byte, pos int, expected []fieldName) (next int, ended bool) {
	fields := b.fields
	for i := range expected {
		text := expected[i].text
		value := pos + len(text)
		if value >= len(line) || string(line[pos:value]) != text || len(fields) == cap(fields) {
			break
		}
		bits, typ, end := plainNumber(line, value)
		if end == 0 || end < len(line) && line[end] != ',' && line[end] != ' ' {
			break
		}
		fields = fields[:len(fields)+1]
		f := &fields[len(fields)-1]
		f.Key = expected[i].key
		f.Value.Type = typ
		f.Value.Bits = bits
		f.Value.Str = nil
		pos = end
		if end == len(line) || line[end] == ' ' {
			ended = true
			break
		}
		pos++
	}
	b.fields = fields
	return pos, ended
}

func hasPrefix(s []byte, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}

// fieldKeyEnd returns the index of the equals sign behind the field key that begins at pos.
func fieldKeyEnd(line []byte, pos int, later bool) (int, string) {
	eq := nameEnd(line, pos, true)
	switch {
	case eq == len(line) || line[eq] != '=':
		return 0, errFieldFormat
	case eq == pos:
		return 0, errFieldKey
	case later && (line[pos] == '\t' || line[pos] == 0):
		return 0, errFieldFormat
	}
	return eq, ""
}

// value parses the field value at pos into v. next is behind it: at end, or at a comma or space. end is stop, moved on when the
// value contains a newline.
func (b *Batch) value(v *Value, body []byte, pos, stop int) (next, end int, reason string) {
	if pos == stop {
		return pos, stop, errFieldValue
	}
	switch c := body[pos]; {
	case c == '"':
		return b.stringValue(v, body, pos+1, stop)
	case c-'0' <= 9 || c == '-':
		bits, typ, next := plainNumber(body[:stop], pos)
		if next > 0 && (next == stop || body[next] == ',' || body[next] == ' ') {
			*v = Value{Type: typ, Bits: bits}
			return next, stop, ""
		}
	case c == ',' || c == ' ':
		return pos, stop, errFieldValue
	}
	next = pos
	for next < stop && body[next] != ',' && body[next] != ' ' {
		next++
	}
	switch c := body[pos]; {
	case c-'0' <= 9 || c == '-' || c == '.' || c == 'N' || c == 'n':
		*v, reason = parseNumber(body[pos:next])
	default:
		*v, reason = parseBoolean(body[pos:next])
	}
	return next, stop, reason
}

// stringValue parses the string whose first byte behind the quote is at pos. It may go on behind stop: newlines are
// ordinary bytes of a string.
func (b *Batch) stringValue(v *Value, body []byte, pos, stop int) (next, end int, reason string) {
	quote := closingQuote(body, pos)
	if quote < 0 {
		return pos, stop, errQuotes
	}
	if quote >= stop {
		stop = lineEnd(body, quote)
		if body[stop-1] == '\r' {
			stop--
		}
	}
	next = quote + 1
	if next < stop && body[next] != ',' && body[next] != ' ' {
		return next, stop, errFieldFormat
	}
	text := body[pos:quote:quote]
	if bytes.IndexByte(text, '\\') >= 0 {
		start := b.room(len(text))
		b.bytes = appendUnescapedString(b.bytes, text)
		text = b.since(start)
	}
	v.Type, v.Bits, v.Str = String, 0, text
	return next, stop, ""
}

// closingQuote returns the index of the first quote at or after pos that is not escaped, or -1. A quote is escaped when an odd
// number of backslashes stands before it.
func closingQuote(body []byte, pos int) int {
	for i := pos; ; i++ {
		n := bytes.IndexByte(body[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		slashes := i
		for slashes > pos && body[slashes-1] == '\\' {
			slashes--
		}
		if (i-slashes)%2 == 0 {
			return i
		}
	}
}

// unescaped returns the name whose escaped form is s: s itself when nothing is escaped.
func (b *Batch) unescaped(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s[:len(s):len(s)]
	}
	start := b.room(len(s))
	b.bytes = appendUnescaped(b.bytes, s, true)
	return b.since(start)
}
