package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// SummaryLines is how many lines a reviewer gets at most.
const SummaryLines = 10

// Planned is a plan with what is wrong with it.
type Planned struct {
	*plan.Plan
	Findings []finding.Finding `json:"findings"`
	// Approved are findings that something outside the change has approved.
	Approved []finding.Finding `json:"approved,omitempty"`
	// Live says that tracking data and protections are those of clusters, and not of the base revision.
	Live bool `json:"live,omitempty"`
}

// Summary returns what a reviewer must know, the worst first, in SummaryLines lines at most.
func (p *Planned) Summary() []string {
	var lines []string
	created, updated, applications := 0, 0, 0
	for i := range p.Changes {
		c := &p.Changes[i]
		created, updated, applications = created+len(c.Created), updated+len(c.Updated), applications+1
		if losses := plan.Losses(c); losses != "" {
			lines = append(lines, c.Application.Name+" "+losses)
		}
	}
	if rest := len(lines) - (SummaryLines - 2); rest > 0 {
		lines = append(lines[:SummaryLines-2], fmt.Sprintf("… and %d more Applications lose objects", rest))
	}
	made := fmt.Sprintf("%s created and %s updated in %s", counted(created, "object"), counted(updated, "object"), counted(applications, "Application"))
	switch {
	case len(lines) > 0:
		lines = append(lines, made)
	case len(p.Unanalysed) > 0:
		lines = append(lines, fmt.Sprintf("Nothing is deleted where it is known, and %s not analysed: %s", counted(len(p.Unanalysed), "source"), made))
	default:
		lines = append(lines, "Nothing is deleted: "+made)
	}
	return lines
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// PlanText writes a plan for a terminal: the summary, what is wrong, and with full the fate of each object.
func PlanText(w io.Writer, p *Planned, full bool) error {
	b := new(strings.Builder)
	for _, line := range p.Summary() {
		fmt.Fprintln(b, line)
	}
	if len(p.Findings) > 0 {
		b.WriteByte('\n')
	}
	for _, f := range p.Findings {
		fmt.Fprintf(b, "%s %s %s\n", f.Rule, f.Severity, inPlace(f))
	}
	for _, f := range p.Approved {
		fmt.Fprintf(b, "%s approved %s\n", f.Rule, inPlace(f))
	}
	if full {
		writeChanges(b, p)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// inPlace is a finding's message after its place.
func inPlace(f finding.Finding) string {
	if f.Path == "" {
		return f.Message
	}
	return f.Place.String() + ": " + f.Message
}

func writeChanges(b *strings.Builder, p *Planned) {
	for _, c := range p.Changes {
		fmt.Fprintf(b, "\n%s (%s)%s\n", c.Application.Name, finding.Place{Path: c.Path, Line: c.Line}, added(c))
		for _, text := range c.Repointed {
			fmt.Fprintf(b, "  %s\n", text)
		}
		for _, text := range c.Notes {
			fmt.Fprintf(b, "  note: %s\n", text)
		}
		for _, e := range c.Effects {
			fmt.Fprintf(b, "  %-9s %s: %s\n", e.Fate, e.Key, e.Why)
		}
		for _, key := range c.Created {
			fmt.Fprintf(b, "  %-9s %s\n", "created", key)
		}
		for _, key := range c.Updated {
			fmt.Fprintf(b, "  %-9s %s\n", "updated", key)
		}
	}
	for _, text := range p.Unanalysed {
		fmt.Fprintf(b, "\nnot analysed: %s\n", text)
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
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(p)
}

// maxRows bounds the rows of the Markdown table: comments of pull requests are bounded.
const maxRows = 50

// PlanMarkdown writes a plan as the comment of a pull request.
func PlanMarkdown(w io.Writer, p *Planned) error {
	b := new(strings.Builder)
	summary := p.Summary()
	fmt.Fprintf(b, "### %s\n\n", escape(summary[0]))
	for _, line := range summary[1:] {
		fmt.Fprintf(b, "- %s\n", escape(line))
	}
	writeTable(b, p)
	if len(p.Findings) > 0 {
		fmt.Fprint(b, "\n| rule | where | what | how to go on |\n|---|---|---|---|\n")
	}
	for i, f := range p.Findings {
		if i == maxRows {
			fmt.Fprintf(b, "| | | … and %d more | |\n", len(p.Findings)-maxRows)
			break
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", f.Rule, escape(f.Place.String()), escape(f.Message), escape(f.Fix))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeTable(b *strings.Builder, p *Planned) {
	rows := 0
	for _, c := range p.Changes {
		for _, e := range c.Effects {
			if !e.Fate.Lost() && e.Fate != plan.Orphaned && e.Fate != plan.Unknown || e.Hook && !e.Stateful {
				continue
			}
			if rows == 0 {
				fmt.Fprint(b, "\n| Application | object | becomes | because |\n|---|---|---|---|\n")
			}
			if rows++; rows <= maxRows {
				fmt.Fprintf(b, "| %s | %s | **%s** | %s |\n", escape(c.Application.Name), escape(e.Key.String()), e.Fate, escape(e.Why))
			}
		}
	}
	if rows > maxRows {
		fmt.Fprintf(b, "| | … and %d more | | |\n", rows-maxRows)
	}
}

// escape keeps names from a repository from being read as Markdown or HTML.
func escape(text string) string {
	return strings.NewReplacer("\n", " ", "|", "\\|", "<", "&lt;", ">", "&gt;", "&", "&amp;", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "@", "&#64;").Replace(text)
}
