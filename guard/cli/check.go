package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/report"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/internal/version"
)

func init() { commands = append(commands, (*app).checkCommand, (*app).rulesCommand) }

// check is the check command with its flags.
type check struct {
	*app
	folder, revision string
	base             string
	settings         string
	cacheFolder      string
	output, to       string
	failOn           string
	allow, fix       bool

	opened    tree.Tree // a revision whose settings were read
	uncounted []string  // what the change waives or weakens that does not count
}

func (a *app) checkCommand() *cobra.Command {
	c := check{app: a}
	cmd := &cobra.Command{
		Use:   "check [FOLDER]",
		Short: "Find what is wrong in a repository that Argo CD reads",
		Long: `Find what is wrong in a repository that Argo CD reads: names that are there twice, folders of others, protections that are missing.

Exit codes: 0 nothing was found that fails the check; 1 something was; 2 the command line or the settings are wrong; 3 something could
not be read, or is not analysed and not allowed to be.`,
		Args: commandline.Arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.folder = "."
			if len(args) == 1 {
				c.folder = args[0]
			}
			return c.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.revision, "revision", "", "check this revision of the repository, and not the folder as it is")
	flags.StringVar(&c.base, "base", "", "let waivers and weaker settings count only as this revision has them, for a change does not judge itself")
	flags.StringVar(&c.settings, "settings", "", "the settings (default guard.yaml of what is checked, where there is one)")
	flags.StringVar(&c.cacheFolder, "cache", "", "with --revision, the folder that keeps what files have from run to run (default holdfast-guard in the user's cache folder)")
	flags.StringVarP(&c.output, "output", "o", "text", strings.Join(report.Formats(), ", "))
	flags.StringVar(&c.to, "to", "", "write the report to this file, and the text to the terminal")
	flags.StringVar(&c.failOn, "fail-on", "error", "the least severity that fails the check: error, warning or info")
	flags.BoolVar(&c.allow, "allow-unanalysed", false, "do not fail because of Applications whose objects are not known")
	flags.BoolVar(&c.fix, "fix", false, "mend what can be mended without changing anything else")
	return cmd
}

func (c *check) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	debug.SetGCPercent(40) // 100,000 objects live until the end: half as much again would be garbage
	var least finding.Severity
	if err := least.UnmarshalText([]byte(c.failOn)); err != nil {
		return commandline.Usage(cmd, fmt.Errorf("--fail-on %q is not understood: it is error, warning or info", c.failOn))
	}
	if c.fix && c.revision != "" {
		return commandline.Usage(cmd, errors.New("--fix writes to the folder, and --revision is none"))
	}
	if err := (&report.Check{}).Write(new(bytes.Buffer), c.output); err != nil {
		return commandline.Usage(cmd, err)
	}
	s, err := c.read(ctx)
	if err != nil {
		return c.unread(err)
	}
	found, err := c.find(ctx, s)
	if err != nil {
		return unknown(err)
	}
	if c.fix {
		fixed, err := c.mend(ctx, s, found)
		if err != nil {
			return unknown(err)
		}
		found = fixed
	}
	if err := c.write(found); err != nil {
		return unknown(err)
	}
	return c.verdict(found, least)
}

// open opens what is checked.
func (c *check) open(ctx context.Context) (tree.Tree, error) {
	if t := c.opened; t != nil {
		c.opened = nil
		return t, nil
	}
	if c.revision != "" {
		return tree.Revision(ctx, c.folder, c.revision)
	}
	return tree.Folder(filepath.Clean(c.folder))
}

// find runs the rules.
func (c *check) find(ctx context.Context, s *settings.Settings) (found *report.Check, err error) {
	t, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	config, err := s.Config()
	if err != nil {
		return nil, err
	}
	options, err := s.Inventory()
	if err != nil {
		return nil, err
	}
	if c.revision != "" { // only git knows the hash of a content without reading it
		if options.Cache, err = openCache(c.cacheFolder, options.Keep); err != nil {
			return nil, err
		}
	}
	i, err := inventory.Load(ctx, t, options)
	if err != nil {
		return nil, err
	}
	c.saveCache(options.Cache)
	findings, waivers, err := rule.Run(ctx, i, config)
	if err != nil {
		return nil, err
	}
	uncounted := c.uncounted
	if waivers, err = c.standing(ctx, waivers, i, config); err != nil {
		return nil, err
	}
	r := rule.Waive(findings, append(s.OwnWaivers(), waivers...), config, time.Now())
	found = &report.Check{Tree: i.Name, Applications: len(i.Applications), Files: len(i.Files), Findings: r.Findings, Waived: r.Waived, Off: config.Off, Uncounted: c.uncounted, Version: version.Get().Version}
	for n := range i.Files {
		found.Objects += len(i.Files[n].Objects)
	}
	c.uncounted = uncounted // what is mended is checked again
	found.Unanalysed = unanalysed(i, s)
	return found, nil
}

// unanalysed lists what is not known.
func unanalysed(i *inventory.Inventory, s *settings.Settings) []report.Unanalysed {
	var list []report.Unanalysed
	for _, a := range i.Applications {
		for _, why := range a.Unanalysed {
			list = append(list, report.Unanalysed{Application: a.Metadata.Name, Why: why, Place: finding.Place{Path: a.Path, Line: a.Object.Line, Column: a.Object.Column}, Allowed: s.Allows(a.Metadata.Name)})
		}
	}
	for _, set := range i.Sets {
		for _, why := range set.Unanalysed {
			list = append(list, report.Unanalysed{Application: set.Object.Name, Why: why, Place: finding.Place{Path: set.Path, Line: set.Object.Line, Column: set.Object.Column}, Allowed: s.Allows(set.Object.Name)})
		}
	}
	for _, u := range i.Unread {
		list = append(list, report.Unanalysed{Application: u.Path, Why: u.Why, Place: finding.Place{Path: u.Path, Line: 1, Column: 1}, Allowed: s.Allows(u.Path)})
	}
	return list
}

// write writes the report.
func (c *check) write(found *report.Check) error {
	if c.to != "" {
		var b bytes.Buffer
		if err := found.Write(&b, c.output); err != nil {
			return err
		}
		if err := os.WriteFile(c.to, b.Bytes(), 0o644); err != nil { // a report is for whoever reads the build
			return fmt.Errorf("writing the report: %w", err)
		}
		return found.Text(c.Out, c.colours())
	}
	if c.output == "text" {
		return found.Text(c.Out, c.colours())
	}
	return found.Write(c.Out, c.output)
}

// colours says whether the reader sees colours: a terminal does, unless NO_COLOR is set.
func (c *check) colours() bool {
	f, ok := c.Out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && c.Getenv("NO_COLOR") == "" && c.Getenv("TERM") != "dumb"
}

// verdict is the exit code.
func (c *check) verdict(found *report.Check, least finding.Severity) error {
	for _, f := range found.Findings {
		if f.Severity >= least {
			return &exitError{ExitFailed, nil}
		}
	}
	for _, u := range found.Unanalysed {
		if !u.Allowed && !c.allow {
			return &exitError{ExitUnknown, nil}
		}
	}
	return nil
}

func (a *app) rulesCommand() *cobra.Command {
	return &cobra.Command{Use: "rules [ID]", Short: "Print the catalogue of rules, or one of them", Args: commandline.Arguments(0, 1), RunE: func(cmd *cobra.Command, args []string) error {
		for _, r := range rule.Catalogue() {
			switch {
			case len(args) == 0:
				a.printf("%s  %-7s  %s\n", r.ID, r.Severity, r.Name)
			case strings.EqualFold(args[0], r.ID) || args[0] == r.Name:
				a.printf("%s", r.Text())
				return nil
			}
		}
		for _, r := range plan.Rules {
			switch {
			case len(args) == 0:
				a.printf("%s  %-7s  %s\n", r.ID, r.Severity, r.Name)
			case strings.EqualFold(args[0], r.ID) || args[0] == r.Name:
				a.printf("%s %s (%s, of changes)\n\nWhy: %s\n\nTo go on: %s.\n", r.ID, r.Name, r.Severity, r.Rationale, r.Fix)
				return nil
			}
		}
		if len(args) == 1 {
			return commandline.Usage(cmd, fmt.Errorf("there is no rule %q", args[0]))
		}
		return nil
	}}
}
