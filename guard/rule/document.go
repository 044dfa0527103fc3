package rule

import (
	"fmt"
	"strings"
)

// Document returns the rule's section of docs/guard/rules.md.
func (r *Rule) Document() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### <a id=%q></a>%s %s\n\n", r.Name, r.ID, r.Name)
	fmt.Fprintf(&b, "**%s**", r.Severity)
	if r.Fixable {
		b.WriteString(" · `check --fix` mends it")
	}
	fmt.Fprintf(&b, "\n\n%s\n\n*Why:* %s\n\n*To mend:* %s.\n", r.Catches, r.Why, r.Mend)
	if r.Setting != "" {
		fmt.Fprintf(&b, "\n*Settings:* %s.\n", r.Setting)
	}
	return b.String()
}

// Text returns what Document does, for a terminal.
func (r *Rule) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s)\n\n%s\n\nWhy: %s\n\nTo mend: %s.\n", r.ID, r.Name, r.Severity, r.Catches, r.Why, r.Mend)
	if r.Fixable {
		b.WriteString("\ncheck --fix mends it.\n")
	}
	if r.Setting != "" {
		fmt.Fprintf(&b, "\nSettings: %s.\n", r.Setting)
	}
	return b.String()
}

// Documents returns docs/guard/rules.md.
func Documents() string {
	var b strings.Builder
	b.WriteString("# Rules of holdfast-guard check\n\nMade from the code by `go test ./guard/rule -update`; do not edit.\n\n")
	b.WriteString("An error fails the check. How to waive a finding and how to turn a rule off is in [check.md](check.md). HG100 and above are about changes, and belong to `holdfast-guard diff`.\n\n| id | name | severity | mended by --fix |\n|---|---|---|---|\n")
	for _, r := range Catalogue() {
		fix := ""
		if r.Fixable {
			fix = "yes"
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r.ID, r.Name, r.Name, r.Severity, fix)
	}
	for _, r := range Catalogue() {
		b.WriteString("\n" + r.Document())
	}
	return b.String()
}
