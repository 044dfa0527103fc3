package store

import (
	"slices"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// Apply takes the points of the journal record at pos, which Admit has let through, into the memtable. Records must come in the order
// of their positions; one that was taken already, as after a restart, is passed over. The batch is not retained.
//
// Apply never fails: a value whose field has another type by then, which only happens when a measurement is dropped while writes to it
// are under way, is left out and counted.
func (b *Bucket) Apply(pos uint64, batch *line.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || pos <= b.applied {
		return
	}
	b.advance(pos)
	if len(batch.Points) == 0 {
		return
	}
	earliest, retains := b.earliest(b.store.o.Now())
	t := b.active
	if t.first == 0 {
		t.first = pos
	}
	refused := 0
	var prev *seriesEntry
	for i := range batch.Points {
		p := &batch.Points[i]
		if retains && p.Time < earliest {
			continue
		}
		e := b.index.lookup(p.Series, prev)
		if e == nil {
			e = b.index.add(string(p.Series))
		}
		prev = e
		refused += t.seriesOf(b.partitionAt(p.Time), e).add(p.Time, p.Fields)
	}
	b.metrics.points.Add(float64(len(batch.Points)))
	b.metrics.refused.Add(float64(refused))
	b.account()
	if t.bytes >= b.store.o.FlushBytes || b.store.memory.Load() > b.store.o.MemoryLimit/2 {
		b.store.nudge()
	}
}

// ApplyDelete takes the delete of the journal record at pos. The rules of Apply hold. It is durable once a flush at or behind
// pos is.
func (b *Bucket) ApplyDelete(pos uint64, d Delete) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || pos <= b.applied {
		return
	}
	b.advance(pos)
	b.deleteFromMemory(&d)
	b.releaseTypes(&d)
	t := &tombstone{pos: pos, Delete: d}
	if !b.hasTombstone(pos) && b.concerns(t) {
		// A new list, because scans keep the old one.
		b.tombstones = append(b.tombstones[:len(b.tombstones):len(b.tombstones)], t)
	}
	b.account()
}

// advance notes that the record at pos was taken.
func (b *Bucket) advance(pos uint64) {
	b.applied = pos
	if b.waiting.IsZero() {
		b.waiting = b.store.o.Now()
	}
}

// hasTombstone tells whether the delete at pos is known already, from a manifest that was written after it was applied.
func (b *Bucket) hasTombstone(pos uint64) bool {
	return slices.ContainsFunc(b.tombstones, func(t *tombstone) bool { return t.pos == pos })
}

// deleteFromMemory removes the rows that the delete concerns from the active memtable. The frozen one is covered by the
// tombstone, as the blocks that are made of it are.
func (b *Bucket) deleteFromMemory(d *Delete) {
	for p, mp := range b.active.parts {
		if !d.Range.overlaps(p.span) {
			continue
		}
		for _, s := range mp.series {
			if d.Range.overlaps(TimeRange{s.min, s.max}) && d.Matches(newSeries(s.entry.key)) {
				mp.remove(s, d.Range)
			}
		}
	}
}

// releaseTypes forgets the field types of measurements of which the delete removes everything in a partition, so that they can
// be written with other types.
func (b *Bucket) releaseTypes(d *Delete) {
	if len(d.Tags) > 0 {
		return
	}
	for _, p := range b.partitions {
		if !d.Range.covers(p.span) {
			continue
		}
		for m := range p.fields {
			if d.Measurement != nil && !d.Measurement.Matches(m.name) {
				continue
			}
			delete(p.fields, m)
			m.lastPartition, m.lastFields = nil, nil
		}
	}
}

// concerns tells whether a tombstone can still matter: a block or the frozen memtable was true before it, within its range.
func (b *Bucket) concerns(t *tombstone) bool {
	if b.frozen != nil && b.frozen.last < t.pos {
		return true
	}
	for _, p := range b.partitions {
		if !t.Range.overlaps(p.span) {
			continue
		}
		for _, blk := range p.blocks {
			if blk.head.order < t.pos && t.Range.overlaps(blk.head.times) {
				return true
			}
		}
	}
	return false
}
