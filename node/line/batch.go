package line

import (
	"bytes"
	"math"
	"unsafe"
)

// The range of timestamps, in ns since the epoch, both inclusive. The three int64 values outside are InfluxDB's sentinels.
const (
	MinTime int64 = math.MinInt64 + 2
	MaxTime int64 = math.MaxInt64 - 1
)

// Reset empties the batch and keeps its memory for the next use. Points and slices taken from the batch before must not be
// used any more. The last body stays reachable until later points overwrite the references to it.
func (b *Batch) Reset() {
	b.Points = b.Points[:0]
	b.fields = b.fields[:0]
	b.bytes = b.bytes[:0]
}

// Size returns the bytes of memory that the batch holds, without the bodies it refers to. A pool of batches should let large
// ones go: a body of tiny fields becomes a batch of about 16 times its size.
func (b *Batch) Size() int {
	return cap(b.Points)*int(unsafe.Sizeof(Point{})) + cap(b.fields)*int(unsafe.Sizeof(Field{})) + cap(b.bytes)
}

// Add appends a point and copies all of it into the batch. series is a key made by AppendSeriesKey or taken from another point;
// time is in ns since the epoch.
//
// A newline in a field key becomes the two characters `\n`. Of a repeated field key the last value counts. A field that line protocol cannot express (a key for which
// ValidFieldKey is false, a NaN or infinite float, no type) is left out. Add reports whether the point was added: it
// was not when no field is left, series is empty, or time is outside MinTime..MaxTime.
func (b *Batch) Add(series []byte, fields []Field, time int64) bool {
	if len(series) == 0 || time < MinTime || time > MaxTime {
		return false
	}
	start := len(b.fields)
	for i := range fields {
		f := &fields[i]
		if !ValidFieldKey(f.Key) || !f.Value.representable() {
			continue
		}
		b.fields = append(b.fields, Field{Key: b.copyName(f.Key), Value: Value{Type: f.Value.Type, Bits: f.Value.Bits}})
		if f.Value.Type == String {
			b.fields[len(b.fields)-1].Value = Value{Type: String, Str: b.copy(f.Value.Str)}
		}
	}
	if len(b.fields) == start {
		return false
	}
	if b.repeated(b.fields[start:]) {
		b.keepLast(start, nil)
	}
	b.Points = append(b.Points, Point{
		Series: b.copy(series),
		Fields: b.fields[start:len(b.fields):len(b.fields)],
		Time:   time,
	})
	return true
}

// Filter keeps the points for which keep returns true, in their order, and drops the others in place. i is the index
// that the point had before. keep may change the point; it must set Text to nil when it changes Fields.
func (b *Batch) Filter(keep func(i int, p *Point) bool) {
	n := 0
	for i := range b.Points {
		if !keep(i, &b.Points[i]) {
			continue
		}
		if n != i {
			b.Points[n] = b.Points[i]
		}
		n++
	}
	b.Points = b.Points[:n]
}

// TimeBounds returns the least and the greatest timestamp in ns since the epoch, and 0, 0 for an empty batch.
func (b *Batch) TimeBounds() (min, max int64) {
	if len(b.Points) == 0 {
		return 0, 0
	}
	min, max = b.Points[0].Time, b.Points[0].Time
	for i := range b.Points {
		t := b.Points[i].Time
		if t < min {
			min = t
		}
		if t > max {
			max = t
		}
	}
	return min, max
}

// room makes room for n more bytes in the batch's arena and returns the offset at which they begin. When the arena is full a
// new one is made, and slices of the old one stay valid.
func (b *Batch) room(n int) int {
	if n > cap(b.bytes)-len(b.bytes) {
		b.bytes = make([]byte, 0, max(2*cap(b.bytes), n, 1024))
	}
	return len(b.bytes)
}

// since returns what was appended to the arena behind start.
func (b *Batch) since(start int) []byte { return b.bytes[start:len(b.bytes):len(b.bytes)] }

func (b *Batch) copy(s []byte) []byte {
	start := b.room(len(s))
	b.bytes = append(b.bytes, s...)
	return b.since(start)
}

// copyName is copy with newlines written as AppendFieldKey writes them.
func (b *Batch) copyName(s []byte) []byte {
	if bytes.IndexByte(s, '\n') < 0 {
		return b.copy(s)
	}
	return b.copy(bytes.ReplaceAll(s, newline, []byte(`\n`)))
}

// ValidFieldKey reports whether line protocol can express key as the name of a field: not empty, not ending in a
// backslash, not beginning with a tab or NUL (which a reader would skip).
func ValidFieldKey[S ~string | ~[]byte](key S) bool {
	return len(key) > 0 && key[0] != '\t' && key[0] != 0 && key[len(key)-1] != '\\'
}

func (v *Value) representable() bool {
	switch v.Type {
	case Float:
		f := math.Float64frombits(v.Bits)
		return !math.IsNaN(f) && !math.IsInf(f, 0)
	case Integer, Unsigned, Boolean, String:
		return true
	}
	return false
}
