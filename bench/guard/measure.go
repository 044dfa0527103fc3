package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// usage is what one run of a program took.
type usage struct {
	user, system, wall time.Duration
	memory             int64 // bytes resident at most
	exit               int
}

// row is a part of the table: the medians of its runs.
type row struct {
	name string
	usage
}

type table struct{ rows []row }

// measure runs a program some times, each after before, and adds the medians to the table. A program that ends with 1 has found something,
// and is shown; more is an error.
func (b *bench) measure(ctx context.Context, t *table, name string, before func() error, program string, args ...string) error {
	var runs []usage
	for range b.repeat {
		if before != nil {
			if err := before(); err != nil {
				return err
			}
		}
		u, err := b.once(ctx, program, args)
		if err != nil {
			return err
		}
		runs = append(runs, u)
	}
	t.rows = append(t.rows, row{name, median(runs)})
	return nil
}

func (b *bench) once(ctx context.Context, program string, args []string) (usage, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+b.cache())
	var tail bytes.Buffer
	cmd.Stdout = io.Discard
	cmd.Stderr = &tail
	start := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return u, fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, tail.Bytes())
	}
	state := cmd.ProcessState
	u.user, u.system, u.exit = state.UserTime(), state.SystemTime(), state.ExitCode()
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.memory = r.Maxrss << 10
	}
	return u, nil
}

// cache is the user's cache folder of the programs that are measured.
func (b *bench) cache() string { return filepath.Join(b.scratch(), "cache") }

// freshCache makes it empty.
func (b *bench) freshCache() error {
	if err := os.RemoveAll(b.cache()); err != nil {
		return err
	}
	return os.MkdirAll(b.cache(), 0o755)
}

// median is that of each figure for itself; the exit status is the worst.
func median(runs []usage) usage {
	pick := func(of func(usage) int64) int64 {
		var all []int64
		for _, u := range runs {
			all = append(all, of(u))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	worst := slices.MaxFunc(runs, func(a, b usage) int { return a.exit - b.exit })
	return usage{
		user:   time.Duration(pick(func(u usage) int64 { return int64(u.user) })),
		system: time.Duration(pick(func(u usage) int64 { return int64(u.system) })),
		wall:   time.Duration(pick(func(u usage) int64 { return int64(u.wall) })),
		memory: pick(func(u usage) int64 { return u.memory }),
		exit:   worst.exit,
	}
}

// print writes the table. The last column is the CPU time as a part of kubeconform's, where that ran.
func (t *table) print(to io.Writer) error {
	var peer time.Duration
	for _, r := range t.rows {
		if strings.HasPrefix(r.name, "kubeconform") {
			peer = r.user + r.system
		}
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "median\tCPU s\tuser\tsystem\twall s\tmemory MiB\texit\tCPU / kubeconform")
	for _, r := range t.rows {
		ratio := "-"
		if peer > 0 {
			ratio = fmt.Sprintf("%.3f", (r.user+r.system).Seconds()/peer.Seconds())
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%d\t%s\n", r.name, (r.user + r.system).Seconds(), r.user.Seconds(), r.system.Seconds(), r.wall.Seconds(), float64(r.memory)/(1<<20), r.exit, ratio)
	}
	return w.Flush()
}
