// Package report writes what a check found: for people, and for the machines that show it to people.
//
// Every format has every finding that stands, with its place, and says what was waived and what was not analysed, as far as the format has
// a place for it. The order is that of the findings: the gravest first. A report is written whole or its error is returned; it decides
// nothing.
package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
)

// Unanalysed is an Application of which some objects are not known.
type Unanalysed struct {
	Application string        `json:"application"`
	Why         string        `json:"why"`
	Place       finding.Place `json:"place"`
	// Allowed says that the settings allow it.
	Allowed bool `json:"allowed,omitempty"`
}

// Check is what a check found.
type Check struct {
	// Tree names what was checked.
	Tree string
	// Applications, Objects and Files are how many there are.
	Applications, Objects, Files int
	Findings                     []finding.Finding
	Waived                       []finding.Waived
	Unanalysed                   []Unanalysed
	// Fixed has a line for each thing that was mended.
	Fixed []string
	// Off has the rules that the settings turn off, and why.
	Off map[string]string
	// Uncounted are the waivers and the edits of settings that a change brings itself.
	Uncounted []string
	// Version is the program's.
	Version string
}

// formats are the ways to write a check.
var formats = map[string]func(*Check, io.Writer) error{
	"text":   func(c *Check, w io.Writer) error { return c.Text(w, false) },
	"json":   (*Check).JSON,
	"sarif":  (*Check).SARIF,
	"junit":  (*Check).JUnit,
	"github": (*Check).GitHub,
	"gitlab": (*Check).GitLab,
}

// Formats returns the names of the formats.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Write writes a check in a format.
func (c *Check) Write(w io.Writer, format string) error {
	write, ok := formats[format]
	if !ok {
		names := Formats()
		return fmt.Errorf("-o %q is not understood: it is %s or %s", format, strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
	}
	return write(c, w)
}

// Counts returns how many findings of each severity stand.
func (c *Check) Counts() map[finding.Severity]int {
	counts := make(map[finding.Severity]int)
	for _, f := range c.Findings {
		counts[f.Severity]++
	}
	return counts
}

// writer remembers the first error of writing.
type writer struct {
	io.Writer
	err error
}

func (w *writer) printf(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.Writer, format, args...)
	}
}
