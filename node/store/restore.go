package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// Replay gives the journal records with positions from to to, both inclusive, in order, to points or remove. It returns an error when
// one of them is not there any more.
type Replay func(ctx context.Context, from, to uint64, points func(pos uint64, b *line.Batch) error, remove func(pos uint64, d Delete) error) error

// Restore brings back what a damage lost, out of the journal records that it came from. It writes them to new blocks that stand where the
// damaged one stood in the order of writes, and removes that one. It fails, and changes nothing, when replay does.
func (b *Bucket) Restore(ctx context.Context, d Damage, replay Replay) error {
	if d.Lost == "" || d.Last == 0 {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("restore %s: %w", d.File, err) }
	r := &restoration{b: b, d: &d, index: newIndex(), p: newPartition(d.span), t: newMemtable()}
	err := replay(ctx, d.First, max(d.order, d.Last), func(pos uint64, batch *line.Batch) error {
		if pos <= d.Last {
			r.points(batch)
		}
		return nil
	}, func(_ uint64, del Delete) error {
		r.remove(&del)
		return nil
	})
	if err != nil {
		return fail(err)
	}
	b.merging.Lock()
	defer b.merging.Unlock()
	b.edit.Lock()
	defer b.edit.Unlock()
	if err := r.commit(ctx); err != nil {
		return fail(err)
	}
	b.mu.Lock()
	b.damages = slices.DeleteFunc(slices.Clone(b.damages), func(o Damage) bool { return o.File == d.File })
	b.mu.Unlock()
	return nil
}

// restoration gathers the points of a partition in a memtable of its own.
type restoration struct {
	b     *Bucket
	d     *Damage
	index *index
	p     *partition
	t     *memtable
}

// points takes those of the partition, and of the measurements of the lost block where they are known.
func (r *restoration) points(batch *line.Batch) {
	for i := range batch.Points {
		p := &batch.Points[i]
		if !r.d.span.contains(p.Time) {
			continue
		}
		e := r.index.obtain(string(p.Series))
		if r.d.block == nil || r.d.block.holds(e.m.name) {
			r.t.seriesOf(r.p, e).add(p.Time, p.Fields)
		}
	}
}

func (r *restoration) remove(d *Delete) {
	mp := r.t.parts[r.p]
	if mp == nil {
		return
	}
	for _, s := range mp.series {
		if d.Matches(newSeries(s.entry.key)) {
			mp.remove(s, d.Range)
		}
	}
}

// commit writes the blocks and puts them in the place of the damaged one. b.edit must be held.
func (r *restoration) commit(ctx context.Context) error {
	b := r.b
	b.mu.Lock()
	i := slices.IndexFunc(b.partitions, func(p *partition) bool { return p.span == r.d.span })
	var target *partition
	var c change
	if i >= 0 {
		target = b.partitions[i]
		if r.d.block != nil && slices.Contains(target.blocks, r.d.block) {
			c.remove = []*block{r.d.block}
		}
	}
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if target == nil {
		return errors.New("the partition has expired")
	}
	if r.d.block != nil && c.remove == nil {
		return errors.New("the damaged block was merged into another since")
	}
	head := blockHead{span: r.d.span, order: r.d.order, first: r.d.First, last: r.d.Last, set: b.nextID}
	for _, blk := range c.remove {
		head.inputs = []uint64{blk.head.id}
	}
	if mp := r.t.parts[r.p]; mp != nil {
		inputs := mp.inputs(r.t.fieldNames(), b.store.wideValues)
		head.size = uint32(fileCount(inputs))
		made, err := b.writePart(ctx, target, head, inputs, b.takeID)
		if err != nil {
			return err
		}
		for _, blk := range made {
			c.add = append(c.add, addition{target, blk})
		}
	}
	return b.commit(c)
}
