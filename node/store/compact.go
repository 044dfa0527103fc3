package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// compactCount is how many flushes of about the same size are merged into one.
	compactCount = 4
	// coldAfter is how long after its end a partition is merged into one set of blocks.
	coldAfter = 10 * time.Minute
)

// Compact merges blocks of the bucket where that is worth it, partition by partition, until nothing is left to do: several
// flushes of about the same size, all blocks of a partition whose time is over, and blocks that deletes concern.
func (b *Bucket) Compact(ctx context.Context) error {
	b.merging.Lock()
	defer b.merging.Unlock()
	for {
		job, err := b.planCompaction()
		if err != nil || job == nil {
			return err
		}
		err = b.compact(ctx, job)
		for _, blk := range job.inputs {
			err = errors.Join(err, blk.release())
		}
		if err != nil && b.isClosed() {
			return ErrClosed // a drop has taken the folder away
		}
		if err != nil {
			return fmt.Errorf("compact bucket %s, partition %s: %w", b.id, job.p.dir(), err)
		}
		b.metrics.compactions.Inc()
	}
}

// compaction is one merge. Its inputs are acquired.
type compaction struct {
	p      *partition
	inputs []*block // oldest first, neighbours in order
	tombs  []*tombstone
	head   blockHead
	ids    []uint64
	// ms are the measurements, planned from the inputs.
	ms      []measureInput
	damaged func(Damage)
}

// planCompaction picks the next merge, nil when there is none.
func (b *Bucket) planCompaction() (*compaction, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	now := b.store.o.Now().UnixNano()
	for _, p := range b.partitions {
		inputs := b.pick(p, now)
		if len(inputs) == 0 {
			continue
		}
		job := &compaction{p: p, tombs: b.tombstones, damaged: b.report}
		for _, blk := range inputs {
			if blk.acquire() {
				job.inputs = append(job.inputs, blk)
			}
		}
		return job, nil
	}
	return nil, nil
}

// pick returns the blocks of a partition that are to be merged: always the newest ones, so that what remains is older than all
// of them.
func (b *Bucket) pick(p *partition, now int64) []*block {
	sets := groupSets(p.blocks)
	if len(sets) == 0 {
		return nil
	}
	for _, t := range b.tombstones {
		for _, blk := range p.blocks {
			if t.pos > blk.head.order && t.Range.overlaps(blk.head.times) && t.touches(blk) {
				return p.blocks
			}
		}
	}
	if len(sets) > 1 && p.span.Max < now-int64(coldAfter) && b.active.parts[p] == nil && (b.frozen == nil || b.frozen.parts[p] == nil) {
		return p.blocks
	}
	var total int64
	n, blocks := 0, 0
	for _, set := range slices.Backward(sets) {
		size := setSize(set)
		if n > 0 && size > total+total/2 { // flushes of one size differ a little
			break
		}
		total += size
		n++
		blocks += len(set)
	}
	if n < compactCount {
		return nil
	}
	return p.blocks[len(p.blocks)-blocks:]
}

// touches tells whether a tombstone matches any series of a block.
func (t *tombstone) touches(blk *block) bool {
	return slices.ContainsFunc(blk.entries, func(e *seriesEntry) bool { return t.Matches(newSeries(e.key)) })
}

// groupSets splits blocks, which are sorted, into those that were written together.
func groupSets(blocks []*block) [][]*block {
	var out [][]*block
	for i, blk := range blocks {
		if i == 0 || blk.head.set != blocks[i-1].head.set {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], blk)
	}
	return out
}

func setSize(set []*block) int64 {
	var n int64
	for _, blk := range set {
		n += blk.fileSize
	}
	return n
}

// describe plans the measurements of the output.
func (job *compaction) describe(wideValues int64) {
	h := &job.head
	h.span = job.p.span
	h.first = job.inputs[0].head.first
	for _, blk := range job.inputs {
		h.order = max(h.order, blk.head.order)
		h.first = min(h.first, blk.head.first)
		h.last = max(h.last, blk.head.last)
		h.inputs = append(h.inputs, blk.head.id)
	}
	for _, t := range job.tombs {
		h.order = max(h.order, t.pos)
	}
	byName := make(map[string]*mergeInput)
	for _, blk := range job.inputs {
		for i, e := range blk.entries {
			in := byName[e.m.name]
			if in == nil {
				in = newMergeInput(job, e.m.name)
				byName[e.m.name] = in
			}
			in.add(blk, i, e)
		}
	}
	for _, in := range byName {
		m := in.finish()
		m.decide(wideValues)
		job.ms = append(job.ms, m)
	}
	slices.SortFunc(job.ms, func(a, b measureInput) int { return strings.Compare(a.name, b.name) })
	h.size = uint32(fileCount(job.ms))
}

// reserve takes the ids of the output.
func (b *Bucket) reserve(job *compaction) {
	b.edit.Lock()
	defer b.edit.Unlock()
	job.head.set = b.nextID
	for range job.head.size {
		job.ids = append(job.ids, b.takeID())
	}
}

// compact writes the merged blocks and puts them in the inputs' place.
func (b *Bucket) compact(ctx context.Context, job *compaction) error {
	job.describe(b.store.wideValues)
	b.reserve(job)
	made, err := b.writePart(ctx, job.p, job.head, job.ms, func() uint64 {
		id := job.ids[0]
		job.ids = job.ids[1:]
		return id
	})
	if err != nil {
		return err
	}
	b.edit.Lock()
	defer b.edit.Unlock()
	b.mu.Lock()
	stale := b.closed || job.p.gone
	b.mu.Unlock()
	if stale {
		for _, blk := range made {
			blk.discard(b.log)
		}
		return nil
	}
	c := change{remove: job.inputs}
	for _, blk := range made {
		c.add = append(c.add, addition{job.p, blk})
	}
	return b.commit(c)
}
