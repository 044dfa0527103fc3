package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"time"

	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// bench is one run.
type bench struct {
	options
	cluster  *kube.Cluster
	in       *operator.Installation
	meta     metadata.Interface
	texts    map[string]string // of the classes
	changes  int
	table    table
	spent    time.Duration // by processes of the operator that have ended
	children time.Duration // the same, of the agent that checks classes
	cost     int64         // writes of such processes
	put      float64       // requests of such processes that were put off
	early    float64       // those before there were pods: an API server that has just started puts off what it is not ready for
	start    metrics       // of the API server, when pods were injected at first
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // they would bury the progress
	c, err := kube.Start(ctx, kube.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	if err := c.StartKwok(ctx, 4); err != nil {
		return err
	}
	b := &bench{options: o, cluster: c, texts: classTexts(o.classes)}
	if b.meta, err = metadata.NewForConfig(c.Config()); err != nil {
		return err
	}
	b.in, err = operator.Install(ctx, c, operator.Options{Program: o.program, Deploy: o.deploy, Classes: b.texts, Args: o.args})
	if err != nil {
		return err
	}
	defer b.in.Stop()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\nthe end of the operator's log:\n%s", err, end(b.in.Replicas[0].Log(), 4000))
		}
	}()
	if _, err := b.in.AddReplica(ctx); err != nil { // now that the first one leads
		return err
	}
	if b.start, err = b.apiserver(ctx); err != nil {
		return err
	}
	for _, r := range b.in.Replicas {
		if err := r.Await(ctx, "the operator was ready", r.Ready); err != nil { // with every class checked
			return err
		}
		m, err := scrape(ctx, r)
		if err != nil {
			return err
		}
		b.early += m.sum("rest_client_requests_total", "code", "429")
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"empty", b.empty},
		{"load", b.load},
		{"changes", b.change},
		{"latency", b.latency},
		{"restart", b.restart},
		{"churn", b.churn},
		{"costs", b.costs},
	} {
		if slices.Contains(o.skip, part.name) {
			continue
		}
		log.Printf("%s (load average %s)", part.name, loadAverage())
		begin := time.Now()
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		log.Printf("%s took %.0f s", part.name, time.Since(begin).Seconds())
	}
	return b.table.write(out)
}

func end(text string, size int) string { return text[max(0, len(text)-size):] }

// empty is the memory of both replicas without any pod.
func (b *bench) empty(ctx context.Context) error { return b.memory(ctx, "without pods") }

// load makes the pods, all of which must be injected.
func (b *bench) load(ctx context.Context) error {
	if err := b.makeNamespaces(ctx); err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return err
	}
	return b.memory(ctx, "with all pods")
}

// fill makes all pods and notes what that took.
func (b *bench) fill(ctx context.Context) error {
	leader := b.leader()
	before, begin := b.leader().cpu(), time.Now()
	if err := leader.resetPeak(); err != nil {
		return err
	}
	if err := b.makePods(ctx); err != nil {
		return err
	}
	took := time.Since(begin)
	if err := b.settle(ctx, b.pods); err != nil {
		return err
	}
	injected, err := b.injected(ctx)
	if err != nil {
		return err
	}
	b.table.row("pods made", "%d in %.0f s", b.pods, took.Seconds())
	b.table.target(injected == b.pods, "all", "pods with a sidecar", "%d", injected)
	b.table.row("CPU of the operator meanwhile", "%.1f s", (leader.cpu() - before).Seconds())
	b.table.row("peak RSS of the operator meanwhile", "%.1f MB", mb(leader.memory().peak))
	return nil
}

// restart ends both replicas and starts them again: each reads all that there is.
func (b *bench) restart(ctx context.Context) error {
	if err := b.restarted(ctx); err != nil {
		return err
	}
	return b.memory(ctx, "started with all pods")
}

func (b *bench) restarted(ctx context.Context) error {
	for _, r := range b.in.Replicas {
		p := process{r.PID()}
		b.spent += p.cpu()
		b.children += p.childrenCPU()
		m, err := scrape(ctx, r)
		if err != nil {
			return err
		}
		b.cost += int64(m.sum("holdfast_operator_writes_total"))
		b.put += m.sum("rest_client_requests_total", "code", "429")
	}
	b.in.Stop()
	for _, r := range b.in.Replicas {
		begin := time.Now()
		if err := r.Start(); err != nil {
			return err
		}
		if err := r.Await(ctx, "the operator was ready", r.Ready); err != nil {
			return err
		}
		log.Printf("a replica was ready after %.1f s", time.Since(begin).Seconds())
		if r == b.in.Replicas[0] {
			if err := b.settle(ctx, b.pods); err != nil { // so that the first one leads
				return err
			}
			b.table.row("start of the operator until it has reported all pods", "%.1f s", (time.Since(begin) - quiet).Seconds())
			b.table.row("CPU of that", "%.1f s", b.leader().cpu().Seconds())
			b.table.row("peak RSS of that", "%.1f MB", mb(b.leader().memory().peak))
		}
	}
	return nil
}

// churn deletes all pods and makes as many again.
func (b *bench) churn(ctx context.Context) error {
	if err := b.deletePods(ctx); err != nil {
		return err
	}
	if err := b.settle(ctx, 0); err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return err
	}
	return b.memory(ctx, "with all pods made anew")
}

// costs are those of the whole run.
func (b *bench) costs(ctx context.Context) error {
	cpu, children, writes := b.spent, b.children, b.cost
	throttled := b.put - b.early
	for _, r := range b.in.Replicas {
		p := process{r.PID()}
		cpu, children = cpu+p.cpu(), children+p.childrenCPU()
		m, err := scrape(ctx, r)
		if err != nil {
			return err
		}
		writes += int64(m.sum("holdfast_operator_writes_total"))
		throttled += m.sum("rest_client_requests_total", "code", "429")
	}
	b.table.row("CPU of the operator's two replicas in the whole run", "%.1f s", cpu.Seconds())
	b.table.row("CPU of the agent that checks classes for them", "%.1f s", children.Seconds())
	b.table.row("writes in the whole run", "%d", writes)
	api, err := b.apiserver(ctx)
	if err != nil {
		return err
	}
	since := func(name string, labels ...string) float64 {
		return api.sum(name, labels...) - b.start.sum(name, labels...)
	}
	b.table.target(throttled == 0, "0", "requests of the operator that the API server put off (429)", "%.0f", throttled)
	rejected := since("apiserver_flowcontrol_rejected_requests_total")
	b.table.target(rejected == 0, "0", "requests of anyone that priority and fairness rejected", "%.0f", rejected)
	lines := 0
	for _, r := range b.in.Replicas {
		lines += throttleLines(r.Log())
	}
	b.table.target(lines == 0, "0", "lines of the log about throttling", "%d", lines)
	missed := since("apiserver_admission_webhook_fail_open_count", "name", hook)
	b.table.target(missed == 0, "0", "pods admitted without the operator's answer", "%.0f", missed)
	return nil
}
