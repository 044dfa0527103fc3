package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

// Bounds of one request, of uncompressed lines.
const (
	batchBytes    = 500_000
	batchInterval = 10 * time.Second
)

var precisions = map[string]line.Precision{
	"ns": line.Nanosecond, "us": line.Microsecond, "ms": line.Millisecond, "s": line.Second,
}

type writeFlags struct {
	org       orgFlags
	bucket    bucketFlags
	precision string
	rateLimit string
	skipBad   bool
	badFile   string
	maxLine   int
	input     inputFlags
}

func (a *app) writeCommand() *cobra.Command {
	var f writeFlags
	cmd := a.online("write [lines | @file | -]", "Write points in line protocol", func(ctx context.Context, s *session) error {
		return s.write(ctx, f)
	})
	cmd.Long = `Write points in line protocol: from the argument, from files, from URLs, or from stdin.

Lines are sent in batches of up to 500 kB, compressed, one after the other. When a line cannot be parsed nothing of its batch is stored
and the command stops, naming file and line; with --skipRowOnError such lines are left out and reported. A server that is busy is waited for.`
	cmd.Args = oneArgument
	f.addTo(cmd)
	cmd.AddCommand(a.writeDryRun())
	return cmd
}

func (a *app) writeDryRun() *cobra.Command {
	var f writeFlags
	cmd := a.online("dryrun [lines | @file | -]", "Check the lines and print them to stdout instead of writing them", func(ctx context.Context, s *session) error {
		return s.dryRun(ctx, f)
	})
	cmd.Args = oneArgument
	f.addTo(cmd)
	return cmd
}

func oneArgument(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef(cmd, "at most one argument is taken, got %d: quote what contains spaces", len(args))
	}
	return nil
}

func (f *writeFlags) addTo(cmd *cobra.Command) {
	f.org.addTo(cmd)
	f.bucket.addTo(cmd, "to write to")
	flags := cmd.Flags()
	flags.StringVarP(&f.precision, "precision", "p", "ns", "Precision of the timestamps of the lines: ns, us, ms or s")
	fromEnv(cmd, "precision", "PRECISION")
	flags.StringVar(&f.rateLimit, "rate-limit", "", `Throttles write, examples: "5 MB / 5 min", "17kBs"`)
	flags.BoolVar(&f.skipBad, "skipRowOnError", false, "Leave out lines that cannot be parsed, and report them, instead of stopping")
	flags.StringVar(&f.badFile, "errors-file", "", "The path to the `file` to write left out lines to")
	flags.IntVar(&f.maxLine, "max-line-length", 16_000_000, "Maximum number of bytes of a single line")
	f.input.addTo(cmd)
}

func (s *session) write(ctx context.Context, f writeFlags) (err error) {
	if err := f.bucket.check(s.cmd); err != nil {
		return err
	}
	ref, err := f.org.ref(s)
	if err != nil {
		return err
	}
	precision, ok := precisions[f.precision]
	if !ok {
		return usagef(s.cmd, "--precision %q is not understood: it is ns, us, ms or s", f.precision)
	}
	rate, err := parseRate(f.rateLimit)
	if err != nil {
		return usagef(s.cmd, "--rate-limit: %w", err)
	}
	inputs, err := f.input.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inputs.Close()) }()
	w := &lineWriter{
		client: s.client, precision: precision, skipBad: f.skipBad, warn: s.Err, rate: rate, wait: sleep, now: time.Now,
		target:   client.WriteTarget{Org: orElse(ref.ID, ref.Name), Bucket: orElse(f.bucket.id, f.bucket.name), Precision: f.precision},
		progress: newProgress(s.Err, inputs.size()),
	}
	if f.badFile != "" {
		file, err := os.Create(f.badFile)
		if err != nil {
			return fmt.Errorf("opening the errors file: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		w.bad = file
	}
	size := batchBytes
	if rate > 0 {
		size = min(size, max(int(rate), 4096)) // about a second's worth, so that the link is loaded evenly
	}
	err = inputs.batches(ctx, batchLimits{bytes: size, interval: batchInterval, line: f.maxLine}, func(b *lineBatch) error {
		return w.write(ctx, b)
	})
	w.progress.finish()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("write canceled after %d lines: they are stored, the others are not", w.lines)
	}
	if err != nil {
		return fmt.Errorf("failed to write data: %w", err)
	}
	return w.verdict()
}

func (s *session) dryRun(ctx context.Context, f writeFlags) (err error) {
	precision, ok := precisions[f.precision]
	if !ok {
		return usagef(s.cmd, "--precision %q is not understood: it is ns, us, ms or s", f.precision)
	}
	inputs, err := f.input.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inputs.Close()) }()
	var checker lineChecker
	bad := 0
	limits := batchLimits{bytes: batchBytes, interval: batchInterval, line: f.maxLine}
	err = inputs.batches(ctx, limits, func(b *lineBatch) error {
		for _, e := range checker.check(b, precision) {
			bad++
			_, _ = fmt.Fprintf(s.Err, "%s:%d: %v\n", b.source, e.Line, &e)
		}
		_, err := s.Out.Write(b.text)
		return err
	})
	if err == nil && bad > 0 {
		return fmt.Errorf("%d lines cannot be parsed", bad)
	}
	return err
}

// sleep waits unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
