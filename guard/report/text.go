package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// colours of a terminal.
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	blue   = "\x1b[34m"
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	plain  = "\x1b[0m"
)

var colourOf = map[finding.Severity]string{finding.Error: red, finding.Warning: yellow, finding.Info: blue}

// text writes for people.
type text struct {
	writer
	colour bool
}

func (t *text) paint(colour, s string) string {
	if !t.colour || s == "" {
		return s
	}
	return colour + s + plain
}

// Text writes for people: the gravest finding as the first line, then all of them grouped by file, then what was waived, what is not
// known, and the counts.
func (c *Check) Text(w io.Writer, colour bool) error {
	t := &text{writer{Writer: w}, colour}
	if len(c.Findings) > 0 {
		f := &c.Findings[0]
		t.printf("%s %s: %s\n", t.paint(colourOf[f.Severity]+bold, strings.ToUpper(f.Severity.String())), f.Rule, t.paint(bold, clean(headline(c.Findings))))
	}
	for _, group := range byFile(c.Findings) {
		t.printf("\n%s\n", t.paint(bold, clean(group[0].Path)))
		said := make(map[string]bool)
		for n := range group {
			t.finding(&group[n], said)
		}
	}
	t.after(c)
	return t.err
}

// headline is the gravest finding in a sentence, with what else its rule finds of the same Application: of one that lost many files no
// single file says so.
func headline(findings []finding.Finding) string {
	first := &findings[0]
	if first.Application == "" || first.Key == (object.Key{}) {
		return first.Message
	}
	var found []*finding.Finding
	for n := range findings {
		if f := &findings[n]; f.Rule == first.Rule && f.Severity == first.Severity && f.Application == first.Application {
			found = append(found, f)
		}
	}
	keys := keysOf(found)
	if len(keys) < 2 {
		return first.Message
	}
	return alike(first, keys)
}

// alike is a finding in a sentence, with the other objects of which it is the same.
func alike(first *finding.Finding, keys []object.Key) string {
	of, more := cmp.Or(first.Application, "others"), Counted(len(keys)-1, "object")
	return fmt.Sprintf("%s (and of %s it is the same with %s more: %s)", first.Message, of, more, object.Listing(keys[1:], 4))
}

// byFile groups findings by their files; the files are in the order of their gravest finding, and so is each group.
func byFile(findings []finding.Finding) [][]finding.Finding {
	place := make(map[string]int)
	var groups [][]finding.Finding
	for _, f := range findings {
		n, ok := place[f.Path]
		if !ok {
			n = len(groups)
			place[f.Path] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], f)
	}
	return groups
}

// finding writes one. How to mend what a rule finds is said once in a file.
func (t *text) finding(f *finding.Finding, said map[string]bool) {
	where := "-"
	if f.Line > 0 {
		where = fmt.Sprintf("%d:%d", f.Line, f.Column)
	}
	severity := fmt.Sprintf("%-7s", f.Severity)
	t.printf("  %7s  %s  %s  %s\n", where, t.paint(colourOf[f.Severity], severity), f.Rule, clean(f.Message))
	for _, r := range f.Related {
		t.printf("%27s%s\n", "", t.paint(faint, "see "+clean(r.String())))
	}
	if f.Fix != "" && !said[f.Rule] {
		said[f.Rule] = true
		t.printf("%27s%s\n", "", t.paint(faint, "to mend: "+f.Fix))
	}
}

// after writes what is below the findings.
func (t *text) after(c *Check) {
	if len(c.Findings) > 0 {
		t.printf("\n")
	}
	for _, line := range c.Fixed {
		t.printf("mended: %s\n", clean(line))
	}
	for _, w := range c.Waived {
		t.printf("waived until %s: %s: %s %s (%s)\n", w.Waiver.Expires.Format(time.DateOnly), clean(w.Place.String()), w.Rule, clean(w.Message), clean(w.Waiver.Reason))
	}
	for _, line := range c.Uncounted {
		t.printf("does not count: %s\n", clean(line))
	}
	for _, u := range c.Unanalysed {
		allowed := ""
		if u.Allowed {
			allowed = " (allowed)"
		}
		t.printf("not analysed%s: %s: %s: %s\n", allowed, clean(u.Place.String()), clean(u.Application), clean(u.Why))
	}
	counts := c.Counts()
	t.printf("%s, %s, %s in %s: %s, %s, %d waived\n", many(c.Applications, "Application"), many(c.Objects, "object"), many(c.Files, "file"), clean(c.Tree),
		t.paint(colourIf(counts[finding.Error], red), many(counts[finding.Error], "error")), t.paint(colourIf(counts[finding.Warning], yellow), many(counts[finding.Warning], "warning")), len(c.Waived))
}

func colourIf(n int, colour string) string {
	if n == 0 {
		return faint
	}
	return colour
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clean takes out what would move a terminal: names and paths come from files of others.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
