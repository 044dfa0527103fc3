package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/report"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
	"github.com/holdfast-telemetry/holdfast/internal/commandline"
)

func init() { commands = append(commands, (*app).diffCommand) }

// diff is the diff command with its flags.
type diff struct {
	*app
	repository  string
	output      string
	to          string
	full        bool
	cacheFolder string
	settings    string
	approvals   string
	limits      plan.Thresholds
	// objects and percent say that the flags, and not the settings, have the limits.
	objects, percent bool
	live             liveFlags
	// allow lets sources be unknown, beside those that the settings allow; blind says that there are others.
	allow, blind bool
	// parted compares HEAD with where it parted from BASE, and not BASE with the merge. tip is then BASE: its settings and approvals count
	// as they are now.
	parted bool
	tip    string
}

func (a *app) diffCommand() *cobra.Command {
	d := diff{app: a}
	cmd := &cobra.Command{
		Use:   "diff BASE..HEAD",
		Short: "Say what Argo CD would delete, create and change between two revisions",
		Long: `Say what Argo CD would delete, create and change between two revisions, without a cluster; or, with --live, from what lives instead of
what BASE says: which objects Argo CD counts as its own, and what protects them.

BASE..HEAD compares the two; BASE...HEAD compares BASE with what merging HEAD into it makes, for what both have since they parted counts
together. It needs git 2.38 or newer, and no conflict; with --merge-base HEAD is compared with where it parted from BASE. Without HEAD it
is the folder as it is on the disk.

The settings and the approvals are those of guard.yaml in BASE as it is now, or of files outside of the repository: a change does not judge itself.

Exit codes: 0 nothing of error severity stands; 1 findings; 2 the command line, the settings or the approvals are wrong; 3 something
could not be read, asked or written, or is not analysed and not allowed to be.`,
		Args: commandline.Arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.objects, d.percent = cmd.Flags().Changed("max-deleted"), cmd.Flags().Changed("max-deleted-percent")
			return d.run(cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.repository, "repo", ".", "the repository")
	flags.StringVarP(&d.output, "output", "o", "text", "text, json, markdown or html")
	flags.StringVar(&d.to, "to", "", "write to this file, and the summary to the terminal")
	flags.BoolVar(&d.parted, "merge-base", false, "of BASE...HEAD, compare HEAD with where it parted from BASE: what BASE has since then is not seen")
	flags.BoolVar(&d.full, "full", false, "with each finding and the fate of each object")
	flags.StringVar(&d.cacheFolder, "cache", "", "the folder that keeps what files have from run to run (default holdfast-guard in the user's cache folder)")
	flags.StringVar(&d.settings, "settings", "", "settings outside of the repository (default guard.yaml of the base)")
	flags.StringVar(&d.approvals, "approvals", "", "a file of approvals outside of the repository, beside those of the settings")
	flags.IntVar(&d.limits.Objects, "max-deleted", settings.DefaultMaxDeleted, "how many objects a change may delete; 0 is any number")
	flags.IntVar(&d.limits.Percent, "max-deleted-percent", settings.DefaultMaxDeletedPercent, "how much of one Application, or of one cluster, a change may delete; 0 is all of it")
	flags.BoolVar(&d.allow, "allow-unanalysed", false, "do not fail because of Applications whose objects are not known")
	d.live.bind(flags)
	return cmd
}

func (d *diff) run(cmd *cobra.Command, revisions string) error {
	debug.SetGCPercent(400) // the process ends soon
	write, err := d.writer()
	if err == nil {
		err = d.live.check()
	}
	if _, head, merge := strings.Cut(revisions, "..."); err == nil && d.parted && (!merge || head == "") {
		err = fmt.Errorf("--merge-base is for BASE...HEAD, and %s is none", revisions)
	}
	if err != nil {
		return commandline.Usage(cmd, err)
	}
	base, head, err := d.trees(cmd.Context(), revisions)
	if errors.Is(err, tree.ErrNoRepository) {
		err = fmt.Errorf("%w: give the folder of one by --repo", err)
	}
	if err != nil {
		return unknown(err)
	}
	defer func() { _, _ = base.Close(), head.Close() }()
	g, err := d.gate(cmd.Context(), base)
	if err != nil {
		return &exitError{ExitUsage, err}
	}
	p, err := d.plan(cmd.Context(), base, head, g)
	if err != nil {
		return unknown(err)
	}
	if err := write(p); err != nil {
		return unknown(err)
	}
	if p.Refused() {
		return &exitError{ExitFailed, nil}
	}
	if d.blind && !d.allow {
		return &exitError{ExitUnknown, nil}
	}
	return nil
}

// writer returns what writes the plan in the wanted form.
func (d *diff) writer() (func(*report.Planned) error, error) {
	forms := map[string]func(*report.Planned) error{
		"text":     func(p *report.Planned) error { return report.PlanText(d.Out, p, d.full) },
		"json":     func(p *report.Planned) error { return report.PlanJSON(d.Out, p) },
		"markdown": func(p *report.Planned) error { return report.PlanMarkdown(d.Out, p) },
		"html":     func(p *report.Planned) error { return report.PlanHTML(d.Out, p) },
	}
	write, ok := forms[d.output]
	switch {
	case !ok:
		return nil, fmt.Errorf("-o %q is not understood: it is text, json, markdown or html", d.output)
	case d.limits.Objects < 0:
		return nil, errors.New("--max-deleted is a number of objects: 0 or more")
	case d.limits.Percent < 0 || d.limits.Percent > 100:
		return nil, errors.New("--max-deleted-percent is between 0 and 100")
	case d.to == "":
		return write, nil
	}
	return func(p *report.Planned) error { return d.toFile(p, write) }, nil
}

// toFile writes a plan into a file, and its summary to the terminal.
func (d *diff) toFile(p *report.Planned, write func(*report.Planned) error) error {
	terminal := d.Out
	f, err := os.Create(d.to)
	if err != nil {
		return err
	}
	d.Out = f
	err = errors.Join(write(p), f.Close())
	d.Out = terminal
	if err != nil {
		return fmt.Errorf("writing %s: %w", d.to, err)
	}
	return report.PlanText(d.Out, p, false)
}

// trees opens the two revisions.
func (d *diff) trees(ctx context.Context, revisions string) (base, head tree.Tree, err error) {
	from, to, merge := strings.Cut(revisions, "...")
	if !merge {
		from, to, _ = strings.Cut(revisions, "..")
	}
	open := func() (tree.Tree, error) { return tree.Revision(ctx, d.repository, to) }
	switch {
	case to == "":
		open = func() (tree.Tree, error) { return tree.Folder(filepath.Clean(d.repository)) }
	case merge && d.parted:
		d.tip = from
		if from, err = tree.MergeBase(ctx, d.repository, d.tip, to); err != nil {
			return nil, nil, err
		}
	case merge:
		open = func() (tree.Tree, error) { return d.merge(ctx, from, to) }
	}
	if base, err = tree.Revision(ctx, d.repository, from); err != nil {
		return nil, nil, err
	}
	if head, err = open(); err != nil {
		return nil, nil, errors.Join(err, base.Close())
	}
	return base, head, nil
}

// merge opens what merging one revision into another makes, or says how to go on where nobody can know.
func (d *diff) merge(ctx context.Context, base, head string) (tree.Tree, error) {
	merged, err := tree.Merge(ctx, d.repository, base, head)
	var conflict *tree.ConflictError
	const without = "or compare with --merge-base, which does not see what %s has since %s parted from it"
	switch {
	case errors.As(err, &conflict):
		return nil, fmt.Errorf("%w: merge %s into %s and mend the conflict first, "+without, err, base, head, base, head)
	case errors.Is(err, tree.ErrOldGit):
		return nil, fmt.Errorf("%w: take a newer git, "+without, err, base, head)
	}
	return merged, err
}

func (d *diff) plan(ctx context.Context, base, head tree.Tree, g *gate) (*report.Planned, error) {
	options, err := g.settings.Inventory()
	if err != nil {
		return nil, err
	}
	if options.Cache, err = openCache(d.cacheFolder, options.Keep); err != nil {
		return nil, err
	}
	lives, err := d.live.read(ctx, d.In, options.Clusters)
	if err != nil {
		return nil, err
	}
	addScopes(&options, lives)
	before, err := inventory.Load(ctx, base, options)
	if err != nil {
		return nil, err
	}
	after, err := inventory.Load(ctx, head, options)
	if err != nil {
		return nil, err
	}
	d.saveCache(options.Cache)
	d.blind = slices.ContainsFunc(slices.Concat(unanalysed(before, g.settings), unanalysed(after, g.settings)), func(u report.Unanalysed) bool { return !u.Allowed })
	wanted := plan.Options{Stateful: options.Keep.And(object.Stateful()), Clusters: options.Clusters}
	p := &report.Planned{Plan: plan.Between(before, after, withLive(wanted, lives)), Live: lives != nil}
	findings := plan.Findings(p.Plan, before, after, g.limits)
	edits, err := g.edits(ctx, base, head, before)
	if err != nil {
		return nil, err
	}
	g.judge(p, findings, edits, time.Now())
	return p, nil
}
