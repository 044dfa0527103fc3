package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// flushRetry is how long a failed flush or compaction waits before it is tried again.
const flushRetry = 5 * time.Second

// Flush writes everything that was applied before the call to blocks. After it Flushed is at least what Applied was.
func (b *Bucket) Flush(ctx context.Context) error {
	target := b.Applied()
	for {
		if err := b.flushOnce(ctx); err != nil {
			return fmt.Errorf("flush bucket %s: %w", b.id, err)
		}
		if b.Flushed() >= target {
			return nil
		}
	}
}

// flushOnce writes the frozen memtable, which it freezes first unless an earlier flush of it failed.
func (b *Bucket) flushOnce(ctx context.Context) error {
	b.edit.Lock()
	defer b.edit.Unlock()
	began := time.Now()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	if b.frozen == nil {
		b.frozen, b.active = b.active, newMemtable()
		b.frozen.last = b.applied
	}
	t := b.frozen
	if t.empty() && t.last == b.flushed {
		b.frozen = nil
		b.mu.Unlock()
		return nil
	}
	names := t.fieldNames()
	b.mu.Unlock()

	made, err := b.writeFlush(ctx, t, b.planFlush(t, names))
	if err == nil {
		err = b.commit(change{add: made, flushed: t.last, table: t})
	}
	if err != nil {
		b.metrics.flushErrors.Inc()
		return err
	}
	b.metrics.flushes.Inc()
	b.metrics.flushTime.Observe(time.Since(began).Seconds())
	if b.onFlush != nil {
		b.onFlush(t.last)
	}
	return nil
}

// flushPart is what of a frozen memtable goes into one partition.
type flushPart struct {
	p      *partition
	inputs []measureInput
}

// fieldNames returns the names of the table's field sets as they are now. The bucket's lock must be held, because the sets
// still grow.
func (t *memtable) fieldNames() map[*fieldSet][]string {
	out := make(map[*fieldSet][]string, len(t.sets))
	for s := range t.sets {
		out[s] = s.names
	}
	return out
}

// planFlush lists what is in a frozen memtable, sorted.
func (b *Bucket) planFlush(t *memtable, names map[*fieldSet][]string) []flushPart {
	var out []flushPart
	for p, mp := range t.parts {
		if !p.gone {
			out = append(out, flushPart{p, mp.inputs(names, b.store.wideValues)})
		}
	}
	slices.SortFunc(out, func(x, y flushPart) int { return cmp.Compare(x.p.span.Min, y.p.span.Min) })
	return out
}

// inputs lists the measurements of the part, which must be frozen.
func (mp *memPart) inputs(names map[*fieldSet][]string, wideValues int64) []measureInput {
	groups := make(map[*measurement][]*memSeries)
	for _, s := range mp.series {
		groups[s.entry.m] = append(groups[s.entry.m], s)
	}
	out := make([]measureInput, 0, len(groups))
	for m, series := range groups {
		in := memInput(m.name, series, names)
		in.decide(wideValues)
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b measureInput) int { return strings.Compare(a.name, b.name) })
	return out
}

// memInput makes the input of one measurement. All series have the same field set, unless the measurement was dropped in between:
// then values of another type than the first are left out, which are deleted ones.
func memInput(name string, series []*memSeries, names map[*fieldSet][]string) measureInput {
	slices.SortFunc(series, func(a, b *memSeries) int { return strings.Compare(a.entry.key, b.entry.key) })
	in := measureInput{name: name, keys: make([]string, len(series))}
	found := make(map[string]*memField)
	for i, s := range series {
		in.keys[i] = s.entry.key
		for at := range s.cols {
			c := &s.cols[at]
			n := max(len(c.bits), len(c.strs))
			if n == 0 {
				continue
			}
			field := names[s.fields][at]
			f := found[field]
			if f == nil {
				f = &memField{headColumn: headColumn{key: field, t: c.t}}
				found[field] = f
			}
			f.raw = f.raw || c.raw
			f.optional = f.optional || n < len(s.times) || c.t != f.t
			f.series++
			in.values += int64(n)
			for _, text := range c.strs {
				in.text += int64(len(text))
			}
		}
	}
	for _, f := range found {
		f.optional = f.optional || f.series < len(series)
		in.fields = append(in.fields, f.headColumn)
	}
	slices.SortFunc(in.fields, func(a, b headColumn) int { return strings.Compare(a.key, b.key) })
	wanted := in.fieldNames()
	indexes := make(map[*fieldSet][]int)
	in.each = func(i int, emit func(*rows) error) error {
		s := series[i]
		at, ok := indexes[s.fields]
		if !ok {
			for _, field := range wanted {
				at = append(at, slices.Index(names[s.fields], field))
			}
			indexes[s.fields] = at
		}
		h := memView{s, len(s.times)}.headers(at)
		r := h.within(TimeRange{math.MinInt64, math.MaxInt64})
		return emit(&r)
	}
	return in
}

// memField is a field of a measurement in a memtable, and in how many series it occurs.
type memField struct {
	headColumn
	series int
}

// writeFlush writes the blocks of all partitions and syncs their folders.
func (b *Bucket) writeFlush(ctx context.Context, t *memtable, plan []flushPart) ([]addition, error) {
	head := blockHead{order: t.last, first: t.first, last: t.last, set: b.nextID}
	for _, part := range plan {
		head.size += uint32(fileCount(part.inputs))
	}
	var out []addition
	for _, part := range plan {
		head.span = part.p.span
		made, err := b.writePart(ctx, part.p, head, part.inputs, b.takeID)
		if err != nil {
			for _, a := range out {
				a.block.discard(b.log)
			}
			return nil, err
		}
		for _, blk := range made {
			out = append(out, addition{part.p, blk})
		}
	}
	return out, nil
}

// writePart writes blocks into a partition's folder and makes their names durable.
func (b *Bucket) writePart(ctx context.Context, p *partition, head blockHead, inputs []measureInput, nextID func() uint64) ([]*block, error) {
	dir := filepath.Join(b.dir, p.dir())
	// Not with its parents: the bucket's folder is gone only when the bucket was dropped, and then it must not come back.
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make partition: %w", err)
	}
	made, err := writeBlocks(ctx, dir, head, inputs, nextID)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{dir, b.dir} {
		if err := syncDir(d); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// takeID returns the next block id. b.edit must be held.
func (b *Bucket) takeID() uint64 {
	b.nextID++
	return b.nextID - 1
}
