package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// process reads what the kernel says of one.
type process struct{ pid int }

func (b *bench) leader() process { return process{b.in.Replicas[0].PID()} }

// tick is the unit of the times in /proc.
const tick = 10 * time.Millisecond

// times returns the process's own CPU time and that of its children that have ended.
func (p process) times() (own, children time.Duration) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, 0
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	number := func(i int) time.Duration {
		n, _ := strconv.Atoi(f[i])
		return time.Duration(n) * tick
	}
	return number(11) + number(12), number(13) + number(14)
}

func (p process) cpu() time.Duration {
	own, _ := p.times()
	return own
}

func (p process) childrenCPU() time.Duration {
	_, children := p.times()
	return children
}

// used is the CPU time of programs, by their names.
type used map[string]time.Duration

// others is what the processes that this one has started have used until now, the operator's left out: the control plane and KWOK.
func (b *bench) others() used {
	all := used{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return all
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || parent(pid) != os.Getpid() || slices.ContainsFunc(b.in.Replicas, func(r *operator.Replica) bool { return r.PID() == pid }) {
			continue
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil {
			all[strings.TrimSpace(string(name))] += process{pid}.cpu()
		}
	}
	return all
}

// since is what was used after another moment.
func (u used) since(before used) used {
	d := used{}
	for name, t := range u {
		d[name] = t - before[name]
	}
	return d
}

func (u used) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(u)) {
		parts = append(parts, fmt.Sprintf("%s %.1f s", name, u[name].Seconds()))
	}
	return strings.Join(parts, ", ")
}

func parent(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // it has ended
	}
	n, _ := strconv.Atoi(strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))[1])
	return n
}

// memory is what a process has in memory, in bytes. File is the part that is the program's own file, which the kernel may drop.
type memory struct{ rss, anonymous, file, peak int64 }

func (p process) memory() (m memory) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &m.rss, "RssAnon": &m.anonymous, "RssFile": &m.file, "VmHWM": &m.peak}[name]
		if into == nil {
			continue
		}
		kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		*into = kb << 10
	}
	return m
}

// resetPeak makes the peak be what the process has now.
func (p process) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0)
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// steady is the bound of a settled replica's memory, in bytes.
const steady = 80_000_000

// memory samples both replicas, once a second.
func (b *bench) memory(ctx context.Context, when string) error {
	samples := make([][]memory, len(b.in.Replicas))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < b.sample; {
		for i, r := range b.in.Replicas {
			samples[i] = append(samples[i], process{r.PID()}.memory())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i, name := range []string{"leader", "other replica"} {
		s := samples[i]
		slices.SortFunc(s, func(a, b memory) int { return int(a.rss - b.rss) })
		m, most := s[len(s)/2], s[len(s)-1]
		b.table.target(m.rss < steady, "< 80 MB", "RSS "+when+", "+name, "%.1f MB (its own %.1f, of the program's file %.1f; most %.1f)",
			mb(m.rss), mb(m.anonymous), mb(m.file), mb(most.rss))
		r, err := scrape(ctx, b.in.Replicas[i])
		if err != nil {
			return err
		}
		b.table.row("heap "+when+", "+name, "%.1f MB in use, %.1f MB next collection, %.1f MB from the system", r.sum("go_memstats_heap_inuse_bytes")/1e6,
			r.sum("go_memstats_next_gc_bytes")/1e6, r.sum("go_memstats_sys_bytes")/1e6)
	}
	return nil
}

// loadAverage is that of the last minute, for whoever reads the figures.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "not known"
	}
	return strings.Fields(string(text))[0]
}
