package trust_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// cpu is the CPU time of a process. The kernel counts in ns for each of its threads; those of a Go program seldom end.
func cpu(pid int) (total time.Duration) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0
	}
	for _, t := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t.Name()))
		if err != nil {
			continue // it has ended
		}
		ns, _ := strconv.ParseInt(strings.Fields(string(bytes.TrimSpace(text)))[0], 10, 64)
		total += time.Duration(ns)
	}
	return total
}

// median returns the one of a figure, for each image, in seconds.
func median(all []figures, of func(figures) time.Duration) float64 {
	var values []float64
	for _, f := range all {
		values = append(values, of(f).Seconds()/float64(*images))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// table prints the medians, and how often as fast and how many times as cheap as cosign with keys in the same place each way is.
func (s *bench) table(out io.Writer, ways []way, all [][]figures) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nmedians of %d rounds of %d images\tsignatures/s\tratio\tCPU ms\tratio\tVault ms\tregistry ms\t\n", *rounds, *images)
	var rate, cost float64
	for i, way := range ways {
		perSecond := 1 / median(all[i], func(f figures) time.Duration { return f.wall })
		spent := median(all[i], func(f figures) time.Duration { return f.cpu }) * 1000
		if strings.HasPrefix(way.name, "cosign") {
			rate, cost = perSecond, spent
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.2f\t%.3f\t%.2f\t%.1f\t\n", way.name, perSecond, perSecond/rate, spent, spent/cost,
			median(all[i], func(f figures) time.Duration { return f.store })*1000, median(all[i], func(f figures) time.Duration { return f.registers })*1000)
	}
	if err := w.Flush(); err != nil {
		s.Fatal(err)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		s.Fatal(err)
	}
	fmt.Fprintf(out, "%s, load average at the end %s\n", time.Now().UTC().Format(time.DateOnly), strings.Fields(string(load))[0])
}
