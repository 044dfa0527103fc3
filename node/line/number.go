package line

import (
	"math"
	"strconv"
	"unsafe"
)

// parseNumber parses a field value that begins like a number. text is not empty and runs up to the next comma, space or line end.
func parseNumber(text []byte) (Value, string) {
	digits, negative := text, false
	if digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if len(digits) == 0 {
		return Value{}, errNumber
	}
	switch last := len(digits) - 1; digits[last] {
	case 'i':
		return parseInteger(digits[:last], negative)
	case 'u':
		return parseUnsigned(digits[:last], negative)
	}
	if reason := checkFloat(digits); reason != "" {
		return Value{}, reason
	}
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	if err != nil {
		return Value{}, errFloat
	}
	return Value{Type: Float, Bits: math.Float64bits(f)}, ""
}

func parseInteger(digits []byte, negative bool) (Value, string) {
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	n, ok, fits := parseDigits(digits, limit)
	if !ok {
		return Value{}, errNumber
	}
	if !fits {
		sign := ""
		if negative {
			sign = "-"
		}
		return Value{}, "unable to parse integer " + sign + excerpt(digits) + ": value out of range"
	}
	if negative {
		n = -n
	}
	return Value{Type: Integer, Bits: n}, ""
}

func parseUnsigned(digits []byte, negative bool) (Value, string) {
	n, ok, fits := parseDigits(digits, math.MaxUint64)
	if negative || !ok {
		return Value{}, errNumber
	}
	if !fits {
		return Value{}, "unable to parse unsigned " + excerpt(digits) + ": value out of range"
	}
	return Value{Type: Unsigned, Bits: n}, ""
}

// parseDigits parses a number of decimal digits only. fits tells whether it is at most limit.
func parseDigits(digits []byte, limit uint64) (n uint64, ok, fits bool) {
	if len(digits) == 0 {
		return 0, false, false
	}
	fits = true
	for _, c := range digits {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false, false
		}
		if fits && (n > limit/10 || n*10 > limit-d) {
			fits = false
		}
		n = n*10 + d
	}
	return n, true, fits
}

// checkFloat checks what strconv.ParseFloat is laxer about, and tells apart what is no number from a number with a bad
// exponent, which ParseFloat then refuses.
func checkFloat(digits []byte) string {
	point, exponent, complete := false, false, false
	for i, c := range digits {
		switch {
		case c-'0' <= 9:
			complete = true
		case c == '.' && (!point || exponent):
			point = true
		case c == 'e' || c == 'E':
			exponent, complete = true, true
		case (c == '-' || c == '+') && i > 0 && (digits[i-1] == 'e' || digits[i-1] == 'E'):
		default:
			return errNumber
		}
	}
	if !complete {
		return errNumber
	}
	return ""
}

func parseBoolean(text []byte) (Value, string) {
	switch string(text) {
	case "t", "T", "true", "True", "TRUE":
		return Value{Type: Boolean, Bits: 1}, ""
	case "f", "F", "false", "False", "FALSE":
		return Value{Type: Boolean}, ""
	}
	return Value{}, errBoolean
}

// powersOfTen are those that a float64 holds exactly.
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// plainNumber parses the common spellings of a number at s[i:end]: up to 18 digits, with a fraction or the suffix i. It
// returns next = 0 for any other, and does not look at what follows the number.
func plainNumber(s []byte, i, end int) (v Value, next int) {
	s = s[:end]
	negative := s[i] == '-'
	if negative {
		i++
	}
	start := i
	var n uint64
	for i < len(s) && s[i]-'0' <= 9 {
		n = n*10 + uint64(s[i]-'0')
		i++
	}
	digits := i - start
	if digits == 0 || digits > 18 {
		return Value{}, 0
	}
	if i < len(s) {
		switch s[i] {
		case 'i':
			if negative {
				n = -n
			}
			return Value{Type: Integer, Bits: n}, i + 1
		case '.':
			i++
			fraction := i
			for i < len(s) && s[i]-'0' <= 9 {
				n = n*10 + uint64(s[i]-'0')
				i++
			}
			return plainFloat(n, digits+i-fraction, i-fraction, negative, i)
		}
	}
	return plainFloat(n, digits, 0, negative, i)
}

// plainFloat returns n / 10^fraction. Where both are exact as float64 so is the rounding of their quotient; otherwise next is 0.
func plainFloat(n uint64, digits, fraction int, negative bool, i int) (v Value, next int) {
	if digits > 18 || n > 1<<53 {
		return Value{}, 0
	}
	f := float64(n) / powersOfTen[fraction]
	if negative {
		f = -f
	}
	return Value{Type: Float, Bits: math.Float64bits(f)}, i
}
