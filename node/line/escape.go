package line

import (
	"bytes"
	"slices"
	"strings"
)

// MaxKeyLength is the most bytes that a series key may have, and that a series key, four bytes of separator and a field
// key may have together, as InfluxDB counts them.
const MaxKeyLength = 65535

// Tag is one tag of a series, unescaped.
type Tag struct{ Key, Value string }

// AppendSeriesKey appends the canonical key of the series with this measurement and these tags, in any order, and returns
// the extended dst. It does not change tags.
//
// Line protocol cannot express every name. A newline in a name is written as the two characters `\n`. A tag whose key or value
// is empty or ends in a backslash, or whose key is reserved (see Reserved), is left out; of a repeated key the last counts. When the
// measurement cannot be written (see ValidMeasurement) or the key is longer than MaxKeyLength, dst is returned as it was.
func AppendSeriesKey[S ~string | ~[]byte](dst []byte, measurement S, tags []Tag) []byte {
	if !ValidMeasurement(measurement) {
		return dst
	}
	start := len(dst)
	out := AppendMeasurement(dst, measurement)
	if !inOrder(tags) {
		tags = sortedByKey(tags)
	}
	for _, t := range tags {
		if !validTag(t) {
			continue
		}
		out = append(out, ',')
		out = AppendTag(out, t.Key)
		out = append(out, '=')
		out = AppendTag(out, t.Value)
	}
	if len(out)-start > MaxKeyLength {
		return dst
	}
	return out
}

// inOrder reports whether tags are as line protocol wants them: sorted, each key once, no newlines.
func inOrder(tags []Tag) bool {
	for i, t := range tags {
		if i > 0 && tags[i-1].Key >= t.Key || strings.Contains(t.Key, "\n") {
			return false
		}
	}
	return true
}

// sortedByKey returns a sorted copy with the last tag of each key that can be written.
func sortedByKey(tags []Tag) []Tag {
	sorted := make([]Tag, 0, len(tags))
	for _, t := range tags {
		if validTag(t) {
			t.Key = strings.ReplaceAll(t.Key, "\n", `\n`)
			sorted = append(sorted, t)
		}
	}
	slices.SortStableFunc(sorted, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	n := 0
	for i := range sorted {
		if i+1 < len(sorted) && sorted[i+1].Key == sorted[i].Key {
			continue
		}
		sorted[n] = sorted[i]
		n++
	}
	return sorted[:n]
}

// SplitSeries returns the parts of a canonical series key, unescaped. The tags are in the key's order.
func SplitSeries(key []byte) (measurement string, tags []Tag) {
	name := nameEnd(key, 0, false)
	measurement = string(appendUnescaped(nil, key[:name], false))
	for i := name; i < len(key); {
		eq := nameEnd(key, i+1, true)
		end := len(key)
		if eq < end {
			end = nameEnd(key, eq+1, true)
		}
		tags = append(tags, Tag{
			Key:   string(appendUnescaped(nil, key[i+1:eq], true)),
			Value: string(appendUnescaped(nil, key[min(eq+1, end):end], true)),
		})
		i = end
	}
	return measurement, tags
}

// ValidMeasurement reports whether line protocol can express name as a measurement: not empty, not beginning with `#`,
// a tab or NUL, not ending in a backslash.
func ValidMeasurement[S ~string | ~[]byte](name S) bool {
	if len(name) == 0 {
		return false
	}
	switch name[0] {
	case '#', '\t', 0:
		return false
	}
	return name[len(name)-1] != '\\'
}

// Reserved reports whether a tag must not have this (unescaped) key.
func Reserved[S ~string | ~[]byte](key S) bool {
	switch string(key) {
	case "time", "_field", "_measurement", "\x00", "\xff":
		return true
	}
	return false
}

func validTag(t Tag) bool {
	return t.Key != "" && t.Value != "" && !strings.HasSuffix(t.Key, `\`) && !strings.HasSuffix(t.Value, `\`) && !Reserved(t.Key)
}

// AppendMeasurement appends name, escaped as a measurement.
func AppendMeasurement[S ~string | ~[]byte](dst []byte, name S) []byte {
	return appendEscaped(dst, name, false)
}

// AppendTag appends s, escaped as the key or the value of a tag.
func AppendTag[S ~string | ~[]byte](dst []byte, s S) []byte {
	return appendEscaped(dst, s, true)
}

// AppendFieldKey appends key, escaped as the key of a field.
func AppendFieldKey[S ~string | ~[]byte](dst []byte, key S) []byte {
	return appendEscaped(dst, key, true)
}

// AppendString appends s as a string value, with its quotes.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

func appendEscaped[S ~string | ~[]byte](dst []byte, s S, equals bool) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case special(c, equals):
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// special reports whether c ends a name unless a backslash stands before it. An equals sign is an ordinary character of a
// measurement.
func special(c byte, equals bool) bool {
	return c == ',' || c == ' ' || equals && c == '='
}

// appendUnescaped appends the name whose escaped form is s. A backslash before anything but a special byte is an ordinary
// byte, so that each name has exactly one escaped form.
func appendUnescaped(dst, s []byte, equals bool) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		if i+1 < len(s) && special(s[i+1], equals) {
			i++
		}
		dst = append(dst, s[i])
		s = s[i+1:]
	}
}

// nameEnd returns the index of the first special byte of s at or after i that no backslash stands before, or len(s). A
// backslash before i does not count.
func nameEnd(s []byte, i int, equals bool) int {
	for start := i; i < len(s); i++ {
		if special(s[i], equals) && (i == start || s[i-1] != '\\') {
			return i
		}
	}
	return len(s)
}

// appendUnescapedString appends the string whose escaped form, without the quotes, is s.
func appendUnescapedString(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		if i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		dst = append(dst, s[i])
		s = s[i+1:]
	}
}
