package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/guard/recovery"
	"github.com/holdfast-telemetry/holdfast/guard/snapshot"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
	"github.com/holdfast-telemetry/holdfast/internal/commandline"
)

func init() { commands = append(commands, (*app).recoverCommand) }

func (a *app) recoverCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "recover", Short: "Bring an environment back whose objects are gone and whose disks are there",
		Long: `Bring an environment back whose objects were deleted and whose disks were kept.

plan makes a plan, a file to read and to answer; apply works it off, step by step or unattended, and can be killed and run again at any
time; verify compares a cluster with it; rehearse runs it against an empty cluster; runbook prints it. No volume and no claim is ever
deleted. The way through an emergency is docs/guard/recovery.md.

It ends with 0 when it is done, 1 when it failed or verify found something, 2 for a wrong command line, 3 when a cluster or a file could
not be read, and 4 when a person has to answer or to look first.`}
	cmd.AddCommand(a.planCommand(), a.applyCommand(), a.verifyCommand(), a.rehearseCommand(), a.runbookCommand())
	return cmd
}

// sourceFlags say where the manifests are.
type sourceFlags struct {
	manifests, repository, revision, path, namespace string
}

func (f *sourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.manifests, "manifests", "", "the folder with the manifests of the last good revision")
	cmd.Flags().StringVar(&f.revision, "revision", "", "the last good revision of a git repository, instead of a folder")
	cmd.Flags().StringVar(&f.repository, "repository", ".", "with --revision, the repository")
	cmd.Flags().StringVar(&f.path, "path", "", "with --revision, the folder in the repository: env/(cluster)/(app)/yml")
	cmd.Flags().StringVar(&f.namespace, "namespace", "", "the namespace of manifests that say none")
}

// read reads the manifests. Without flags they are where the plan says that they were.
func (f *sourceFlags) read(ctx context.Context, plan *recovery.Plan) (*recovery.Manifests, error) {
	if plan != nil && f.manifests == "" && f.revision == "" {
		if err := f.parse(plan.Manifests.Source); err != nil {
			return nil, err
		}
	}
	t, folder, source, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.Close() }() // it is only read
	if f.namespace != "" {
		source += "#" + f.namespace
	}
	m, err := recovery.ReadManifests(t, folder, source, f.namespace)
	return m, unknown(err)
}

// open opens the tree that has the manifests, and returns the folder in it and how the plan names both.
func (f *sourceFlags) open(ctx context.Context) (t tree.Tree, folder, source string, err error) {
	switch {
	case f.manifests != "" && f.revision != "":
		return nil, "", "", &exitError{ExitUsage, errors.New("--manifests and --revision are two places: one is wanted")}
	case f.manifests != "":
		if source, err = filepath.Abs(f.manifests); err != nil {
			return nil, "", "", err
		}
		t, err = tree.Folder(f.manifests)
		return t, "", source, unknown(err)
	case f.revision == "":
		return nil, "", "", &exitError{ExitUsage, errors.New("where are the manifests of the last good revision? --manifests or --revision is wanted")}
	}
	repository, err := filepath.Abs(f.repository)
	if err != nil {
		return nil, "", "", err
	}
	commit, err := tree.Commit(ctx, repository, f.revision)
	if err != nil {
		return nil, "", "", unknown(err)
	}
	t, err = tree.Revision(ctx, repository, commit)
	return t, f.path, "git:" + commit + ":" + f.path + "@" + repository, unknown(err)
}

// parse reads what read wrote into a plan.
func (f *sourceFlags) parse(source string) error {
	rest, namespace, _ := strings.Cut(source, "#")
	if f.namespace == "" {
		f.namespace = namespace
	}
	git, ok := strings.CutPrefix(rest, "git:")
	if !ok {
		f.manifests = rest
		return nil
	}
	commit, rest, _ := strings.Cut(git, ":")
	path, repository, ok := strings.Cut(rest, "@")
	if !ok {
		return fmt.Errorf("the plan's source %q is none that this program wrote: say where the manifests are", source)
	}
	f.revision, f.path, f.repository = commit, path, repository
	return nil
}

func (a *app) planCommand() *cobra.Command {
	var f sourceFlags
	var at storeFlags
	var kubeconfig, snap, policy, output string
	var replace bool
	cmd := &cobra.Command{Use: "plan", Short: "Make a plan from the last good manifests, a snapshot and the live cluster", Args: commandline.Arguments(0, 0)}
	f.add(cmd)
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the cluster")
	cmd.Flags().StringVar(&snap, "snapshot", "", "a snapshot, or where they are, of which the newest is taken: a folder, or s3://bucket/prefix")
	at.add(cmd)
	cmd.Flags().StringVar(&policy, "policy", "", "a file that says what is special about this environment")
	cmd.Flags().StringVarP(&output, "output", "o", "recovery.yaml", "the plan's file")
	cmd.Flags().BoolVar(&replace, "replace", false, "write over a plan that is there, with its answers")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		in, err := f.inputs(cmd.Context(), policy)
		if err != nil {
			return err
		}
		if snap != "" {
			store, err := a.store(snap, &at)
			if err != nil {
				return commandline.Usage(cmd, err)
			}
			if in.Snapshot, err = snapshot.Read(cmd.Context(), store); err != nil {
				return unknown(err)
			}
		}
		cluster, err := connect(cmd.Context(), kubeconfig)
		if err != nil {
			return err
		}
		p, err := recovery.Build(cmd.Context(), cluster, in)
		if err != nil {
			return err
		}
		if _, err := os.Stat(recovery.JournalOf(output)); err == nil && replace {
			return fmt.Errorf("%s has a journal: it was applied, at least in part; give the new plan another name", output)
		}
		if err := p.Write(output, replace); err != nil {
			return err
		}
		return a.planned(p, output)
	}
	return cmd
}

// planned says what the plan is, and ends with ExitAsks when it has questions.
func (a *app) planned(p *recovery.Plan, output string) error {
	steps := 0
	p.Steps(func(*recovery.Phase, *recovery.Step) bool { steps++; return true })
	a.printf("%s: %d steps, %d volumes, %d questions, for %s\n", output, steps, len(p.Volumes), len(p.Questions), strings.Join(p.Namespaces, ", "))
	for _, q := range p.Open() {
		a.printf("  %s (before %s): %s\n", q.ID, q.Before, q.Ask)
	}
	if len(p.Open()) > 0 {
		return &exitError{code: ExitAsks}
	}
	return nil
}

func (f *sourceFlags) inputs(ctx context.Context, policy string) (in recovery.Inputs, err error) {
	if in.Manifests, err = f.read(ctx, nil); err != nil {
		return in, err
	}
	if policy != "" {
		b, err := os.ReadFile(policy)
		if err != nil {
			return in, unknown(fmt.Errorf("reading the policy: %w", err))
		}
		if in.Policy, err = recovery.ParsePolicy(b); err != nil {
			return in, &exitError{ExitUsage, fmt.Errorf("%s: %w", policy, err)}
		}
	}
	return in, nil
}

func connect(ctx context.Context, kubeconfig string) (*recovery.Cluster, error) {
	config, err := clusterConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	c, err := recovery.Connect(ctx, config)
	return c, unknown(err)
}

// run reads what a run of a plan needs.
func (a *app) run(ctx context.Context, f *sourceFlags, kubeconfig, path string) (*recovery.Run, error) {
	p, err := recovery.Read(path)
	if err != nil {
		return nil, unknown(err)
	}
	m, err := f.read(ctx, p)
	if err != nil {
		return nil, err
	}
	m.Source = p.Manifests.Source
	cluster, err := connect(ctx, kubeconfig)
	if err != nil {
		return nil, err
	}
	return &recovery.Run{Plan: p, Manifests: m, Cluster: cluster, Dir: recovery.DirOf(path), Journal: recovery.JournalOf(path),
		Progress: a.progress(time.Now()), Environ: os.Environ()}, nil
}

// progress prints events, those that only say that nothing was to be done in few words.
func (a *app) progress(begin time.Time) func(recovery.Event) {
	last := ""
	return func(e recovery.Event) {
		line := fmt.Sprintf("%-5s %s", e.What, e.Step.ID)
		if e.Note != "" {
			line += "  (" + e.Note + ")"
		}
		if e.What == "wait" && line == last {
			return
		}
		last = line
		a.printf("%7.1f s  %s\n", time.Since(begin).Seconds(), line)
	}
}

// asked turns an AskError into its exit code.
func asked(err error) error {
	var ask *recovery.AskError
	if errors.As(err, &ask) {
		return &exitError{ExitAsks, err}
	}
	return err
}

func (a *app) applyCommand() *cobra.Command {
	var f sourceFlags
	var kubeconfig string
	var step, yes, dry bool
	cmd := &cobra.Command{Use: "apply --step|--yes|--dry-run PLAN", Short: "Work a plan off, from where it is", Args: commandline.Arguments(1, 1)}
	f.add(cmd)
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the cluster")
	cmd.Flags().BoolVar(&step, "step", false, "ask before each step that changes something")
	cmd.Flags().BoolVar(&yes, "yes", false, "do all steps; questions of the plan are still a person's")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing: let the API server say what it would do now")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if n := btoi(step) + btoi(yes) + btoi(dry); n != 1 {
			return commandline.Usage(cmd, errors.New("one of --step, --yes and --dry-run is wanted"))
		}
		r, err := a.run(cmd.Context(), &f, kubeconfig, args[0])
		if err != nil {
			return err
		}
		if dry {
			return r.DryRun(cmd.Context())
		}
		if step {
			r.Confirm = a.confirm()
		}
		begin := time.Now()
		if err := r.Apply(cmd.Context()); err != nil {
			return asked(err)
		}
		a.printf("done after %.1f s; holdfast-guard recover verify %s looks again\n", time.Since(begin).Seconds(), args[0])
		return nil
	}
	return cmd
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// confirm asks a person before a step. The end of the input is a no.
func (a *app) confirm() func(*recovery.Phase, *recovery.Step, string) (bool, error) {
	in := bufio.NewReader(a.In)
	return func(p *recovery.Phase, s *recovery.Step, why string) (bool, error) {
		a.printf("\nphase %d, %s: %s\n  %s\n  before: %s\n  after: %s\n  abort: %s\nDo it? [y/N] ", p.Number, p.Name, s.ID, why, s.Before, s.After, s.Abort)
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		a.printf("\n")
		return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes"), nil
	}
}

func (a *app) verifyCommand() *cobra.Command {
	var f sourceFlags
	var kubeconfig string
	var asJSON bool
	cmd := &cobra.Command{Use: "verify PLAN", Short: "Compare a cluster with a plan", Args: commandline.Arguments(1, 1)}
	f.add(cmd)
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the cluster")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := a.run(cmd.Context(), &f, kubeconfig, args[0])
		if err != nil {
			return err
		}
		findings, err := r.Verify(cmd.Context())
		if err != nil {
			return unknown(err)
		}
		return a.findings(findings, asJSON, "the cluster is as the plan says")
	}
	return cmd
}

// findings prints what is not as it should be.
func (a *app) findings(all []recovery.Finding, asJSON bool, good string) error {
	if asJSON {
		if all == nil {
			all = []recovery.Finding{}
		}
		e := json.NewEncoder(a.Out)
		e.SetIndent("", "  ")
		if err := e.Encode(all); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			a.printf("%s: %s: %s\n", f.Step, f.About, f.Why)
		}
	}
	if len(all) > 0 {
		return &exitError{code: ExitFailed}
	}
	if !asJSON {
		a.printf("ok: %s\n", good)
	}
	return nil
}

func (a *app) rehearseCommand() *cobra.Command {
	var f sourceFlags
	var kubeconfig string
	cmd := &cobra.Command{Use: "rehearse --kubeconfig SCRATCH PLAN", Short: "Run a whole plan against an empty cluster", Args: commandline.Arguments(1, 1),
		Long: `Run a whole plan against an empty cluster: an API server with its controller manager. What the plan finds in an emergency is made up: volumes
that lost their claims, controllers, definitions, Secrets without values. Pods are ready in name only. A cluster that has anything in it
is refused. It ends with 4 when the plan is not complete: when a question about volumes or data has no answer.`}
	f.add(cmd)
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the scratch cluster; there is no default")
	_ = cmd.MarkFlagRequired("kubeconfig")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := a.run(cmd.Context(), &f, kubeconfig, args[0])
		if err != nil {
			return err
		}
		findings, err := recovery.Rehearse(cmd.Context(), r)
		if err != nil {
			return asked(err)
		}
		return a.findings(findings, false, "the rehearsal ends as the plan says")
	}
	return cmd
}

func (a *app) runbookCommand() *cobra.Command {
	return &cobra.Command{Use: "runbook PLAN", Short: "Print a plan as Markdown for people", Args: commandline.Arguments(1, 1), RunE: func(_ *cobra.Command, args []string) error {
		p, err := recovery.Read(args[0])
		if err != nil {
			return unknown(err)
		}
		return p.Runbook(a.Out, args[0])
	}}
}
