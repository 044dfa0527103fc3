package main

import (
	"fmt"
	"io"
	"log"
	"text/tabwriter"
)

// table collects figures in the order in which they come.
type table struct{ rows [][4]string }

// row adds a figure.
func (t *table) row(name, format string, values ...any) {
	t.rows = append(t.rows, [4]string{name, fmt.Sprintf(format, values...)})
	log.Printf("%s: %s", name, t.rows[len(t.rows)-1][1])
}

// target adds a figure that has a target, and whether it is met.
func (t *table) target(met bool, target, name, format string, values ...any) {
	t.row(name, format, values...)
	last := &t.rows[len(t.rows)-1]
	last[2], last[3] = target, "missed"
	if met {
		last[3] = "met"
	}
}

// write prints the table.
func (t *table) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tholdfast-operator\ttarget\t")
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r[0], r[1], r[2], r[3])
	}
	return w.Flush()
}
