package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Severity weighs a finding.
type Severity string

// The severities. Damaged and Failed make the exit code 1.
const (
	// Fine tells what was looked at and found whole.
	Fine Severity = "ok"
	// Noted is worth knowing and cost nothing.
	Noted Severity = "note"
	// Damaged tells of a damaged place; What says what it costs.
	Damaged Severity = "damaged"
	// Failed tells that a check could not be made.
	Failed Severity = "failed"
)

// Finding is what a check found at one place.
type Finding struct {
	Severity Severity `json:"severity"`
	// Where is a file, with an offset or a position if there is one.
	Where string `json:"where"`
	What  string `json:"what"`
	// Mend says what to do; empty when nothing is to be done.
	Mend string `json:"mend,omitempty"`
}

// Check looks at a data folder that no node has open. It changes nothing.
type Check struct {
	// Name is one word, such as journal.
	Name string
	// About is one line for the help.
	About string
	// Run reports what it finds as it goes. Its error tells that the check could not be made; ErrAbsent, that there is nothing to check.
	Run func(ctx context.Context, dir string, report func(Finding)) error
}

// ErrAbsent tells that a folder has nothing of what a check is about.
var ErrAbsent = errors.New("it is not there")

const defaultDataDir = "./holdfast-data"

func (a *app) doctorCommand() *cobra.Command {
	cmd := a.checksCommand("doctor", "Check a stopped node's data folder", a.Checks)
	cmd.Long = "Check a stopped node's data folder and say what is damaged, what it costs and how to mend it. Nothing is changed.\n\nChecks:\n"
	for _, c := range a.Checks {
		cmd.Long += fmt.Sprintf("  %-10s %s\n", c.Name, c.About)
	}
	return cmd
}

func (a *app) checksNamed(name string) []Check {
	var checks []Check
	for _, c := range a.Checks {
		if c.Name == name {
			checks = append(checks, c)
		}
	}
	return checks
}

func (a *app) journalCommand(checks []Check) *cobra.Command {
	return a.group("journal", "Commands for the journal, the durable log of what was accepted",
		a.checksCommand("check", "Check the journals of a stopped node's data folder", checks))
}

// checksCommand makes a command that runs checks on the folder of --data, or of its argument.
func (a *app) checksCommand(use, short string, checks []Check) *cobra.Command {
	var dir string
	var p printer
	cmd := a.leaf(use+" [data folder]", short, func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			dir = args[0]
		}
		p.out = a.Out
		return a.runChecks(cmd.Context(), dir, p, checks)
	})
	cmd.Args = oneArgument
	cmd.Flags().StringVar(&dir, "data", defaultDataDir, "Data `folder`")
	p.addTo(cmd)
	return cmd
}

// checked is the JSON form of one check's outcome.
type checked struct {
	Check    string    `json:"check"`
	Findings []Finding `json:"findings"`
	Error    string    `json:"error,omitempty"`
}

// checkable returns why the checks cannot read a data folder.
func (a *app) checkable(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("opening the data folder (name another with --data): %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder: name the node's data folder with --data", dir)
	}
	if a.InUse != nil {
		return a.InUse(dir)
	}
	return nil
}

func (a *app) runChecks(ctx context.Context, dir string, p printer, checks []Check) error {
	if err := a.checkable(dir); err != nil {
		return err
	}
	var outcomes []checked
	var absent []string
	bad := 0
	t := table{headers: []string{"Check", "Severity", "Where", "What", "Mend"}}
	for _, c := range checks {
		outcome := checked{Check: c.Name, Findings: []Finding{}}
		report := func(f Finding) {
			outcome.Findings = append(outcome.Findings, f)
			t.add(c.Name, f.Severity, f.Where, f.What, f.Mend)
			if f.Severity == Damaged || f.Severity == Failed {
				bad++
			}
		}
		err := c.Run(ctx, dir, report)
		switch {
		case errors.Is(err, context.Canceled):
			return err
		case errors.Is(err, ErrAbsent):
			absent = append(absent, c.Name)
			report(Finding{Noted, dir, "there is no " + c.Name + " here", "name the node's data folder with --data"})
		case err != nil:
			bad++
			outcome.Error = err.Error()
			t.add(c.Name, Failed, dir, "the check could not be made: "+err.Error(), "")
		}
		outcomes = append(outcomes, outcome)
	}
	if len(absent) == len(checks) {
		return fmt.Errorf("there is no %s in %s: name a node's data folder with --data", alternatives(absent), dir)
	}
	if err := p.print(outcomes, t); err != nil {
		return err
	}
	if bad > 0 {
		return &silentError{fmt.Errorf("%d findings", bad)}
	}
	return nil
}

// alternatives writes "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
