// Package line is the currency that all rooms of the node trade in: points, and the line protocol they are written in.
//
// It promises that a point that was parsed and encoded again has the same meaning, that the encoded form is
// canonical (tags sorted by key bytes, timestamp in nanoseconds, one space between sections, no duplicate field), and that
// a writer's line that is canonical already keeps its bytes. It does not decide whether a point may be stored: types and
// retention are the store's.
package line

// Type is the type of a field value.
type Type uint8

// The five types of line protocol. The zero Type is no type.
const (
	Float Type = iota + 1
	Integer
	Unsigned
	Boolean
	String
)

var typeNames = [...]string{"", "float", "integer", "unsigned", "boolean", "string"}

// String returns the type's name as error texts and SHOW FIELD KEYS spell it.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return ""
}

// Value is a typed field value.
//
// Bits holds the IEEE 754 bits of a Float, the two's complement of an Integer, an Unsigned as it is, and 0 or 1 for a
// Boolean. Str holds the unescaped bytes of a String and belongs to the batch that the value came from.
type Value struct {
	Type Type
	Bits uint64
	Str  []byte
}

// Field is one field of a point. Key is unescaped and belongs to the batch.
type Field struct {
	Key   []byte
	Value Value
}

// Point is one parsed line. Its slices belong to the Batch and are valid until the batch is reset.
type Point struct {
	// Series is the canonical series key: the escaped measurement, then `,key=value` for each tag, escaped, sorted
	// by the bytes of the unescaped key. Two spellings of one series have the same Series.
	Series []byte
	// Fields are the point's fields in the order written, each key once (the last value of a repeated key).
	Fields []Field
	// Text is the canonical text of Fields, as it stands between series and timestamp; nil when Fields was changed after
	// parsing, and the encoder then writes Fields anew.
	Text []byte
	// Time is in ns since the epoch.
	Time int64
	// Line is the line's number in the body it came from, from 1; 0 for a point that was not parsed.
	Line int
}

// Batch is a list of points and the memory they live in. It is made to be reused: Reset keeps what was allocated.
// A Batch must not be used by two goroutines at once.
type Batch struct {
	Points []Point

	fields []Field // arena that Point.Fields are cut from
	bytes  []byte  // arena for bytes that could not stay in the parsed body

	names map[string]int // scratch for finding repeated field keys
}
