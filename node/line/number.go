package line

import (
	"math"
	"strconv"
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
	f, err := strconv.ParseFloat(stringOf(text), 64)
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
	const always = 19 // so many digits fit into 64 bits
	fits = true
	for i, c := range digits {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false, false
		}
		if i >= always && (n > math.MaxUint64/10 || n*10 > math.MaxUint64-d) {
			fits = false
		}
		n = n*10 + d
	}
	return n, len(digits) > 0, fits && n <= limit
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
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// plainNumber parses the common spellings of a number at line[i:]: digits, with a fraction or the suffix i. It returns next = 0
// for any other, and does not look at what follows the number.
func plainNumber(line []byte, i int) (bits uint64, typ Type, next int) {
	first := i
	negative := line[i] == '-'
	if negative {
		i++
	}
	start := i
	var n uint64
	for i < len(line) && line[i]-'0' <= 9 {
		n = n*10 + uint64(line[i]-'0')
		i++
	}
	digits := i - start
	if digits == 0 {
		return 0, 0, 0
	}
	if i < len(line) && line[i] == 'i' {
		if digits > 18 {
			return 0, 0, 0
		}
		if negative {
			n = -n
		}
		return n, Integer, i + 1
	}
	fraction := 0
	if i < len(line) && line[i] == '.' {
		i++
		point := i
		for i < len(line) && line[i]-'0' <= 9 {
			n = n*10 + uint64(line[i]-'0')
			i++
		}
		fraction = i - point
	}
	// Where the digits and the power of ten are both exact as float64, so is the rounding of their quotient.
	if digits+fraction <= 18 && n <= 1<<53 {
		f := float64(n) / powersOfTen[fraction]
		if negative {
			f = -f
		}
		return math.Float64bits(f), Float, i
	}
	f, err := strconv.ParseFloat(stringOf(line[first:i]), 64)
	if err != nil {
		return 0, 0, 0
	}
	return math.Float64bits(f), Float, i
}
