package replicate

import "bytes"

// lineEnd returns the length of the first line of body, its newline included. A newline inside a quoted string value does not
// end a line. body is canonical line protocol; a last line without newline ends with the body.
func lineEnd(body []byte) int {
	end := bytes.IndexByte(body, '\n') + 1
	if end == 0 {
		end = len(body)
	}
	if bytes.IndexByte(body[:end], '"') < 0 {
		return end
	}
	value, quoted := false, false
	for i := seriesEnd(body); i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = quoted != value // a quote in a field's key has no meaning
		case quoted:
		case c == '=':
			value = true
		case c == ',':
			value = false
		case c == '\n':
			return i + 1
		}
	}
	return len(body)
}

// seriesEnd returns the index of the space that ends the series key: the first that no backslash stands before.
func seriesEnd(line []byte) int {
	for i, c := range line {
		if c == ' ' && (i == 0 || line[i-1] != '\\') {
			return i
		}
	}
	return len(line)
}

// lineEnds appends the end offset of every line of body to dst.
func lineEnds(dst []int, body []byte) []int {
	for at := 0; at < len(body); {
		at += lineEnd(body[at:])
		dst = append(dst, at)
	}
	return dst
}

// lineTime returns the timestamp that ends a canonical line.
func lineTime(line []byte) (ns int64, ok bool) {
	line = bytes.TrimRight(line, "\n")
	at := bytes.LastIndexByte(line, ' ')
	if at < 0 {
		return 0, false
	}
	return parseInt(line[at+1:])
}

func parseInt(digits []byte) (int64, bool) {
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n < 1<<63
}
