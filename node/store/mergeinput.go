package store

import (
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// mergeInput gathers what the input blocks of a compaction have of one measurement.
type mergeInput struct {
	job    *compaction
	name   string
	fields map[string]*headColumn
	order  map[string]uint64 // of the block that a field's type is from
	counts map[string]int    // how many blocks have the field
	blocks map[*block]bool
	series map[string][]place
	values int64
	text   int64
}

// place is where a series is in a block.
type place struct {
	blk    *block
	number int
}

func newMergeInput(job *compaction, name string) *mergeInput {
	return &mergeInput{job: job, name: name, fields: make(map[string]*headColumn), order: make(map[string]uint64),
		counts: make(map[string]int), blocks: make(map[*block]bool), series: make(map[string][]place)}
}

// add notes series number i of a block.
func (in *mergeInput) add(blk *block, i int, e *seriesEntry) {
	in.series[e.key] = append(in.series[e.key], place{blk, i})
	if !in.blocks[blk] {
		in.text += blk.textBytes()
	}
	if blk.head.layout == narrow {
		in.blocks[blk] = true
		for r := blk.runAt[i]; r < blk.runAt[i+1]; r++ {
			f := blk.fields[blk.runField[r]]
			in.values += int64(blk.runStart[r+1] - blk.runStart[r])
			in.field(blk, headColumn{key: f.Name, t: f.Type, optional: true, raw: blk.hasRaw()})
		}
		return
	}
	if in.blocks[blk] {
		return
	}
	in.blocks[blk] = true
	in.values += blk.head.values
	for _, c := range blk.cols[1:] {
		in.counts[c.key]++
		in.field(blk, headColumn{key: c.key, t: c.t, optional: c.optional || blk.damaged.Load(), raw: c.raw})
	}
}

// textBytes returns the bytes of the block's string values, about.
func (b *block) textBytes() int64 {
	var n int64
	for i := range b.cols {
		if b.cols[i].t != line.String {
			continue
		}
		for _, p := range b.cols[i].pages {
			n += int64(p.plain)
		}
	}
	return n
}

// hasRaw tells whether a narrow block has text that is not UTF-8.
func (b *block) hasRaw() bool {
	return slices.ContainsFunc(b.head.columns, func(c headColumn) bool { return c.raw })
}

// field notes a field of a block. Where blocks have different types, because the measurement was dropped in between, the newest counts:
// the older values are deleted.
func (in *mergeInput) field(blk *block, c headColumn) {
	have := in.fields[c.key]
	if have == nil {
		in.fields[c.key] = &c
		in.order[c.key] = blk.head.order
		return
	}
	if have.t != c.t {
		c.optional, have.optional = true, true
		if blk.head.order > in.order[c.key] {
			have.t, in.order[c.key] = c.t, blk.head.order
		}
	}
	have.optional = have.optional || c.optional
	have.raw = have.raw || c.raw
}

// finish makes the input of the writer.
func (in *mergeInput) finish() measureInput {
	out := measureInput{name: in.name, values: in.values, text: in.text}
	for key, f := range in.fields {
		f.optional = f.optional || in.counts[key] < len(in.blocks)
		out.fields = append(out.fields, *f)
	}
	slices.SortFunc(out.fields, func(a, b headColumn) int { return strings.Compare(a.key, b.key) })
	for key := range in.series {
		out.keys = append(out.keys, key)
	}
	slices.Sort(out.keys)
	r := &mergeReader{in: in, keys: out.keys, fields: out.fieldNames(), scans: make(map[*block]*blockScan)}
	out.each = r.each
	return out
}

// mergeReader reads the merged rows of the series of one measurement.
type mergeReader struct {
	in     *mergeInput
	keys   []string
	fields []string
	scans  map[*block]*blockScan
	merge  merger
}

func (r *mergeReader) each(i int, emit func(*rows) error) error {
	job := r.in.job
	key := r.keys[i]
	var matching []*tombstone
	if len(job.tombs) > 0 {
		matching = matchingTombstones(job.tombs, newSeries(key))
	}
	r.merge.n = len(r.fields)
	r.merge.reset()
	places := r.in.series[key]
	slices.SortFunc(places, func(a, b place) int {
		return -compareAge(a.blk, b.blk)
	})
	for _, p := range places {
		s := r.scans[p.blk]
		if s == nil {
			var err error
			if s, err = newBlockScan(p.blk, r.fields, job.damaged); err != nil {
				return err
			}
			r.scans[p.blk] = s
		}
		cut := cutFor(matching, p.blk.head.order, job.p.span)
		r.merge.add(s.series(p.number, job.p.span, cut, false))
	}
	for rows := r.merge.next(); rows != nil; rows = r.merge.next() {
		if err := emit(rows); err != nil {
			return err
		}
	}
	return nil
}
