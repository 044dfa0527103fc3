package query

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// appendTime writes a time as the epoch parameter asks.
func appendTime(b []byte, t int64, epoch string, loc *time.Location) []byte {
	if epoch != "" {
		return strconv.AppendInt(b, t/epochUnit(epoch), 10)
	}
	if loc == nil {
		loc = time.UTC
	}
	b = append(b, '"')
	b = time.Unix(0, t).In(loc).AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

func appendJSONCell(b []byte, c *Column, i int) []byte {
	if c.Any != nil {
		return appendJSONValue(b, c.Any[i])
	}
	if !c.Has(i) {
		return append(b, "null"...)
	}
	switch c.Type {
	case line.Float:
		return appendJSONFloat(b, c.Floats[i])
	case line.Integer:
		return strconv.AppendInt(b, c.Integers[i], 10)
	case line.Unsigned:
		return strconv.AppendUint(b, c.Unsigned[i], 10)
	case line.Boolean:
		return strconv.AppendBool(b, c.Booleans[i])
	}
	return appendJSONString(b, c.Strings[i])
}

func appendJSONValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case float64:
		return appendJSONFloat(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendJSONString(b, v)
	}
	return append(b, "null"...)
}

// appendJSONFloat writes f as encoding/json does: the shortest decimal, with an exponent only for very small and very large
// numbers. JSON has no NaN and no infinity; both are null.
func appendJSONFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	abs := math.Abs(f)
	if abs == 0 || (abs >= 1e-6 && abs < 1e21) {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	// e-09 is written e-9
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendJSONString writes s quoted. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), `\ufffd`...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
