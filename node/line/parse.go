package line

import (
	"bytes"
	"math"
)

// Precision is the unit of the timestamps in a body, in ns.
type Precision int64

// The precisions of the HTTP API. Minute and Hour are known to its version 1 only.
const (
	Nanosecond  Precision = 1
	Microsecond           = 1000 * Nanosecond
	Millisecond           = 1000 * Microsecond
	Second                = 1000 * Millisecond
	Minute                = 60 * Second
	Hour                  = 60 * Minute
)

// Options say how a body is to be read.
type Options struct {
	// Precision is the unit of the body's timestamps; 0 means Nanosecond.
	Precision Precision
	// Now is the timestamp, in ns since the epoch, of the points that have none. It is rounded down to the precision.
	Now int64
}

// Parser parses line protocol. It remembers the series and the field names it has seen, so one Parser should read many
// bodies. The zero Parser is ready for use. It must not be used by two goroutines at once.
type Parser struct {
	// CacheBytes bounds the memory for remembered series keys; 0 means 16 MiB. When it is reached everything is forgotten and
	// learnt again. Set it before the first use.
	CacheBytes int

	series  seriesCache
	schemas schemaTable
	tags    []tagSpan
	now     int64
	unit    int64
}

// Parse appends the points in body to b, in their order. The points refer into body, which must stay unchanged while they
// are used; their bytes must not be changed either, because some are the parser's own. When lines are bad it returns an *Error that lists them, and b has the points of all other lines: it is the caller
// who decides whether to take them.
func (p *Parser) Parse(b *Batch, body []byte, o Options) error {
	p.unit = max(int64(o.Precision), 1)
	p.now = floor(o.Now, p.unit)
	var bad *Error
	number := 1
	for pos := 0; pos < len(body); {
		end := lineEnd(body, pos)
		start := skipBlank(body, pos, end)
		if blankLine(body, start, end) || body[start] == '#' {
			pos = end + 1
			number++
			continue
		}
		fields := len(b.fields)
		next, reason := p.point(b, body, start, end, number)
		if reason != "" {
			b.fields = b.fields[:fields]
			if bad == nil {
				bad = new(Error)
			}
			next = badLineEnd(body, start)
			bad.add(number, trimReturn(body[start:next]), newlineReason(body, end, reason))
		}
		if next != end {
			number += bytes.Count(body[end:next], newline)
		}
		pos = next + 1
		number++
	}
	if bad != nil {
		return bad
	}
	return nil
}

var newline = []byte{'\n'}

// point parses the line body[start:end], whose first byte is no blank, and appends its point to b. end is moved on when a string
// value contains newlines; next is where the line ended in truth: at a newline or at the end of body.
func (p *Parser) point(b *Batch, body []byte, start, end, number int) (next int, reason string) {
	stop := end
	if body[stop-1] == '\r' {
		stop--
	}
	keyEnd := start + seriesEnd(body[start:stop])
	if keyEnd == stop {
		if _, reason = p.splitKey(body[start:keyEnd]); reason == "" {
			reason = errNoFields
		}
		return end, reason
	}
	known, series, reason := p.lookup(b, body[start:keyEnd])
	if reason != "" {
		return end, reason
	}
	text := skipBlank(body, keyEnd, stop)
	first := len(b.fields)
	stop, pos, unique, reason := p.fields(b, body, text, stop, known)
	if reason != "" {
		return end, reason
	}
	point := Point{Series: series, Text: body[text:pos:pos], Line: number}
	if len(series)+len(point.Text) >= MaxKeyLength-4 {
		if reason = checkKeys(series, point.Text); reason != "" {
			return end, reason
		}
	}
	if !unique {
		point.Text = b.dropRepeated(first, point.Text)
	}
	point.Fields = b.fields[first:len(b.fields):len(b.fields)]
	if point.Time, reason = p.timestamp(body[pos:stop]); reason != "" {
		return end, reason
	}
	b.Points = append(b.Points, point)
	if stop < len(body) && body[stop] == '\r' {
		stop++
	}
	return stop, ""
}

// timestamp parses what follows the fields: blanks and, if there is one, the timestamp.
func (p *Parser) timestamp(s []byte) (int64, string) {
	s = s[skipBlank(s, 0, len(s)):]
	if len(s) == 0 {
		return p.now, ""
	}
	n := bytes.IndexByte(s, ' ')
	if n < 0 {
		n = len(s)
	}
	digits, negative := s[:n], false
	if digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	v, ok, fits := parseDigits(digits, math.MaxInt64)
	if !ok {
		return 0, errTimestamp
	}
	if !fits || v > uint64(MaxTime/p.unit) {
		return 0, errTimeRange
	}
	for _, c := range s[n:] {
		if c != ' ' {
			return 0, errTrailing
		}
	}
	t := int64(v) * p.unit
	if negative {
		t = -t
	}
	return t, ""
}

func floor(t, unit int64) int64 {
	r := t % unit
	if r < 0 {
		r += unit
	}
	return t - r
}

// lineEnd returns the index of the first newline at or after pos, or len(body).
func lineEnd(body []byte, pos int) int {
	if i := bytes.IndexByte(body[pos:], '\n'); i >= 0 {
		return pos + i
	}
	return len(body)
}

func skipBlank(s []byte, i, end int) int {
	for i < end && (s[i] == ' ' || s[i] == '\t' || s[i] == 0) {
		i++
	}
	return i
}

func blankLine(body []byte, start, end int) bool {
	return start == end || start+1 == end && body[start] == '\r'
}

func trimReturn(s []byte) []byte {
	return bytes.TrimSuffix(s, []byte{'\r'})
}

// badLineEnd returns where the bad line that begins at start ends. A newline between quotes, or with a backslash before
// it, does not end the line, so that the rest of what was meant as one value is never taken for points.
func badLineEnd(body []byte, start int) int {
	fields, value, quoted := false, false, false
	for i := start; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case ' ':
			fields = true
		case '=':
			value = value || fields
		case ',':
			value = value && quoted
		case '"':
			quoted = quoted != value
		case '\n':
			if !quoted {
				return i
			}
		}
	}
	return len(body)
}

// newlineReason returns a better reason than reason where a name of the line that ends at end was cut by its newline.
func newlineReason(body []byte, end int, reason string) string {
	if end == len(body) || body[end-1] != '\\' {
		return reason
	}
	switch reason {
	case errNoFields, errTagKey, errTagValue, errTagFormat, errFieldFormat:
		return errNewline
	}
	return reason
}
