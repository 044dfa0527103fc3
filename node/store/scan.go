package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// scan is the cursor of one Scan. It holds the blocks it reads and knows how far the memtables went when it began.
type scan struct {
	ctx    context.Context
	b      *Bucket
	o      ScanOptions
	tr     TimeRange
	ids    []uint32 // of the series, noSeries for one that the index does not have
	parts  []scanPart
	views  map[viewKey][]scanView
	tombs  []*tombstone
	fields []string

	series, part int // the next to read
	matching     []*tombstone
	merge        merger
	cur          *Series
	chunk        Chunk
	closed       bool
}

const noSeries = ^uint32(0)

// scanPart is a partition as it was when the scan began.
type scanPart struct {
	span   TimeRange
	blocks []*block // newest first
	open   []*blockScan
}

type viewKey struct{ series, part int }

// scanView is the rows of a series in a memtable. order is that of the table; the active one is newer than all tombstones.
type scanView struct {
	memView
	order uint64
}

// Scan reads the rows of series. See Reader.
func (b *Bucket) Scan(ctx context.Context, o ScanOptions) (Cursor, error) {
	s := &scan{ctx: ctx, b: b, o: o, fields: o.Fields, merge: merger{n: len(o.Fields), descending: o.Descending}}
	if len(o.Series) == 0 || len(o.Fields) == 0 {
		return s, nil
	}
	for _, other := range o.Series[1:] {
		if other.Measurement != o.Series[0].Measurement {
			return nil, fmt.Errorf("scan: series of two measurements, %q and %q", o.Series[0].Measurement, other.Measurement)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	s.tr = b.visible(o.Range)
	if s.tr.empty() {
		return s, nil
	}
	s.tombs = b.tombstones
	s.ids = make([]uint32, len(o.Series))
	for i, series := range o.Series {
		s.ids[i] = noSeries
		if e := b.index.byKey[series.Key]; e != nil {
			s.ids[i] = e.id
		}
	}
	for _, p := range b.partitions {
		if p.span.overlaps(s.tr) {
			s.take(p)
		}
	}
	if o.Descending {
		s.reverseParts()
	}
	return s, nil
}

// take notes a partition's blocks and memtable rows. The lock must be held.
func (s *scan) take(p *partition) {
	n := len(s.parts)
	part := scanPart{span: p.span}
	for _, blk := range slices.Backward(p.blocks) {
		if blk.head.times.overlaps(s.tr) && blk.holds(s.o.Series[0].Measurement) && blk.acquire() {
			part.blocks = append(part.blocks, blk)
		}
	}
	found := len(part.blocks) > 0
	for _, t := range []*memtable{s.b.active, s.b.frozen} {
		if t == nil || t.parts[p] == nil {
			continue
		}
		order := t.last
		if t == s.b.active {
			order = ^uint64(0)
		}
		for i, id := range s.ids {
			if rows := t.parts[p].series[id]; rows != nil && (TimeRange{rows.min, rows.max}).overlaps(s.tr) {
				if s.views == nil {
					s.views = make(map[viewKey][]scanView)
				}
				key := viewKey{i, n}
				s.views[key] = append(s.views[key], scanView{memView{rows, len(rows.times)}, order})
				found = true
			}
		}
	}
	if found {
		part.open = make([]*blockScan, len(part.blocks))
		s.parts = append(s.parts, part)
	}
}

// holds tells whether the block has rows of a measurement.
func (b *block) holds(measurement string) bool {
	_, ok := slices.BinarySearch(b.head.names, measurement)
	return ok
}

// reverseParts makes the newest partition the first.
func (s *scan) reverseParts() {
	slices.Reverse(s.parts)
	if s.views == nil {
		return
	}
	views := make(map[viewKey][]scanView, len(s.views))
	for k, v := range s.views {
		views[viewKey{k.series, len(s.parts) - 1 - k.part}] = v
	}
	s.views = views
}

// Next returns the next chunk.
func (s *scan) Next() (*Chunk, error) {
	for {
		if s.closed {
			return nil, errors.New("scan: the cursor is closed")
		}
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		r := s.merge.next()
		if r == nil {
			more, err := s.advance()
			if err != nil {
				return nil, err
			}
			if !more {
				return nil, io.EOF
			}
			continue
		}
		r.dropEmpty()
		if r.len() == 0 {
			continue
		}
		for i := range r.cols {
			r.cols[i].tidy()
		}
		s.chunk = Chunk{Series: s.cur, Times: r.times, Columns: r.cols}
		return &s.chunk, nil
	}
}

// advance sets the merger to the next series and partition.
func (s *scan) advance() (bool, error) {
	if len(s.parts) == 0 || s.series == len(s.ids) {
		return false, nil
	}
	i, p := s.series, s.part
	if s.part++; s.part == len(s.parts) {
		s.series, s.part = s.series+1, 0
	}
	if s.ids[i] == noSeries {
		return true, nil
	}
	if p == 0 {
		s.cur = s.o.Series[i]
		s.matching = nil
		if len(s.tombs) > 0 {
			s.matching = matchingTombstones(s.tombs, s.cur)
		}
	}
	return true, s.sources(i, p)
}

// sources gives the merger the places where series i has rows in partition p, newest first.
func (s *scan) sources(i, p int) error {
	s.merge.reset()
	part := &s.parts[p]
	tr := s.tr.clip(part.span)
	for _, v := range s.views[viewKey{i, p}] {
		s.b.mu.Lock()
		h := v.headers(v.s.fields.indexes(s.fields))
		s.b.mu.Unlock()
		r := h.within(tr)
		r.cut(cutFor(s.matching, v.order, tr))
		if s.o.Descending {
			r = r.clone()
			r.reverse()
		}
		s.merge.add(&sliceSource{&r})
	}
	for j, blk := range part.blocks {
		number, ok := blk.find(s.ids[i])
		if !ok {
			continue
		}
		if part.open[j] == nil {
			bs, err := newBlockScan(blk, s.fields, s.b.report)
			if err != nil {
				return err
			}
			part.open[j] = bs
		}
		cut := cutFor(s.matching, blk.head.order, tr)
		if coveredBy(cut, tr.clip(blk.head.times)) {
			continue
		}
		s.merge.add(part.open[j].series(number, tr, cut, s.o.Descending))
	}
	return nil
}

// Close lets go of the blocks. It may be called twice.
func (s *scan) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	var err error
	for _, p := range s.parts {
		for _, blk := range p.blocks {
			err = errors.Join(err, blk.release())
		}
	}
	return err
}
