package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// SummaryLines is how many lines a reviewer gets at most, and SummaryWidth how many characters each has.
const (
	SummaryLines = 10
	SummaryWidth = 600
)

// Planned is a plan with what is wrong with it.
type Planned struct {
	*plan.Plan
	Findings []finding.Finding `json:"findings"`
	// Approved are findings that something outside the change has approved.
	Approved []finding.Waived `json:"approved,omitempty"`
	// Expired are approvals that are over and let nothing pass, and Unused those that nothing of this change needs.
	Expired []*finding.Waiver `json:"expired,omitempty"`
	Unused  []*finding.Waiver `json:"unused,omitempty"`
	// Live says that tracking data and protections are those of clusters, and not of the base revision.
	Live bool `json:"live,omitempty"`
}

// Refused says whether something stands that fails the change.
func (p *Planned) Refused() bool {
	return slices.ContainsFunc(p.Findings, func(f finding.Finding) bool { return f.Severity == finding.Error })
}

// Summary returns what a reviewer must know, the worst first, in SummaryLines lines at most: what is lost and not approved, other findings
// that refuse the change, what is lost and approved, how much is made, and the verdict.
func (p *Planned) Summary() []string {
	worst, rest := p.losses()
	others := p.others()
	lines := slices.Concat(worst, others, rest)
	tail := p.verdict()
	if room := SummaryLines - len(tail); len(lines) > room {
		over := Counted(len(lines)-room+1, "more line") + " like these"
		if len(others) == 0 {
			over = Counted(len(lines)-room+1, "more Application") + " with losses"
		}
		lines = append(lines[:room-1], "… and "+over)
	}
	lines = append(lines, tail...)
	for n := range lines {
		lines[n] = short(clean(lines[n]), SummaryWidth)
	}
	return lines
}

// losses says what each Application loses: of those first with which something stands that fails the change.
func (p *Planned) losses() (worst, rest []string) {
	stands := make(map[string]bool)
	for i := range p.Findings {
		if f := &p.Findings[i]; f.Severity == finding.Error {
			stands[f.Application] = true
		}
	}
	approvers := p.approvers()
	for i := range p.Changes {
		c := &p.Changes[i]
		losses := plan.Losses(c)
		if losses == "" {
			continue
		}
		line := c.Application.Name + " " + losses
		if len(c.Repointed) > 0 && c.Path != "" {
			line += " (" + finding.Place{Path: c.Path, Line: c.Line}.String() + ")"
		}
		switch by := approvers[c.Application.Name]; {
		case stands[c.Application.Name]:
			worst = append(worst, line)
		case len(by) > 0:
			rest = append(rest, "approved by "+strings.Join(slices.Sorted(maps.Keys(by)), ", ")+": "+line)
		default:
			rest = append(rest, line)
		}
	}
	return worst, rest
}

// approvers are those who approved of something of each Application.
func (p *Planned) approvers() map[string]map[string]bool {
	all := make(map[string]map[string]bool)
	for i := range p.Approved {
		w := &p.Approved[i]
		if all[w.Application] == nil {
			all[w.Application] = make(map[string]bool)
		}
		all[w.Application][w.Waiver.By] = true
	}
	return all
}

// others says what fails the change of Applications that lose nothing now, a line for each rule and Application, and of the settings.
func (p *Planned) others() []string {
	lost := make(map[string]bool)
	for i := range p.Changes {
		if c := &p.Changes[i]; plan.Losses(c) != "" {
			lost[c.Application.Name] = true
		}
	}
	type of struct{ rule, application string }
	var order []of
	found := make(map[of][]*finding.Finding)
	for i := range p.Findings {
		f := &p.Findings[i]
		if f.Severity != finding.Error || lost[f.Application] && f.Rule != "HG104" || f.Rule == "HG100" {
			continue
		}
		at := of{f.Rule, f.Application}
		if found[at] == nil {
			order = append(order, at)
		}
		found[at] = append(found[at], f)
	}
	var lines []string
	for _, at := range order {
		lines = append(lines, together(at.application, found[at]))
	}
	return lines
}

// together says in one sentence what several findings of one rule about one Application are.
func together(application string, found []*finding.Finding) string {
	first := found[0]
	keys := keysOf(found)
	switch {
	case first.Rule == "HG104" && application != "":
		return fmt.Sprintf("%s: %s left without protection, which the next change can delete (%s)", application, are(len(keys), "object"), object.Listing(keys, 4))
	case len(found) == 1:
		return first.Message
	case len(keys) < 2:
		return fmt.Sprintf("%s (and %s)", first.Message, Counted(len(found)-1, "more finding"))
	}
	return alike(first, keys)
}

// keysOf returns the objects of findings, each once.
func keysOf(found []*finding.Finding) []object.Key {
	seen := map[object.Key]bool{{}: true}
	var keys []object.Key
	for _, f := range found {
		if !seen[f.Key] {
			seen[f.Key], keys = true, append(keys, f.Key)
		}
	}
	return keys
}

// row is a line of a table of findings: one, or several of one rule about one Application.
type row struct {
	Rule, Message, Fix string
	Severity           finding.Severity
	Place              finding.Place
}

// rows gathers findings for tables, in the order of the first of each.
func rows(findings []finding.Finding) []row {
	type of struct {
		rule, application string
		severity          finding.Severity
	}
	var order []of
	found := make(map[of][]*finding.Finding)
	for n := range findings {
		f := &findings[n]
		at := of{f.Rule, f.Application, f.Severity}
		if found[at] == nil {
			order = append(order, at)
		}
		found[at] = append(found[at], f)
	}
	all := make([]row, 0, len(order))
	for _, at := range order {
		first := found[at][0]
		if len(found[at]) <= maxAlike {
			for _, f := range found[at] {
				all = append(all, row{f.Rule, f.Message, f.Fix, f.Severity, f.Place})
			}
			continue
		}
		all = append(all, row{first.Rule, together(at.application, found[at]), first.Fix, first.Severity, first.Place})
	}
	return all
}

// maxAlike is how many findings of one rule about one Application have a row of their own each.
const maxAlike = 3

// verdict says how much is made, whether the change passes, and what of the approvals someone should look at.
func (p *Planned) verdict() []string {
	lines := []string{p.made()}
	if text := ofRules(p.Findings, finding.Error); text != "" {
		lines = append(lines, "Refused: "+text)
	}
	if len(p.Approved) > 0 {
		all := make([]finding.Finding, 0, len(p.Approved))
		for _, w := range p.Approved {
			all = append(all, w.Finding)
		}
		lines = append(lines, "Approved: "+ofRules(all, finding.Info)+", "+p.approvals())
	}
	var look []string
	if n := len(p.Expired); n > 0 {
		w := p.Expired[0]
		look = append(look, fmt.Sprintf("%s over, as %s of %s since %s", are(n, "approval"), w.Place, w.By, w.Expires.Format(time.DateOnly)))
	}
	if n := len(p.Unused); n > 0 {
		look = append(look, fmt.Sprintf("%s of no use here, as %s of %s", are(n, "approval"), p.Unused[0].Place, p.Unused[0].By))
	}
	if len(look) > 0 {
		lines = append(lines, strings.Join(look, "; "))
	}
	if n := len(p.Unknown); n == 1 {
		lines = append(lines, "Not known of the clusters: "+p.Unknown[0])
	} else if n > 1 {
		lines = append(lines, fmt.Sprintf("Not known of the clusters: %s, and %d more", p.Unknown[0], n-1))
	}
	return lines
}

// are returns "1 approval is" and "2 approvals are".
func are(n int, word string) string {
	if n == 1 {
		return "1 " + word + " is"
	}
	return fmt.Sprintf("%d %ss are", n, word)
}

// approvals says by whom, why and until when, of the first approval, and how many more there are.
func (p *Planned) approvals() string {
	used := make(map[*finding.Waiver]bool)
	for i := range p.Approved {
		used[p.Approved[i].Waiver] = true
	}
	all := slices.Collect(maps.Keys(used))
	slices.SortFunc(all, func(a, b *finding.Waiver) int {
		return cmp.Or(cmp.Compare(a.Place.Path, b.Place.Path), a.Place.Line-b.Place.Line)
	})
	text := approval(all[0])
	if more := len(all) - 1; more > 0 {
		text += fmt.Sprintf(", and by %s more", Counted(more, "approval"))
	}
	return text
}

// approval says by whom, why and until when.
func approval(w *finding.Waiver) string {
	return fmt.Sprintf("by %s until %s (%s; %s)", w.By, w.Expires.Format(time.DateOnly), w.Reason, w.Place)
}

// ofRules counts findings by their rules: "HG101 12 times, HG102".
func ofRules(findings []finding.Finding, least finding.Severity) string {
	counts := make(map[string]int)
	for _, f := range findings {
		if f.Severity >= least {
			counts[f.Rule]++
		}
	}
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		text := id
		if r := plan.RuleOf(id); r != nil {
			text += " " + r.Name
		}
		if counts[id] > 1 {
			text += fmt.Sprintf(" (%d)", counts[id])
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// made says how much is lost, created and updated in all, and that nothing is deleted where that is so.
func (p *Planned) made() string {
	created, updated, lost, stateful, orphaned, left := 0, 0, 0, 0, false, false
	for i := range p.Changes {
		c := &p.Changes[i]
		created, updated = created+len(c.Created), updated+len(c.Updated)
		for _, e := range c.Effects {
			orphaned = orphaned || e.Fate == plan.Orphaned || e.Fate == plan.Unknown
			left = left || e.Waits != ""
			if e.Fate.Lost() {
				lost++
				stateful += one(e.Stateful)
			}
		}
	}
	made := fmt.Sprintf("%s created and %s updated in %s", Counted(created, "object"), Counted(updated, "object"), Counted(len(p.Changes), "Application"))
	switch {
	case lost > 0:
		return fmt.Sprintf("In all %s, %d of them stateful; %s", are(lost, "object")+" lost", stateful, made)
	case len(p.Unanalysed) > 0:
		return fmt.Sprintf("Nothing is deleted where it is known, and %s not analysed: %s", are(len(p.Unanalysed), "source"), made)
	case orphaned:
		return made
	case left:
		return "Nothing is deleted yet: " + made
	}
	if slices.ContainsFunc(p.Findings, func(f finding.Finding) bool { return f.Rule == "HG114" }) {
		return "Nothing is deleted that the base has: " + made
	}
	return "Nothing is deleted: " + made
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Counted returns "1 object" and "2 objects".
func Counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// short cuts a text to that many characters.
func short(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	runes := []rune(text)
	return string(runes[:most-1]) + "…"
}
