package rule

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// The rules about waivers cannot be waived.
const (
	waiverOver    = "HG090"
	waiverInvalid = "HG091"
	waiverUnused  = "HG092"
)

func waiverRules() []*Rule {
	return []*Rule{
		{ID: waiverOver, Name: "waiver-expired", Severity: finding.Error,
			Catches: "A waiver whose last day is past. It lets nothing pass any more. This rule cannot be waived.",
			Why:     "A waiver is a promise to come back to it.",
			Mend:    "mend what was waived, or decide again and give the waiver another day"},
		{ID: waiverInvalid, Name: "waiver-invalid", Severity: finding.Error,
			Catches: "A waiver in an annotation or a comment without a reason or a last day, or with an id that no rule has. This rule cannot be waived.",
			Why:     "It would let nothing pass, or what nobody decided.",
			Mend:    "write holdfast.dev/waive: HG040 reason=WHY; expires=YYYY-MM-DD", run: waivers},
		{ID: waiverUnused, Name: "waiver-unused", Severity: finding.Warning,
			Catches: "A waiver that no finding needs.",
			Why:     "It would let the next mistake pass that looks like the one that is mended.",
			Mend:    "remove the waiver"},
	}
}

// waivers reads those that objects carry, in an annotation or in a comment of their document.
func waivers(p *pass) {
	field := way("metadata", "annotations", finding.WaiveAnnotation)
	p.each(func(o inventory.Origin) {
		annotation, ok := o.Object.Annotations[finding.WaiveAnnotation]
		if !ok {
			return
		}
		read, err := finding.ParseWaivers(annotation)
		if err != nil {
			p.find(o, field, "the waiver of %s waives nothing: %v", p.key(o), err)
			return
		}
		p.carried(o.Object, read, place(o), func(message string, args ...any) { p.find(o, field, message, args...) })
	})
	for n := range p.Files {
		if f := &p.Files[n]; f.File != nil && len(f.Comments) > 0 && p.looked(f) {
			p.comments(f)
		}
	}
}

// Carried returns the waivers that the objects of an inventory carry.
func Carried(ctx context.Context, i *inventory.Inventory, config *Config) ([]*finding.Waiver, error) {
	c, err := newCheck(i, config)
	if err != nil {
		return nil, err
	}
	c.ctx = ctx
	waivers(&pass{c, ruleOf(waiverRules(), waiverInvalid)})
	return c.waivers, c.err
}

// comments reads those of a file. A list has one document for many objects: which of them is meant cannot be said there.
func (p *pass) comments(f *inventory.File) {
	for _, c := range f.Comments {
		at := finding.Place{Path: f.Path, Line: c.Line, Column: 1}
		find := func(message string, args ...any) { p.findFile(at, message, args...) }
		read, err := finding.ParseWaivers(c.Text)
		i := slices.IndexFunc(f.Objects, func(o object.Object) bool { return o.Document == c.Document })
		switch {
		case err != nil:
			find("the waiver of this comment waives nothing: %v", err)
		case i < 0 || f.Objects[i].Item > 0:
			find("the waiver of this comment waives nothing: its document is not one object; write it above the object, or as an annotation of it")
		default:
			p.carried(&f.Objects[i], read, at, find)
		}
	}
}

// carried adds waivers that an object carries.
func (p *pass) carried(by *object.Object, read []*finding.Waiver, at finding.Place, find func(string, ...any)) {
	for _, w := range read {
		for _, id := range w.Rules {
			if !known(id) {
				find("the waiver of %s names %s, which no rule has%s", by.Key, id, meant(id))
			}
		}
		w.In, w.Place = by, at
		p.waivers = append(p.waivers, w)
	}
}

func known(id string) bool { return slices.Contains(IDs(), id) }

func meant(id string) string {
	if near := nearest.Of(id, IDs()); near != "" {
		return ": is " + near + " meant?"
	}
	return ""
}

// Result is what a check found, after waivers.
type Result struct {
	Findings []finding.Finding
	Waived   []finding.Waived
	Waivers  []*finding.Waiver
}

// Waive applies the waivers of objects and of the settings, and adds what the rules about waivers find.
func Waive(findings []finding.Finding, all []*finding.Waiver, config *Config, now time.Time) Result {
	own := map[string]bool{waiverOver: true, waiverInvalid: true, waiverUnused: true}
	var locked, rest []finding.Finding
	for _, f := range findings {
		if own[f.Rule] {
			locked = append(locked, f)
		} else {
			rest = append(rest, f)
		}
	}
	open, waived, unused := finding.Waive(rest, all, now)
	p := &pass{check: &check{config: config}}
	rules := waiverRules()
	for _, w := range all {
		if w.Over(now) {
			p.about(ruleOf(rules, waiverOver), w, "the waiver of %s (%s) is over since %s", strings.Join(w.Rules, ", "), w.Reason, w.Expires.Format(time.DateOnly))
		}
	}
	for _, w := range unused {
		if !w.Over(now) && now.Before(w.Expires) {
			p.about(ruleOf(rules, waiverUnused), w, "the waiver of %s (%s) waives nothing", strings.Join(w.Rules, ", "), w.Reason)
		}
	}
	r := Result{Findings: append(append(open, locked...), p.findings...), Waived: waived, Waivers: all}
	finding.Gravest(r.Findings)
	return r
}

// about adds a finding about a waiver.
func (p *pass) about(r *Rule, w *finding.Waiver, message string, args ...any) {
	if _, off := p.config.Off[r.ID]; off {
		return
	}
	f := (&pass{p.check, r}).findFile(w.Place, message, args...)
	if w.In != nil {
		f.Key, f.In = w.In.Key, w.In
	}
}
