package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// printer writes resources in the form that flags chose.
type printer struct {
	out               io.Writer
	json, hideHeaders bool
}

func (p *printer) addTo(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.json, "json", false, "Output data as JSON")
	fromEnv(cmd, "json", "OUTPUT_JSON")
	cmd.Flags().BoolVar(&p.hideHeaders, "hide-headers", false, "Hide the table headers in output data")
	fromEnv(cmd, "hide-headers", "HIDE_HEADERS")
}

// table is columns and rows of cells, which print as fmt.Print prints them.
type table struct {
	headers []string
	rows    [][]any
}

func (t *table) add(cells ...any) { t.rows = append(t.rows, cells) }

// deleted adds a column that tells that what is listed is gone.
func (t table) deleted() table {
	t.headers = append(t.headers, "Deleted")
	for i := range t.rows {
		t.rows[i] = append(t.rows[i], true)
	}
	return t
}

// print writes v as JSON or t as a table.
func (p printer) print(v any, t table) error {
	if p.json {
		return p.printJSON(v)
	}
	return p.printTable(t)
}

func (p printer) printJSON(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "\t")
	return enc.Encode(v)
}

// printTable separates columns by tabs, at least one, up to stops of 8.
func (p printer) printTable(t table) error {
	w := tabwriter.NewWriter(p.out, 0, 8, 1, '\t', 0)
	if !p.hideHeaders {
		if _, err := fmt.Fprintln(w, strings.Join(t.headers, "\t")); err != nil {
			return err
		}
	}
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = cellText(cell)
		}
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// cellText keeps a cell in its column: tabs and line ends in names would break the table.
func cellText(v any) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, fmt.Sprint(v))
}

// list makes a nil slice an empty one, which is [] in JSON.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
