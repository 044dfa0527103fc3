// Package finding has what rules find: a sentence, how grave it is, where it is, and how to mend it.
package finding

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Severity says how grave a finding is.
type Severity int

// Severities. An error fails the check.
const (
	Info Severity = iota
	Warning
	Error
)

var severities = [...]string{"info", "warning", "error"}

func (s Severity) String() string { return severities[s] }

// MarshalText writes the severity as its word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severities[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no severity: info, warning and error are", text)
	}
	*s = Severity(i)
	return nil
}

// Place is a place in a file. Lines and columns begin at 1; 0 is the file as a whole.
type Place struct {
	Path   string `json:"path"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.Path
	}
	return fmt.Sprintf("%s:%d", p.Path, p.Line)
}

// Finding is one thing that a rule found.
type Finding struct {
	// Rule is the rule's id, as in HG001.
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Message says in one sentence what is wrong, and what it would lead to.
	Message string `json:"message"`
	// Fix says what to do.
	Fix   string `json:"fix,omitempty"`
	Place `json:"place"`
	// Key is the object that it is about, where it is about one.
	Key object.Key `json:"object,omitzero"`
	// Application is the name of the one whose object that is.
	Application string `json:"application,omitempty"`
	// Field is the way to the value in the object, by which Locate finds the line.
	Field []string `json:"field,omitempty"`
	// Related are other places that belong to it: the other origin of a duplicate.
	Related []Place `json:"related,omitempty"`
	// Loss is how many objects would be deleted because of it, where that is known.
	Loss int `json:"loss,omitempty"`
	// Risk is how many would be once something else changes too: of findings with equal losses, those with more come first.
	Risk int `json:"-"`
	// In is the object as its file has it, where it is about one.
	In *object.Object `json:"-"`
}

// Fingerprint is what stays the same of a finding while files move and lines shift: the rule and the object, or else the path.
func (f *Finding) Fingerprint() string {
	about := f.Path
	if f.Key != (object.Key{}) {
		about = f.Key.String()
	}
	hash := sha256.Sum256([]byte(f.Rule + "\x00" + about + "\x00" + f.Application + "\x00" + object.Field(f.Field)))
	return hex.EncodeToString(hash[:16])
}

// Gravest orders findings for a reader who reads one line only: errors first, and of those the ones that delete most.
func Gravest(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(int(b.Severity-a.Severity), b.Loss-a.Loss, cmp.Compare(a.Rule, b.Rule), b.Risk-a.Risk,
			tree.Compare(a.Path, b.Path), a.Line-b.Line, a.Column-b.Column, a.Key.Compare(b.Key), cmp.Compare(a.Message, b.Message))
	})
}

// Sort orders findings by path, line, column and rule: the same tree always gives the same text.
func Sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(tree.Compare(a.Path, b.Path), a.Line-b.Line, a.Column-b.Column, cmp.Compare(a.Rule, b.Rule), a.Key.Compare(b.Key), cmp.Compare(a.Message, b.Message))
	})
}
