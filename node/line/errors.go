package line

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what an Error keeps, so that a hostile body cannot make the answer to it many times its own size.
const (
	// MaxExcerpt is the most bytes of a bad line that a LineError keeps. A longer line is cut before this and ends in "...".
	MaxExcerpt = 1024
	// MaxLineErrors is the most bad lines that an Error lists. The rest is counted in Error.More.
	MaxLineErrors = 10000
)

// LineError is one line that could not be parsed.
type LineError struct {
	// Line is the number of the line in the body, from 1. A line whose string values span several lines has the
	// number of its first.
	Line int
	// Text is the line without leading blanks and line end, at most MaxExcerpt bytes of it.
	Text string
	// Reason says what is wrong, in the words that clients of InfluxDB know.
	Reason string
}

func (e *LineError) Error() string {
	return "unable to parse '" + e.Text + "': " + e.Reason
}

// Error lists the bad lines of one body, in their order.
type Error struct {
	Lines []LineError
	// More is the number of bad lines beyond MaxLineErrors.
	More int
}

// Error returns one `unable to parse '<line>': <reason>` for each bad line, joined by newlines.
func (e *Error) Error() string {
	var s strings.Builder
	for i := range e.Lines {
		if i > 0 {
			s.WriteByte('\n')
		}
		s.WriteString(e.Lines[i].Error())
	}
	if e.More > 0 {
		s.WriteString("\nand ")
		s.WriteString(strconv.Itoa(e.More))
		s.WriteString(" more lines")
	}
	return s.String()
}

func (e *Error) add(line int, text []byte, reason string) {
	if len(e.Lines) == MaxLineErrors {
		e.More++
		return
	}
	e.Lines = append(e.Lines, LineError{Line: line, Text: excerpt(text), Reason: reason})
}

// excerpt returns text, cut to MaxExcerpt bytes without splitting a character.
func excerpt(text []byte) string {
	if len(text) <= MaxExcerpt {
		return string(text)
	}
	const mark = "..."
	cut := MaxExcerpt - len(mark)
	for n := 0; n < utf8.UTFMax-1 && !utf8.RuneStart(text[cut]); n++ {
		cut--
	}
	return string(text[:cut]) + mark
}

// The reasons that have no detail. Their words are those of InfluxDB's parser.
const (
	errMeasurement = "missing measurement"
	errTagKey      = "missing tag key"
	errTagValue    = "missing tag value"
	errTagFormat   = "invalid tag format"
	errTagTwice    = "duplicate tags"
	errReserved    = "cannot use reserved tag key"
	errNewline     = "newline in a name"
	errNoFields    = "missing fields"
	errFieldFormat = "invalid field format"
	errFieldKey    = "missing field key"
	errFieldValue  = "missing field value"
	errQuotes      = "unbalanced quotes"
	errNumber      = "invalid number"
	errFloat       = "invalid float"
	errBoolean     = "invalid boolean"
	errTimestamp   = "bad timestamp"
	errTimeRange   = "time outside range -9223372036854775806 - 9223372036854775806"
	errTrailing    = "point is invalid"
	errKeyLength   = "max key length exceeded"
)
