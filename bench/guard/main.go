// Command guard generates a GitOps repository of 100,000 objects and measures what holdfast-guard takes to check it, beside kubeconform on
// the same files, and to plan a pull request of ten files. It uses no network, but to build kubeconform the first time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/holdfast-telemetry/holdfast/bench/guard/corpus"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

type bench struct {
	shape   corpus.Shape
	dir     string
	program string
	repeat  int
	skip    map[string]bool
}

func main() {
	var b bench
	var skip, read string
	var only bool
	flag.IntVar(&b.shape.Clusters, "clusters", 40, "clusters")
	flag.IntVar(&b.shape.Apps, "apps", 25, "apps in each, of 100 objects")
	flag.Uint64Var(&b.shape.Seed, "seed", 1, "what the values are drawn from")
	flag.StringVar(&b.dir, "dir", "", "where the repository is made and stays; without, it is made and removed")
	flag.BoolVar(&only, "generate", false, "make the repository and measure nothing")
	flag.StringVar(&b.program, "program", "../bin/holdfast-guard", "the built program")
	flag.IntVar(&b.repeat, "repeat", 3, "runs of each, of which the median counts")
	flag.StringVar(&skip, "skip", "", "parts to leave out, with commas between: read, check, kubeconform, diff")
	flag.StringVar(&read, "read", "", "read the objects of a folder and end; what a run starts itself with")
	flag.Parse()
	b.skip = make(map[string]bool)
	for part := range strings.SplitSeq(skip, ",") {
		b.skip[part] = true
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case read != "":
		err = readAll(read)
	case only:
		_, err = b.repository(ctx)
	default:
		err = b.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run measures all parts and prints a table of them.
func (b *bench) run(ctx context.Context) error {
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "guard-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b.dir = dir
	}
	bytes, err := b.repository(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%d objects in %d clusters, one file each, %.1f MB; %d cores, load average %s\n\n", b.shape.Objects(), b.shape.Clusters, float64(bytes)/1e6, runtime.NumCPU(), load())
	t := &table{}
	for _, part := range []struct {
		name string
		run  func(context.Context, *table) error
	}{{"read", b.read}, {"check", b.check}, {"kubeconform", b.kubeconform}, {"diff", b.diff}} {
		if b.skip[part.name] {
			continue
		}
		if err := part.run(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if err := t.print(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("\nload average at the end %s\n", load())
	return nil
}

// load is what the machine has to do beside this, over one, five and fifteen minutes, where the system says so.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "not known"
	}
	return strings.Join(fields[:3], " ")
}

// work is the folder of the repository, and scratch another one beside it.
func (b *bench) work() string    { return filepath.Join(b.dir, "repository") }
func (b *bench) scratch() string { return filepath.Join(b.dir, "scratch") }

// read measures the reader of objects alone, in a process of its own.
func (b *bench) read(ctx context.Context, t *table) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return b.measure(ctx, t, "all objects read, and kept", nil, self, "-read", b.work())
}

// check measures the whole check, without a cache.
func (b *bench) check(ctx context.Context, t *table) error {
	return b.measure(ctx, t, "holdfast-guard check", b.freshCache, b.program, "check", "--output", "json", b.work())
}

// kubeconform measures the peer on the same files, with schemas of Kubernetes from a folder and none of other kinds.
func (b *bench) kubeconform(ctx context.Context, t *table) error {
	bin, err := peer.Build(ctx, "kubeconform")
	if err != nil {
		return err
	}
	schemas, err := b.schemas(ctx)
	if err != nil {
		return err
	}
	return b.measure(ctx, t, "kubeconform, schemas of Kubernetes from a folder", nil, peer.Executable(bin, "kubeconform"),
		"-n", fmt.Sprint(runtime.NumCPU()), "-output", "json", "-summary", "-ignore-missing-schemas", "-schema-location", filepath.Join(schemas, "{{.ResourceKind}}{{.KindSuffix}}.json"), filepath.Join(b.work(), "env"))
}

// diff measures the plan of a pull request, first without a cache and then with what the run before left there.
func (b *bench) diff(ctx context.Context, t *table) error {
	args := []string{"diff", base + ".." + head, "--repo", b.work()}
	if err := b.measure(ctx, t, "holdfast-guard diff, 10 files, no cache", b.freshCache, b.program, args...); err != nil {
		return err
	}
	return b.measure(ctx, t, "holdfast-guard diff, 10 files, warm cache", nil, b.program, args...)
}
