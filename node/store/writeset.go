package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// defaultWideValues is how many values a measurement must have in a partition to get a file of its own. What a file costs
// beside them (footer, page index, sidecar) is then a few per cent.
const defaultWideValues = 32 << 10

// wideText is how many bytes of text a measurement must have to get a file of its own, because reads of a narrow block take
// all of a series at once.
const wideText = 4 << 20

// measureInput is the rows of one measurement that go into new blocks.
type measureInput struct {
	name string
	// fields are sorted by key.
	fields []headColumn
	// keys are the series, sorted.
	keys   []string
	values int64
	text   int64 // bytes of the string values, about
	// wide tells that the measurement gets a block of its own.
	wide bool
	// each gives the rows of series i in time order, in batches with a column for each field, valid during the call.
	each func(i int, emit func(*rows) error) error
}

// decide sets wide.
func (m *measureInput) decide(wideValues int64) {
	m.wide = m.values >= wideValues || m.text >= wideText
}

// fieldNames returns the fields' names.
func (m *measureInput) fieldNames() []string {
	out := make([]string, len(m.fields))
	for i := range m.fields {
		out[i] = m.fields[i].key
	}
	return out
}

// fileCount is how many files writeBlocks makes at most.
func fileCount(inputs []measureInput) int {
	n, small := 0, 0
	for i := range inputs {
		if inputs[i].wide {
			n++
		} else {
			small = 1
		}
	}
	return n + small
}

// writeBlocks writes the measurements, sorted by name, into new blocks in dir: wide ones into a block each, the others
// together into a narrow one. head is what the blocks have in common; nextID gives each its id. On an error it removes what it wrote.
func writeBlocks(ctx context.Context, dir string, head blockHead, inputs []measureInput, nextID func() uint64) (out []*block, err error) {
	defer func() {
		if err != nil {
			for _, b := range out {
				err = errors.Join(err, b.remove())
			}
			out = nil
		}
	}()
	var small []*measureInput
	for i := range inputs {
		in := &inputs[i]
		if !in.wide {
			small = append(small, in)
			continue
		}
		head.id = nextID()
		b, err := writeWide(ctx, dir, head, in)
		if err != nil {
			return out, err
		}
		if b != nil {
			out = append(out, b)
		}
	}
	if len(small) == 0 {
		return out, nil
	}
	head.id = nextID()
	b, err := writeNarrow(ctx, dir, head, small)
	if err == nil && b != nil {
		out = append(out, b)
	}
	return out, err
}

func writeWide(ctx context.Context, dir string, head blockHead, in *measureInput) (*block, error) {
	head.layout, head.names = wide, []string{in.name}
	head.columns = wideColumns(tagColumns(in.keys), in.fields)
	w, err := newBlockWriter(dir, head)
	if err != nil {
		return nil, err
	}
	for i, key := range in.keys {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, w.abort())
		}
		_, tags := splitSeries(key, nil)
		if err := in.each(i, func(r *rows) error { return w.addWide(key, tags, r) }); err != nil {
			return nil, errors.Join(err, w.abort())
		}
	}
	return w.close()
}

// tagColumns returns the tags that any of the series has, sorted by key.
func tagColumns(keys []string) []headColumn {
	type seen struct {
		n   int
		raw bool
	}
	counts := make(map[string]seen)
	for _, key := range keys {
		_, tags := splitSeries(key, nil)
		for _, t := range tags {
			c := counts[t.Key]
			c.n++
			c.raw = c.raw || !utf8.ValidString(t.Value)
			counts[t.Key] = c
		}
	}
	out := make([]headColumn, 0, len(counts))
	for tag, c := range counts {
		out = append(out, headColumn{key: tag, optional: c.n < len(keys), raw: c.raw})
	}
	slices.SortFunc(out, func(a, b headColumn) int { return strings.Compare(a.key, b.key) })
	return out
}

func writeNarrow(ctx context.Context, dir string, head blockHead, inputs []*measureInput) (*block, error) {
	head.layout = narrow
	types := make(map[line.Type]bool)
	raw := false
	for _, in := range inputs {
		head.names = append(head.names, in.name)
		for _, f := range in.fields {
			types[f.t] = true
			raw = raw || f.raw || !utf8.ValidString(f.key)
		}
		raw = raw || slices.ContainsFunc(in.keys, func(k string) bool { return !utf8.ValidString(k) })
	}
	head.columns = narrowColumns(sortedTypes(types), raw)
	w, err := newBlockWriter(dir, head)
	if err != nil {
		return nil, err
	}
	index := w.fieldIndex()
	for _, in := range inputs {
		if err := w.addMeasurement(ctx, in, index); err != nil {
			return nil, errors.Join(err, w.abort())
		}
	}
	return w.close()
}

func sortedTypes(types map[line.Type]bool) []line.Type {
	var out []line.Type
	for t := line.Float; t <= line.String; t++ {
		if types[t] {
			out = append(out, t)
		}
	}
	return out
}

// fieldIndex returns a function that numbers fields as they come.
func (w *blockWriter) fieldIndex() func(FieldKey) uint32 {
	known := make(map[FieldKey]uint32)
	return func(f FieldKey) uint32 {
		i, ok := known[f]
		if !ok {
			i = uint32(len(w.b.fields))
			known[f] = i
			w.b.fields = append(w.b.fields, f)
		}
		return i
	}
}

// addMeasurement writes all series of a small measurement into a narrow block.
func (w *blockWriter) addMeasurement(ctx context.Context, in *measureInput, index func(FieldKey) uint32) error {
	fields := make([]FieldKey, len(in.fields))
	for i, f := range in.fields {
		fields[i] = FieldKey{f.key, f.t}
	}
	var all rows
	for i, key := range in.keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		all.reset(len(fields))
		if err := in.each(i, func(r *rows) error { all.append(r, 0, r.len()); return nil }); err != nil {
			return err
		}
		if all.len() == 0 {
			continue
		}
		if err := w.addNarrow(in.name, key, fields, index, &all); err != nil {
			return err
		}
	}
	return nil
}
