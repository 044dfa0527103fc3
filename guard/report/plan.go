package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// PlanText writes a plan for a terminal: the summary, and with full what is wrong, one by one, and the fate of each object.
func PlanText(w io.Writer, p *Planned, full bool) error {
	b := new(strings.Builder)
	for _, line := range p.Summary() {
		fmt.Fprintln(b, line)
	}
	if full {
		writeFindings(b, p)
		writeChanges(b, p)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFindings writes what stands, what was approved, and the approvals that are not what somebody may think.
func writeFindings(b *strings.Builder, p *Planned) {
	b.WriteByte('\n')
	for _, f := range p.Findings {
		fmt.Fprintf(b, "%s %s %s\n", f.Rule, f.Severity, clean(inPlace(f)))
	}
	for _, w := range p.Approved {
		fmt.Fprintf(b, "%s approved %s: %s\n", w.Rule, clean(approval(w.Waiver)), clean(inPlace(w.Finding)))
	}
	for _, w := range p.Expired {
		fmt.Fprintf(b, "approval over: %s\n", clean(wanted(w)))
	}
	for _, w := range p.Unused {
		fmt.Fprintf(b, "approval of no use here: %s\n", clean(wanted(w)))
	}
}

// wanted says what an approval is about, and whose it is.
func wanted(w *finding.Waiver) string {
	var of []string
	for _, part := range []string{w.Object, w.Application, w.Path} {
		if part != "" {
			of = append(of, part)
		}
	}
	return strings.Join(w.Rules, ", ") + " of " + strings.Join(of, ", ") + " " + approval(w)
}

// inPlace is a finding's message after its place.
func inPlace(f finding.Finding) string {
	if f.Path == "" {
		return f.Message
	}
	return f.Place.String() + ": " + f.Message
}

func writeChanges(b *strings.Builder, p *Planned) {
	say := func(format string, args ...any) { fmt.Fprintln(b, clean(fmt.Sprintf(format, args...))) }
	for _, c := range p.Changes {
		b.WriteByte('\n')
		say("%s (%s)%s", c.Application.Name, finding.Place{Path: c.Path, Line: c.Line}, added(c))
		for _, text := range c.Repointed {
			say("  %s", text)
		}
		for _, text := range c.Notes {
			say("  note: %s", text)
		}
		for _, e := range c.Effects {
			say("  %-9s %s: %s", e.Fate, e.Key, e.Why+basis(e))
		}
		for _, key := range c.Created {
			say("  %-9s %s", "created", key)
		}
		for _, key := range c.Updated {
			say("  %-9s %s", "updated", key)
		}
	}
	for _, text := range p.Unknown {
		b.WriteByte('\n')
		say("not known: %s", text)
	}
	for _, text := range p.Unanalysed {
		b.WriteByte('\n')
		say("not analysed: %s", text)
	}
}

func added(c plan.Change) string {
	switch {
	case c.Added:
		return ", new"
	case c.Fate != plan.Untouched:
		return ", " + c.Fate.String()
	}
	return ""
}

// PlanJSON writes a plan as one JSON object.
func PlanJSON(w io.Writer, p *Planned) error {
	return encode(w, struct {
		Schema  int      `json:"schema"`
		Summary []string `json:"summary"`
		Refused bool     `json:"refused"`
		*Planned
	}{Schema, p.Summary(), p.Refused(), p})
}
