package line

import (
	"math"
	"strconv"
)

// AppendBatch appends all points of b in canonical form, one line each. Appending to a dst with room for them does not
// allocate.
func AppendBatch(dst []byte, b *Batch) []byte {
	for i := range b.Points {
		dst = AppendPoint(dst, &b.Points[i])
	}
	return dst
}

// AppendPoint appends p as one canonical line with its newline: series, fields, timestamp in ns. Where p.Text is nil the
// fields are written from their values: floats in the shortest form that reads back as the same number, strings
// escaped. Fields that line protocol cannot express are left out (see Batch.Add); a point that has no other fields appends nothing.
func AppendPoint(dst []byte, p *Point) []byte {
	start := len(dst)
	dst = append(dst, p.Series...)
	dst = append(dst, ' ')
	if p.Text != nil {
		dst = append(dst, p.Text...)
	} else {
		fields := len(dst)
		dst = appendFields(dst, p.Fields)
		if len(dst) == fields {
			return dst[:start]
		}
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, p.Time, 10)
	return append(dst, '\n')
}

func appendFields(dst []byte, fields []Field) []byte {
	start := len(dst)
	for i := range fields {
		f := &fields[i]
		if !ValidFieldKey(f.Key) || !f.Value.representable() {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = AppendFieldKey(dst, f.Key)
		dst = append(dst, '=')
		dst = AppendValue(dst, f.Value)
	}
	return dst
}

// AppendValue appends v as a field value is written: `1.5`, `1i`, `1u`, `true`, `"text"`. v must not be a NaN or infinite
// float, which line protocol cannot express.
func AppendValue(dst []byte, v Value) []byte {
	switch v.Type {
	case Float:
		return appendFloat(dst, math.Float64frombits(v.Bits))
	case Integer:
		return append(strconv.AppendInt(dst, int64(v.Bits), 10), 'i')
	case Unsigned:
		return append(strconv.AppendUint(dst, v.Bits, 10), 'u')
	case Boolean:
		return strconv.AppendBool(dst, v.Bits != 0)
	case String:
		return AppendString(dst, v.Str)
	}
	return dst
}

// appendFloat writes f with an exponent only where the digits alone would be many.
func appendFloat(dst []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}
