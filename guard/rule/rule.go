// Package rule is the catalogue of what is wrong in a repository that Argo CD reads, as far as one state of it shows: HG001 to HG099.
//
// A rule looks at an inventory and finds. It never reads a cluster, and it holds the objects of one revision only; what a change deletes is
// in package plan. Each rule takes time in proportion to the objects: none compares them pairwise. An error is something that deletes,
// or leaves open a way to delete, what nobody meant to; everything that may be meant is at most a warning.
package rule

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Rule is one of the catalogue.
type Rule struct {
	// ID and Name never change: waivers and the stored findings of others use them.
	ID, Name string
	Severity finding.Severity
	// Catches says what it finds, Why what comes of that, and Mend what to do. They are the rule's document.
	Catches, Why, Mend string
	// Fixable says that check --fix mends it, where that changes nothing else.
	Fixable bool
	// Setting says what of guard.yaml it needs or heeds.
	Setting string

	run func(*pass)
}

// Catalogue returns all rules, by their ids.
func Catalogue() []*Rule {
	rules := slices.Concat(identityRules(), conventionRules(), layoutRules(), renderRules(), generatorRules(), protectionRules(), syncRules(), storageRules(), waiverRules())
	slices.SortFunc(rules, func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) })
	return rules
}

// IDs returns the ids of all rules.
func IDs() []string {
	var ids []string
	for _, r := range Catalogue() {
		ids = append(ids, r.ID)
	}
	return ids
}

// pass is one rule at work.
type pass struct {
	*check
	rule *Rule
}

// Run has all rules look at an inventory that was loaded with Keep(config). The findings are in finding.Gravest's order and at their exact
// places. It returns also the waivers that objects carry.
func Run(ctx context.Context, i *inventory.Inventory, config *Config) ([]finding.Finding, []*finding.Waiver, error) {
	c, err := newCheck(i, config)
	if err != nil {
		return nil, nil, err
	}
	c.ctx = ctx
	for _, r := range Catalogue() {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if _, off := config.Off[r.ID]; off || r.run == nil {
			continue
		}
		r.run(&pass{c, r})
		if c.err != nil {
			return nil, nil, fmt.Errorf("%s: %w", r.ID, c.err)
		}
	}
	if err := finding.Locate(c.findings, c.read); err != nil {
		return nil, nil, err
	}
	finding.Gravest(c.findings)
	return c.findings, c.waivers, nil
}

// Keep returns the kinds that rules want whole, beside those that the inventory keeps.
func Keep(config *Config) object.Kinds {
	kinds := make(object.Kinds)
	for _, k := range config.Stateful {
		kinds[k] = true
	}
	return kinds
}

// find adds a finding about an object. field is the way to the value that is wrong, or that is missing.
func (p *pass) find(o inventory.Origin, field []string, message string, args ...any) *finding.Finding {
	f := p.findFile(finding.Place{Path: o.Path, Line: o.Object.Line, Column: o.Object.Column}, message, args...)
	f.Key, f.Field, f.In = p.key(o), field, o.Object
	if p.makers[o.Object] != nil { // its file is a template, which has no such field
		f.Field = nil
	}
	if a := p.reader(o); a != nil {
		f.Application = a.Metadata.Name
	}
	return f
}

// findFile adds a finding about a file, or about a place in it.
func (p *pass) findFile(place finding.Place, message string, args ...any) *finding.Finding {
	severity := p.rule.Severity
	if s, ok := p.config.Severities[p.rule.ID]; ok {
		severity = s
	}
	p.findings = append(p.findings, finding.Finding{Rule: p.rule.ID, Severity: severity, Message: fmt.Sprintf(message, args...), Fix: p.rule.Mend, Place: place})
	return &p.findings[len(p.findings)-1]
}

// lower makes a finding graver or less grave than its rule, unless the settings say how grave the rule is.
func (p *pass) lower(f *finding.Finding, s finding.Severity) {
	if _, set := p.config.Severities[p.rule.ID]; !set {
		f.Severity = s
	}
}

// way is a way to a field.
func way(steps ...string) []string { return steps }

func place(o inventory.Origin) finding.Place {
	return finding.Place{Path: o.Path, Line: o.Object.Line, Column: o.Object.Column}
}
