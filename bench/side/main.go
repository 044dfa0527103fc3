// Command side measures holdfast beside InfluxDB 1.8.10 in one run, each on one core, and prints a table. Loads are bounded by
// their count; servers listen on the loopback only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("side: ")
	holdfast := flag.String("holdfast", "../bin/holdfast", "the built program")
	alone := flag.Bool("alone", false, "leave the peer out")
	rows := flag.Int("rows", 500_000, "rows of ten values to write")
	repeat := flag.Int("repeat", 3, "runs of each server, in turn; the median is printed")
	idle := flag.Duration("idle", 30*time.Second, "how long a default node runs before its memory is read")
	flag.Parse()
	influxd := ""
	if !*alone {
		dir, err := peer.Build(context.Background(), "influxdb")
		if err != nil {
			log.Fatal(err)
		}
		influxd = peer.Executable(dir, "influxd")
	}
	if err := run(os.Stdout, *holdfast, influxd, *rows, *repeat, *idle); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer, holdfast, influxd string, rows, repeat int, idle time.Duration) error {
	makers := []func(dir string) (*server, error){
		func(dir string) (*server, error) { return newHoldfast(holdfast, dir, "") },
	}
	if influxd != "" {
		makers = append(makers, func(dir string) (*server, error) { return newInfluxd(influxd, dir) })
	}
	results := make([][]figures, len(makers))
	for range repeat {
		for i, make := range makers { // in turn, so that a change of the machine's speed meets both
			f, err := ingest(make, rows)
			if err != nil {
				return err
			}
			results[i] = append(results[i], f)
		}
	}
	drain, err := replication(holdfast, rows)
	if err != nil {
		return err
	}
	idleRSS, err := defaultNode(holdfast, idle)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "figure (median of runs, one core)\tholdfast\tinfluxdb 1.8.10\tratio\t")
	row := func(name, format string, get func(figures) float64) {
		ours := median(results[0], get)
		fmt.Fprintf(w, "%s\t"+format+"\t", name, ours)
		if len(results) > 1 {
			peer := median(results[1], get)
			fmt.Fprintf(w, format+"\t%.2f\t", peer, ours/peer)
		} else {
			fmt.Fprint(w, "-\t-\t")
		}
		fmt.Fprintln(w)
	}
	row("write over HTTP, rows/s, wall", "%.0f", func(f figures) float64 { return f.rowsPerSecond })
	row("write over HTTP, rows per CPU s", "%.0f", func(f figures) float64 { return f.rowsPerCPU })
	row("CPU s per million values", "%.3f", func(f figures) float64 { return f.cpuPerMillion })
	row("small writes (1 row), requests/s", "%.0f", func(f figures) float64 { return f.smallPerSecond })
	row("peak memory, MB", "%.0f", func(f figures) float64 { return f.peak / 1e6 })
	row("bytes on disk per value", "%.2f", func(f figures) float64 { return f.bytesPerValue })
	row("start, empty, ms", "%.0f", func(f figures) float64 { return f.startEmpty })
	row("start, with the data, ms", "%.0f", func(f figures) float64 { return f.startFull })
	row("memory after start, empty, MB", "%.0f", func(f figures) float64 { return f.rssEmpty / 1e6 })
	fmt.Fprintf(w, "replication of a backlog, rows/s, wall\t%.0f\t-\t-\t\n", drain.rowsPerSecond)
	fmt.Fprintf(w, "replication, rows per CPU s of the sender\t%.0f\t-\t-\t\n", drain.rowsPerCPU)
	fmt.Fprintf(w, "idle memory of a default node, MB\t%.0f\t-\t-\t\n", float64(idleRSS)/1e6)
	size := func(path string) string {
		info, err := os.Stat(path)
		if err != nil {
			return "-"
		}
		return fmt.Sprintf("%.1f", float64(info.Size())/1e6)
	}
	fmt.Fprintf(w, "program, MB\t%s\t%s\t\t\n", size(holdfast), size(influxd))
	return w.Flush()
}

// figures are what one run of one server gave.
type figures struct {
	rowsPerSecond, rowsPerCPU, cpuPerMillion, smallPerSecond float64
	peak, bytesPerValue, startEmpty, startFull, rssEmpty     float64
}

func median(fs []figures, get func(figures) float64) float64 {
	var v []float64
	for _, f := range fs {
		v = append(v, get(f))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ingest writes rows in requests of 5000 by one writer, then single rows, and measures the server.
func ingest(make func(string) (*server, error), rows int) (f figures, err error) {
	dir, err := os.MkdirTemp("", "side-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	s, err := make(dir)
	if err != nil {
		return f, err
	}
	if err := s.run(); err != nil {
		return f, err
	}
	defer func() { s.stop() }()
	f.startEmpty, f.rssEmpty = ms(s.boot), float64(s.memory("VmRSS"))
	if err := s.prepare(); err != nil {
		return f, err
	}
	const batch = 5000
	l := newLoad(200, batch)
	rows = rows / batch * batch
	var wall time.Duration
	cpu := s.cpu()
	for range rows / batch {
		body := l.next()
		begin := time.Now()
		if _, err := s.post(s.write, "", body, 204); err != nil {
			return f, err
		}
		wall += time.Since(begin)
	}
	used := s.cpu() - cpu
	f.rowsPerSecond = float64(rows) / wall.Seconds()
	f.rowsPerCPU = float64(rows) / used.Seconds()
	f.cpuPerMillion = used.Seconds() / (float64(rows) * loadFields / 1e6)

	small := newLoad(200, 1)
	small.row = l.row
	begin := time.Now()
	const requests = 2000
	for range requests {
		if _, err := s.post(s.write, "", small.next(), 204); err != nil {
			return f, err
		}
	}
	f.smallPerSecond = requests / time.Since(begin).Seconds()
	f.peak = float64(s.memory("VmHWM"))

	s.stop()
	if err := s.run(); err != nil {
		return f, err
	}
	f.startFull = ms(s.boot)
	s.stop()
	if err := errors.Join(s.settle(), s.run()); err != nil {
		return f, err
	}
	n, err := blockBytes(s)
	if err != nil {
		return f, err
	}
	f.bytesPerValue = float64(n) / (float64(rows) * loadFields)
	return f, nil
}

// blockBytes waits until the server has written its blocks and returns their bytes: TSM files, or our blocks with sidecars and
// manifest. Journals and preallocated series files are left out on both sides.
func blockBytes(s *server) (int64, error) {
	if s.token == "" {
		return settled(func() (int64, error) { return disk(s.dir, ".tsm") })
	}
	return settled(func() (int64, error) { return disk(filepath.Join(s.dir, "store"), "") })
}

func settled(size func() (int64, error)) (int64, error) {
	var last int64
	still := 0
	for range 120 {
		n, err := size()
		if err != nil {
			return 0, err
		}
		if n == last && n > 0 {
			if still++; still == 20 {
				return n, nil
			}
		} else {
			still = 0
		}
		last = n
		time.Sleep(500 * time.Millisecond)
	}
	return last, nil
}

// replication fills a node, then tells it of a remote, and measures the drain with backfill.
func replication(holdfast string, rows int) (f figures, err error) {
	dir, err := os.MkdirTemp("", "side-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	var nodes [2]*server
	for i := range nodes {
		sub := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return f, err
		}
		if nodes[i], err = newHoldfast(holdfast, sub, ""); err != nil {
			return f, err
		}
		if err := nodes[i].run(); err != nil {
			return f, err
		}
		defer nodes[i].stop()
		if err := nodes[i].prepare(); err != nil {
			return f, err
		}
	}
	return drain(nodes[0], nodes[1], rows)
}

// defaultNode starts a node without any configuration and returns its resident memory after a while.
func defaultNode(holdfast string, idle time.Duration) (int64, error) {
	dir, err := os.MkdirTemp("", "side-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	s, err := newHoldfast(holdfast, dir, strings.Join([]string{
		"[agent]", `  interval = "10s"`, "[[inputs.cpu]]", "[[inputs.mem]]", "[[inputs.disk]]", "[[inputs.diskio]]", "[[inputs.net]]",
		"[[inputs.system]]", "[[inputs.processes]]", "[[inputs.swap]]", "[[inputs.kernel]]", ""}, "\n"))
	if err != nil {
		return 0, err
	}
	if err := s.run(); err != nil {
		return 0, err
	}
	defer s.stop()
	time.Sleep(idle)
	return s.memory("VmRSS"), nil
}
