// Package conf reads configuration texts: from files, directories, URLs and the default places, and splits each into its
// tables, so that the rooms of the node and Telegraf's loader each get the tables they know and never see the others'.
//
// It promises that every table keeps the line numbers of the text it came from, that an environment value can fill a value
// but never add a key or a table (unless the textual mode is asked for), and that an unknown key is an error that names file, line and the
// nearest key that exists. It does not know what any table means.
package conf

import (
	"errors"
	"fmt"

	"github.com/influxdata/toml"
)

// Error is a mistake in a configuration text.
type Error struct {
	File string
	Line int // from 1; 0 when the mistake has no line
	Err  error
}

// Error returns `file:line: text`.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns the mistake without its place.
func (e *Error) Unwrap() error { return e.Err }

// at places err in file: at the line that the TOML library found, or else at the given one.
func at(file string, line int, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	if le := new(toml.LineError); errors.As(err, &le) {
		return &Error{File: file, Line: le.Line, Err: le.Err}
	}
	return &Error{File: file, Line: line, Err: err}
}

// Secret is a value that is never printed. Reveal is the only way to it.
type Secret string

const redacted = "[secret]"

// Reveal returns the value itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the value from fmt and slog.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
