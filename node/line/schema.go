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
