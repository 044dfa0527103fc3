package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/report"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// gate is what a change is judged by. Nothing of it comes from the change itself: it is of the base revision, or of files outside of the
// repository, for whoever writes a change also writes what is in its head.
type gate struct {
	settings *settings.Settings
	// outside says that the settings are of a file, and those in the repository count for nothing.
	outside   bool
	unread    error // why the settings of the base could not be read; the defaults count then
	limits    plan.Thresholds
	approvals []*finding.Waiver
}

// gate reads what a change is judged by. Its errors are those of whoever runs the command.
func (d *diff) gate(ctx context.Context, base tree.Tree) (*gate, error) {
	g := &gate{outside: d.settings != ""}
	err := isOutside(ctx, d.repository, "settings", d.settings)
	if err == nil {
		err = isOutside(ctx, d.repository, "approvals", d.approvals)
	}
	if err != nil {
		return nil, err
	}
	if g.outside {
		if g.settings, err = settings.Read(d.settings, false); err != nil {
			return nil, err
		}
	} else if g.settings, g.unread = d.standing(ctx, base); g.unread != nil {
		if g.settings, err = settings.Parse(nil); err != nil {
			return nil, err
		}
	}
	g.approvals = g.settings.Approvals()
	if d.approvals != "" {
		more, err := settings.ReadApprovals(d.approvals)
		if err != nil {
			return nil, err
		}
		g.approvals = append(slices.Clip(g.approvals), more...)
	}
	g.limits.Objects, g.limits.Percent = g.settings.Limits()
	if d.objects {
		g.limits.Objects = d.limits.Objects
	}
	if d.percent {
		g.limits.Percent = d.limits.Percent
	}
	return g, nil
}

// standing reads the settings that count: those of the base, and where HEAD parted from a branch, those that the branch has now.
func (d *diff) standing(ctx context.Context, base tree.Tree) (*settings.Settings, error) {
	if d.tip == "" {
		return settings.In(base)
	}
	tip, err := tree.Revision(ctx, d.repository, d.tip)
	if err != nil {
		return nil, err
	}
	s, err := settings.In(tip)
	return s, errors.Join(err, tip.Close())
}

// isOutside refuses a file that is in the repository: the checkout has it as the change wants it.
func isOutside(ctx context.Context, repository, flag, file string) error {
	if file == "" {
		return nil
	}
	root, err := tree.Root(ctx, repository)
	if err != nil {
		return err
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	inside, err := filepath.Rel(root, file)
	if err == nil && inside != ".." && !strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		return fmt.Errorf("--%s: %s is in the repository, where the change can edit it: give one outside of it, or let guard.yaml of the base have it", flag, file)
	}
	return nil
}

// edit is what a change makes of the settings.
type edit struct {
	settings.Edit
	// hides says that objects which Argo CD has would not be seen any more, or that nobody knows.
	hides bool
}

// edits finds what a change edits in the settings that weakens what later changes are judged by.
func (g *gate) edits(ctx context.Context, base, head tree.Tree, before *inventory.Inventory) ([]edit, error) {
	if g.outside {
		return nil, nil
	}
	at := finding.Place{Path: settings.Name}
	if g.unread != nil {
		return []edit{{Edit: settings.Edit{Text: fmt.Sprintf("the settings of the base are not readable, and the defaults count: %v", g.unread), Place: at}}}, nil
	}
	after, err := settings.In(head)
	if err != nil {
		return []edit{{settings.Edit{Text: fmt.Sprintf("it is not readable: %v", err), Place: at}, true}}, nil
	}
	was, err := settings.In(base)
	if err != nil { // the branch has mended them since
		was = g.settings
	}
	var edits []edit
	for _, e := range settings.Weakened(was, after) {
		edits = append(edits, edit{Edit: e})
	}
	if len(edits) == 0 {
		return nil, nil
	}
	hidden, err := hidden(ctx, base, before, after)
	for _, text := range hidden {
		edits = append(edits, edit{settings.Edit{Text: text, Place: at}, true})
	}
	return edits, err
}

// hidden says which objects of the base other settings do not let one see.
func hidden(ctx context.Context, base tree.Tree, before *inventory.Inventory, after *settings.Settings) ([]string, error) {
	options, err := after.Inventory()
	if err != nil {
		return nil, err
	}
	options.Cache = before.Options.Cache
	blind, err := inventory.Load(ctx, base, options)
	if err != nil {
		return nil, err
	}
	seen := make(map[object.Key]map[object.Key]inventory.Target)
	for _, a := range blind.Applications {
		seen[a.Key()] = a.Standing()
	}
	var texts []string
	for _, a := range before.Applications {
		var keys []object.Key
		for key := range a.Standing() {
			if _, ok := seen[a.Key()][key]; !ok {
				keys = append(keys, key)
			}
		}
		if len(keys) > 0 {
			count := report.Counted(len(keys), "object")
			texts = append(texts, fmt.Sprintf("with that, %s of %s would not be seen any more (%s)", count, a.Metadata.Name, object.Listing(keys, 4)))
		}
	}
	return texts, nil
}

// judge fills in what stands of the findings, what is approved, and what became of the approvals. An edit of the settings fails a change
// that something else fails too, or that hides what there is; alone it is a warning, for people to see.
func (g *gate) judge(p *report.Planned, findings []finding.Finding, edits []edit, now time.Time) {
	open, _, _ := finding.Waive(findings, g.approvals, now)
	refused := slices.ContainsFunc(open, func(f finding.Finding) bool { return f.Severity == finding.Error })
	r := plan.RuleOf("HG111")
	for _, e := range edits {
		message := settings.Name + " is edited, and counts as the base has it: " + e.Text
		f := finding.Finding{Rule: r.ID, Severity: finding.Warning, Message: message, Fix: r.Fix, Place: e.Place}
		if refused || e.hides {
			f.Severity = finding.Error
		}
		findings = append(findings, f)
	}
	p.Findings, p.Approved, p.Unused = finding.Waive(findings, g.approvals, now)
	slices.SortStableFunc(p.Findings, func(a, b finding.Finding) int { return int(b.Severity - a.Severity) })
	p.Unused = slices.DeleteFunc(p.Unused, func(w *finding.Waiver) bool { return w.Over(now) })
	for _, w := range g.approvals {
		if w.Over(now) {
			p.Expired = append(p.Expired, w)
		}
	}
}
