package query

import (
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// batch is a run of rows of a plan's source that have the same tags of its groupBy, sorted by time. It is valid until the function that it
// was handed to returns.
type batch struct {
	group *tagset // of the plan's groupBy
	times []int64
	cols  []*column // one for each of the plan's inputs
}

// keep copies the inputs of row i that are selected beside a function.
func (b *batch) keep(inputs []int, i int) []any {
	if len(inputs) == 0 {
		return nil
	}
	out := make([]any, len(inputs))
	for j, in := range inputs {
		out[j] = cell(b.cols[in], i)
	}
	return out
}

// groupKey is what the result is grouped by: a measurement and the values of the plan's dims.
type groupKey struct {
	name string
	tags *tagset
}

func (k groupKey) compare(o groupKey) int {
	if k.name != o.name {
		if k.name < o.name {
			return -1
		}
		return 1
	}
	return k.tags.compare(o.tags)
}

// chunkReader turns the chunks of a scan into batches of a plan: it converts types, adds tags as columns, and leaves out
// the rows that the condition refuses.
type chunkReader struct {
	p      *plan
	fields map[string]int // the place of a field in the chunk
	filter *rowFilter     // nil when all rows pass

	b       batch
	cast    []column // by input
	picked  []column
	filters []column
	fcols   []*column
	rows    []int
	texts   [][]string
	times   []int64
	raw     bool
}

// newChunkReader makes a reader for rows that filter lets pass; fields are the columns that were asked for.
func newChunkReader(p *plan, fields []string, filter *rowFilter) *chunkReader {
	n := len(p.inputs)
	r := &chunkReader{p: p, filter: filter, fields: map[string]int{}, raw: len(p.calls) == 0,
		cast: make([]column, n), picked: make([]column, n), texts: make([][]string, n)}
	for i, f := range fields {
		r.fields[f] = i
	}
	if filter != nil {
		r.filters = make([]column, len(filter.refs))
		r.fcols = make([]*column, len(filter.refs))
	}
	r.b.cols = make([]*column, n)
	return r
}

// none is a column without values.
var none = &column{}

// batch returns the batch of a chunk, nil when none of its rows pass.
func (r *chunkReader) batch(c *store.Chunk, group *tagset) *batch {
	r.b.group, r.b.times = group, c.Times
	stored := false
	for i := range r.p.inputs {
		in := &r.p.inputs[i]
		at, ok := r.fields[in.ref.Val]
		if isTagRef(&in.ref) {
			r.b.cols[i] = none
			if !in.driver {
				r.b.cols[i] = r.tagColumn(i, c.Series.Tag(in.ref.Val), len(c.Times))
			}
			continue
		}
		r.b.cols[i] = none
		if ok {
			r.b.cols[i] = castColumn(&c.Columns[at], r.p.inputType(i), &r.cast[i])
			stored = stored || r.b.cols[i].Type != 0
		}
	}
	if !stored {
		return nil
	}
	rows, all := r.choose(c)
	if all {
		return &r.b
	}
	if len(rows) == 0 {
		return nil
	}
	r.times = gatherRows(r.times[:0], c.Times, rows)
	r.b.times = r.times
	for i, col := range r.b.cols {
		gather(&r.picked[i], col, rows)
		r.b.cols[i] = &r.picked[i]
	}
	return &r.b
}

// tagColumn is a tag as a column of n equal values; a series without the tag has none.
func (r *chunkReader) tagColumn(i int, value string, n int) *column {
	if value == "" {
		return none
	}
	t := r.texts[i]
	if len(t) < n || t[0] != value {
		if cap(t) < n {
			t = make([]string, n)
		}
		t = t[:n]
		for j := range t {
			t[j] = value
		}
		r.texts[i] = t
	}
	r.cast[i] = column{Type: line.String, Strings: t[:n]}
	return &r.cast[i]
}

// choose returns the rows that pass, or that all do.
func (r *chunkReader) choose(c *store.Chunk) (rows []int, all bool) {
	n := len(c.Times)
	if r.filter != nil {
		for i, ref := range r.filter.refs {
			r.fcols[i] = none
			if at, ok := r.fields[ref.Val]; ok {
				r.fcols[i] = castColumn(&c.Columns[at], lineType(ref.Type), &r.filters[i])
			}
		}
		r.rows = r.filter.rows(r.rows[:0], r.fcols, n)
	}
	if r.filter == nil && (!r.raw || r.allStored(n)) {
		return nil, true
	}
	if r.filter == nil {
		r.rows = r.rows[:0]
		for i := range n {
			r.rows = append(r.rows, i)
		}
	}
	if r.raw {
		kept := r.rows[:0]
		for _, i := range r.rows {
			if r.storedRow(i) {
				kept = append(kept, i)
			}
		}
		r.rows = kept
	}
	return r.rows, len(r.rows) == n
}

// allStored reports whether it is plain that each row has a selected field.
func (r *chunkReader) allStored(n int) bool {
	for i, col := range r.b.cols {
		if !isTagRef(&r.p.inputs[i].ref) && col.Type != 0 && (col.Valid == nil || countValid(col, 0, n) == int64(n)) {
			return true
		}
	}
	return false
}

// storedRow reports whether a selected field has a value in row i. A row that only the condition's fields are in is no row
// of the result.
func (r *chunkReader) storedRow(i int) bool {
	for j, col := range r.b.cols {
		if !isTagRef(&r.p.inputs[j].ref) && col.Has(i) {
			return true
		}
	}
	return false
}
