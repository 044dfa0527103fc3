package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

var _ Reader = (*Bucket)(nil)

// presence answers which series may have data in a range. It is made under the lock and used under it.
type presence struct {
	b     *Bucket
	tr    TimeRange
	cache map[*seriesEntry][]*tombstone
}

func (b *Bucket) presence(tr TimeRange) *presence {
	return &presence{b: b, tr: b.visible(tr), cache: make(map[*seriesEntry][]*tombstone)}
}

// tombstones returns those that concern a series.
func (x *presence) tombstones(e *seriesEntry) []*tombstone {
	if len(x.b.tombstones) == 0 {
		return nil
	}
	t, ok := x.cache[e]
	if !ok {
		t = matchingTombstones(x.b.tombstones, newSeries(e.key))
		x.cache[e] = t
	}
	return t
}

// inBlock tells whether a series that is in the block may have rows in the range there.
func (x *presence) inBlock(blk *block, e *seriesEntry) bool {
	span := x.tr.clip(blk.head.times)
	return !span.empty() && !coveredBy(cutFor(x.tombstones(e), blk.head.order, span), span)
}

// inTable tells whether a series of a memtable may have rows in the range there.
func (x *presence) inTable(t *memtable, s *memSeries) bool {
	span := x.tr.clip(TimeRange{s.min, s.max})
	if span.empty() {
		return false
	}
	return t == x.b.active || !coveredBy(cutFor(x.tombstones(s.entry), t.last, span), span)
}

// each calls f for the parts of the bucket that overlap the range: blocks, and parts of memtables.
func (x *presence) each(inBlock func(*block), inTable func(*memtable, *memPart)) {
	if x.tr.empty() {
		return
	}
	for _, p := range x.b.partitions {
		if !p.span.overlaps(x.tr) {
			continue
		}
		for _, blk := range p.blocks {
			if blk.head.times.overlaps(x.tr) {
				inBlock(blk)
			}
		}
		for _, t := range []*memtable{x.b.active, x.b.frozen} {
			if t != nil && t.parts[p] != nil {
				inTable(t, t.parts[p])
			}
		}
	}
}

// Measurements returns the names of the measurements that have data within tr. See Reader.
func (b *Bucket) Measurements(_ context.Context, tr TimeRange) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	found := make(map[string]bool)
	x := b.presence(tr)
	x.each(func(blk *block) {
		missing := slices.ContainsFunc(blk.head.names, func(n string) bool { return !found[n] })
		for _, e := range blk.entries {
			if !missing {
				break
			}
			if !found[e.m.name] && x.inBlock(blk, e) {
				found[e.m.name] = true
				missing = len(blk.head.names) > 1
			}
		}
	}, func(t *memtable, mp *memPart) {
		for _, s := range mp.series {
			if !found[s.entry.m.name] && x.inTable(t, s) {
				found[s.entry.m.name] = true
			}
		}
	})
	out := make([]string, 0, len(found))
	for name := range found {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// Fields returns the fields of a measurement within tr. See Reader.
func (b *Bucket) Fields(_ context.Context, name string, tr TimeRange) ([]FieldKey, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	found := make(map[FieldKey]bool)
	x := b.presence(tr)
	x.each(func(blk *block) {
		if blk.holds(name) {
			x.blockFields(blk, name, found)
		}
	}, func(t *memtable, mp *memPart) {
		for _, s := range mp.series {
			if s.entry.m.name != name || !x.inTable(t, s) {
				continue
			}
			for i := range s.cols {
				if c := &s.cols[i]; len(c.bits)+len(c.strs) > 0 {
					found[FieldKey{s.fields.names[i], c.t}] = true
				}
			}
		}
	})
	out := make([]FieldKey, 0, len(found))
	for f := range found {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b FieldKey) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return out, nil
}

// blockFields adds the fields that the live series of a measurement have in the block.
func (x *presence) blockFields(blk *block, name string, found map[FieldKey]bool) {
	for i, e := range blk.entries {
		if e.m.name != name || !x.inBlock(blk, e) {
			continue
		}
		for _, f := range blk.fieldsOf(i) {
			found[f] = true
		}
		if blk.head.layout == wide {
			return
		}
	}
}

// Series returns the series of a measurement that may have data within tr and satisfy all matchers. See Reader.
func (b *Bucket) Series(ctx context.Context, name string, tr TimeRange, match []TagMatcher) ([]*Series, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, ErrClosed
	}
	m := b.index.measurements[name]
	if m == nil {
		b.mu.Unlock()
		return nil, nil
	}
	all, postings := m.all, m.tagPostings(match)
	b.mu.Unlock()

	ids := selectSeries(all, match, postings) // may run regular expressions over many values
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	keys := b.present(name, ids, tr)
	slices.Sort(keys)
	out := make([]*Series, len(keys))
	for i, key := range keys {
		out[i] = newSeries(key)
	}
	return out, nil
}

// present returns the keys of those ids, which are sorted, that may have data within tr.
func (b *Bucket) present(name string, ids []uint32, tr TimeRange) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	here := make([]bool, len(ids))
	x := b.presence(tr)
	x.each(func(blk *block) {
		if !blk.holds(name) {
			return
		}
		for i, id := range ids {
			if here[i] {
				continue
			}
			if n, ok := blk.find(id); ok && x.inBlock(blk, blk.entries[n]) {
				here[i] = true
			}
		}
	}, func(t *memtable, mp *memPart) {
		for i, id := range ids {
			if s := mp.series[id]; !here[i] && s != nil && x.inTable(t, s) {
				here[i] = true
			}
		}
	})
	var keys []string
	for i, id := range ids {
		if here[i] {
			keys = append(keys, b.index.byID[id].key)
		}
	}
	return keys
}
