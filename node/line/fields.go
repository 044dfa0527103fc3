package line

import (
	"bytes"
	"hash/maphash"
	"unsafe"
)

const (
	maxSchemas      = 1024    // schemas remembered
	maxSchemaFields = 1024    // fields of a schema
	maxSchemaBytes  = 1 << 20 // of names, of all schemas together
)

// schema is a list of field keys without repetition. A line whose fields follow it needs neither a search for the ends of its
// keys nor a check for repeated ones. It never changes once made, because points refer to its names.
type schema struct{ fields []fieldName }

// fieldName is a field key as written, with the equals sign, and unescaped.
type fieldName struct {
	text string
	key  []byte
}

// schemaTable holds the schemas seen, by the hash of their keys.
type schemaTable struct {
	seed  maphash.Seed
	byKey map[uint64]*schema
	bytes int
	last  *schema
}

// fields parses the field section that begins at pos and appends its fields to b. stop is the end of the line, without a
// carriage return; it is moved on, and returned, when a string contains a newline. next is the end of the section. unique tells
// that no key is repeated.
func (p *Parser) fields(b *Batch, body []byte, pos, stop int, known *knownSeries) (end, next int, unique bool, reason string) {
	expected := p.schemas.last
	if known != nil && known.schema != nil {
		expected = known.schema
	}
	first := len(b.fields)
	follows := expected != nil
	for {
		var key []byte
		n := len(b.fields) - first
		if follows && n < len(expected.fields) && hasPrefix(body[pos:stop], expected.fields[n].text) {
			key = expected.fields[n].key
			pos += len(expected.fields[n].text)
		} else {
			follows = false
			eq, reason := fieldKeyEnd(body[:stop], pos, n > 0)
			if reason != "" {
				return stop, pos, false, reason
			}
			key = b.unescaped(body[pos:eq])
			pos = eq + 1
		}
		var v Value
		v, pos, stop, reason = b.value(body, pos, stop)
		if reason != "" {
			return stop, pos, false, reason
		}
		b.fields = append(b.fields, Field{Key: key, Value: v})
		if pos == stop || body[pos] == ' ' {
			break
		}
		pos++
	}
	if follows {
		if known != nil {
			known.schema = expected
		}
		p.schemas.last = expected
		return stop, pos, true, ""
	}
	if b.repeated(b.fields[first:]) {
		return stop, pos, false, ""
	}
	p.learn(b.fields[first:], known)
	return stop, pos, true, ""
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

// value parses the field value at pos. next is behind it: at stop, or at a comma or space.
func (b *Batch) value(body []byte, pos, stop int) (v Value, next, end int, reason string) {
	if pos == stop {
		return v, pos, stop, errFieldValue
	}
	switch c := body[pos]; {
	case c == '"':
		return b.stringValue(body, pos+1, stop)
	case c-'0' <= 9 || c == '-':
		if v, next := plainNumber(body, pos, stop); next > 0 && (next == stop || body[next] == ',' || body[next] == ' ') {
			return v, next, stop, ""
		}
	case c == ',' || c == ' ':
		return v, pos, stop, errFieldValue
	}
	next = pos
	for next < stop && body[next] != ',' && body[next] != ' ' {
		next++
	}
	switch c := body[pos]; {
	case c-'0' <= 9 || c == '-' || c == '.' || c == 'N' || c == 'n':
		v, reason = parseNumber(body[pos:next])
	default:
		v, reason = parseBoolean(body[pos:next])
	}
	return v, next, stop, reason
}

// stringValue parses the string whose first byte behind the quote is at pos. It may go on behind stop: newlines are
// ordinary bytes of a string.
func (b *Batch) stringValue(body []byte, pos, stop int) (v Value, next, end int, reason string) {
	quote := closingQuote(body, pos)
	if quote < 0 {
		return v, pos, stop, errQuotes
	}
	if quote >= stop {
		stop = lineEnd(body, quote)
		if body[stop-1] == '\r' {
			stop--
		}
	}
	next = quote + 1
	if next < stop && body[next] != ',' && body[next] != ' ' {
		return v, next, stop, errFieldFormat
	}
	text := body[pos:quote:quote]
	if bytes.IndexByte(text, '\\') >= 0 {
		start := b.room(len(text))
		b.bytes = appendUnescapedString(b.bytes, text)
		text = b.since(start)
	}
	return Value{Type: String, Str: text}, next, stop, ""
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

// learn remembers the keys of fields as the schema of the series.
func (p *Parser) learn(fields []Field, known *knownSeries) {
	s := p.schemas.find(fields)
	if s == nil {
		return
	}
	p.schemas.last = s
	if known != nil {
		known.schema = s
	}
}

// find returns the schema with these keys, made when it is new; nil when the keys are too many to be remembered.
func (t *schemaTable) find(fields []Field) *schema {
	if len(fields) > maxSchemaFields {
		return nil
	}
	if t.byKey == nil {
		t.seed = maphash.MakeSeed()
		t.byKey = make(map[uint64]*schema)
	}
	var hash uint64
	size := 0
	for i := range fields {
		hash = hash*0x9e3779b97f4a7c15 + maphash.Bytes(t.seed, fields[i].Key)
		size += len(fields[i].Key)
	}
	if s := t.byKey[hash]; s != nil {
		if s.matches(fields) {
			return s
		}
		return nil
	}
	if size > maxSchemaBytes/64 {
		return nil
	}
	if len(t.byKey) == maxSchemas || t.bytes+size > maxSchemaBytes {
		clear(t.byKey)
		t.bytes = 0
	}
	s := newSchema(fields)
	t.byKey[hash] = s
	t.bytes += size
	return s
}

func newSchema(fields []Field) *schema {
	s := &schema{fields: make([]fieldName, len(fields))}
	for i := range fields {
		s.fields[i] = fieldName{
			text: string(append(AppendFieldKey(nil, fields[i].Key), '=')),
			key:  bytes.Clone(fields[i].Key),
		}
	}
	return s
}

func (s *schema) matches(fields []Field) bool {
	if len(s.fields) != len(fields) {
		return false
	}
	for i := range fields {
		if !bytes.Equal(s.fields[i].key, fields[i].Key) {
			return false
		}
	}
	return true
}

// stringOf returns s as a string without a copy. s must not change while the string is used.
func stringOf(s []byte) string { return unsafe.String(unsafe.SliceData(s), len(s)) }
