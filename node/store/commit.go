package store

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// change is a step from one manifest to the next.
type change struct {
	add    []addition
	remove []*block
	// drop are partitions that go as a whole.
	drop []*partition
	// flushed is the new flushed position, 0 when it stays, and table the frozen memtable that is in blocks now.
	flushed uint64
	table   *memtable
}

// addition is a new block and its partition.
type addition struct {
	p     *partition
	block *block
}

// commit makes a change durable by writing the manifest, then visible. b.edit must be held, b.mu not. When it fails nothing has
// changed; the new blocks' files are removed, unless the manifest on disk may name them: then they stay until the bucket is opened again.
func (b *Bucket) commit(c change) error {
	b.mu.Lock()
	m := b.manifestAfter(&c)
	b.mu.Unlock()
	second, err := writeManifest(b.dir, m)
	if errors.Is(err, errManifestKept) { // as on a full disk, which they would keep full
		for _, a := range c.add {
			a.block.discard(b.log)
		}
	}
	if err != nil {
		return err
	}
	if second != nil {
		b.log.Warn("the second copy of the manifest is out of date until the next one is written", "error", second)
	}
	b.mu.Lock()
	b.version = m.version
	b.install(&c)
	b.mu.Unlock()
	for _, blk := range c.remove {
		blk.discard(b.log)
	}
	for _, p := range c.drop {
		for _, blk := range p.blocks {
			blk.discard(b.log)
		}
	}
	return nil
}

// manifestAfter describes the bucket as it will be after the change. The lock must be held.
func (b *Bucket) manifestAfter(c *change) *manifest {
	m := &manifest{version: b.version + 1, flushed: max(b.flushed, c.flushed), nextID: b.nextID}
	added := make(map[*partition][]*block)
	for _, a := range c.add {
		added[a.p] = append(added[a.p], a.block)
	}
	for _, p := range b.partitions {
		if slices.Contains(c.drop, p) {
			continue
		}
		mp := manifestPartition{span: p.span}
		for _, blk := range p.blocks {
			if !slices.Contains(c.remove, blk) {
				mp.blocks = append(mp.blocks, blk.head.entry())
			}
		}
		for _, blk := range added[p] {
			mp.blocks = append(mp.blocks, blk.head.entry())
		}
		for ms, set := range p.fields {
			if len(set.names) == 0 {
				continue
			}
			f := manifestFields{measurement: ms.name, fields: make([]FieldKey, len(set.names))}
			for i, name := range set.names {
				f.fields[i] = FieldKey{name, set.types[i]}
			}
			mp.fields = append(mp.fields, f)
		}
		slices.SortFunc(mp.fields, func(x, y manifestFields) int { return compareSeries(x.measurement, "", y.measurement, "") })
		m.partitions = append(m.partitions, mp)
	}
	m.tombstones = b.tombstones
	return m
}

// entry is what the manifest says of the block.
func (h *blockHead) entry() manifestBlock { return manifestBlock{h.id, h.order, h.first, h.last} }

// install makes a committed change visible. The lock must be held.
func (b *Bucket) install(c *change) {
	for _, blk := range c.remove {
		b.forget(blk)
	}
	for _, p := range c.drop {
		b.forgetPartition(p)
	}
	for _, a := range c.add {
		if a.p.gone {
			continue
		}
		b.index.bind(a.block)
		b.count(a.block)
		a.p.addBlock(a.block)
	}
	for _, blk := range c.remove {
		b.unbind(blk)
	}
	if c.table != nil {
		b.frozen = nil
		for _, mp := range c.table.parts {
			for _, s := range mp.series {
				s.release()
			}
		}
		b.account()
	}
	if c.flushed > b.flushed {
		b.flushed = c.flushed
		b.waiting = time.Time{}
		if b.applied > b.flushed {
			b.waiting = b.store.o.Now()
		}
	}
	b.tombstones = slices.DeleteFunc(slices.Clone(b.tombstones), func(t *tombstone) bool { return !b.concerns(t) })
	if len(c.remove)+len(c.drop) > 0 {
		b.index.sweep()
	}
}

// forget takes a block out of its partition.
func (b *Bucket) forget(blk *block) {
	for _, p := range b.partitions {
		if i := slices.Index(p.blocks, blk); i >= 0 {
			p.blocks = slices.Delete(slices.Clone(p.blocks), i, i+1)
			return
		}
	}
}

// unbind ends the block's hold on its series.
func (b *Bucket) unbind(blk *block) {
	for _, e := range blk.entries {
		e.refs--
	}
	b.uncount(blk)
}

// forgetPartition takes a partition out of the bucket and the memtables.
func (b *Bucket) forgetPartition(p *partition) {
	p.gone = true
	b.partitions = slices.DeleteFunc(slices.Clone(b.partitions), func(x *partition) bool { return x == p })
	for _, blk := range p.blocks {
		b.unbind(blk)
	}
	for _, t := range []*memtable{b.active, b.frozen} {
		if t == nil || t.parts[p] == nil {
			continue
		}
		for _, s := range t.parts[p].series {
			s.release()
		}
		delete(t.parts, p)
	}
	if b.lastPartition == p {
		b.lastPartition = nil
	}
	for m := range p.fields {
		if m.lastPartition == p {
			m.lastPartition, m.lastFields = nil, nil
		}
	}
}

// release ends a memtable's hold on the series.
func (s *memSeries) release() {
	s.entry.refs--
	if s.entry.hot == s {
		s.entry.hot = nil
	}
}

// compareAge orders blocks of a partition from old to new. A merge takes part in deletes that came after its points, so that
// its order may be that of a flush with newer points.
func compareAge(a, b *block) int {
	return cmp.Or(cmp.Compare(a.head.order, b.head.order), cmp.Compare(a.head.last, b.head.last), cmp.Compare(a.head.id, b.head.id))
}

// addBlock adds a block in its place: the order of blocks decides which value counts.
func (p *partition) addBlock(blk *block) {
	i := len(p.blocks)
	for i > 0 && newer(p.blocks[i-1], blk) {
		i--
	}
	p.blocks = slices.Insert(slices.Clone(p.blocks), i, blk)
}

// newer tells whether a's values count before b's.
func newer(a, b *block) bool {
	return compareAge(a, b) > 0
}

// bind enters the block's series into the index.
func (x *index) bind(blk *block) {
	blk.entries = make([]*seriesEntry, len(blk.keys))
	blk.byID = make([]uint32, len(blk.keys))
	for i, key := range blk.keys {
		e := x.obtain(key)
		e.refs++
		blk.entries[i] = e
		blk.byID[i] = uint32(i)
	}
	slices.SortFunc(blk.byID, func(a, b uint32) int { return cmp.Compare(blk.entries[a].id, blk.entries[b].id) })
	blk.keys = nil
}

// discard removes a block that no manifest names.
func (b *block) discard(log *slog.Logger) {
	if err := b.remove(); err != nil {
		log.Warn("cannot remove a block; it is removed at the next start", "file", b.path(), "error", err)
	}
}
