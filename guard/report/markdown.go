package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// MarkdownSize is how many characters GitHub takes for a comment.
const MarkdownSize = 65_536

// cutOff is what a comment ends with that had to be cut.
const cutOff = "\n**This comment is cut: the whole has %s. `holdfast-guard diff --full` shows it.**\n"

// comment is Markdown that stays within a size. A row that does not fit is left out, and so is everything after it.
type comment struct {
	strings.Builder
	left int // in characters
	over int // parts that were left out
}

// add adds whole lines.
func (c *comment) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n := utf8.RuneCountInString(text); c.over == 0 && n <= c.left {
		c.WriteString(text)
		c.left -= n
		return
	}
	c.over++
}

// PlanMarkdown writes a plan as the comment of a pull request, of MarkdownSize characters at most: the summary, what stands, what was
// approved, and what becomes of each object that does not simply stay.
func PlanMarkdown(w io.Writer, p *Planned) error {
	c := &comment{left: MarkdownSize - utf8.RuneCountInString(cutOff) - len("4294967295 rows more")}
	summary := p.Summary()
	c.add("### %s\n\n", escape(summary[0]))
	for _, line := range summary[1:] {
		c.add("- %s\n", escape(line))
	}
	c.standing(p)
	c.approvals(p)
	c.objects(p)
	c.list("Not known of the clusters", p.Unknown)
	c.list("Not analysed", p.Unanalysed)
	if c.over > 0 {
		fmt.Fprintf(c, cutOff, Counted(c.over, "row")+" more")
	}
	_, err := io.WriteString(w, c.String())
	return err
}

// list writes texts under a title.
func (c *comment) list(title string, texts []string) {
	for n, text := range texts {
		if n == 0 {
			c.add("\n#### %s\n\n", title)
		}
		c.add("- %s\n", escape(text))
	}
}

// standing writes the findings.
func (c *comment) standing(p *Planned) {
	for n, f := range rows(p.Findings) {
		if n == 0 {
			c.add("\n#### What is wrong\n\n| rule | where | what | how to go on |\n|---|---|---|---|\n")
		}
		c.add("| %s | %s | %s | %s |\n", f.Rule, escape(f.Place.String()), escape(f.Message), escape(f.Fix))
	}
}

// approvals writes what was approved, and the approvals that someone should look at.
func (c *comment) approvals(p *Planned) {
	for n, w := range p.Approved {
		if n == 0 {
			c.add("\n#### What was approved\n\n| rule | what | by | until | why | where |\n|---|---|---|---|---|---|\n")
		}
		a := w.Waiver
		c.add("| %s | %s | %s | %s | %s | %s |\n", w.Rule, escape(w.Message), escape(a.By), a.Expires.Format(time.DateOnly), escape(a.Reason), escape(a.Place.String()))
	}
	for _, of := range []struct {
		title string
		list  []*finding.Waiver
	}{{"Approvals that are over", p.Expired}, {"Approvals of no use here", p.Unused}} {
		for n, w := range of.list {
			if n == 0 {
				c.add("\n#### %s\n\n", of.title)
			}
			c.add("- %s\n", escape(wanted(w)))
		}
	}
}

// objects writes what becomes of objects that do not simply stay.
func (c *comment) objects(p *Planned) {
	head := "\n#### What becomes of the objects\n\n| Application | object | becomes | because |\n|---|---|---|---|\n"
	for _, change := range p.Changes {
		for _, e := range change.Effects {
			if !e.Fate.Lost() && e.Fate != plan.Orphaned && e.Fate != plan.Unknown || e.Hook && !e.Stateful {
				continue
			}
			c.add("%s| %s | %s | **%s** | %s |\n", head, escape(change.Application.Name), escape(e.Key.String()), e.Fate, escape(e.Why+basis(e)))
			head = ""
		}
	}
}

// escape keeps names from a repository from being read as Markdown or HTML, and from calling people or linking to issues.
func escape(text string) string { return escapes.Replace(clean(text)) }

var escapes = strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", ">", "&gt;", "&", "&amp;", "`", "\\`", "*", "\\*", "_", "\\_",
	"[", "\\[", "]", "\\]", "~", "\\~", "#", "&#35;", "!", "&#33;", "@", "&#64;", "://", "&#58;//", "www.", "www&#46;")
