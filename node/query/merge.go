package query

import (
	"context"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// batches is a stream of batches in the order of time.
type batches interface {
	// next returns the next batch, nil at the end. It is valid until the next call.
	next() (*batch, error)
	close() error
}

// mergeRows is how many rows a merged batch has at most.
const mergeRows = 1024

// merge reads several streams as one, in the order of time. Rows of one time keep the order of the streams.
type merge struct {
	desc  bool
	heads []*mergeHead // a heap by time, then place
	types []line.Type
	out   batch
	cols  []column
	times []int64
}

// mergeHead is the next row of a stream.
type mergeHead struct {
	in    batches
	place int
	b     *batch
	row   int
}

func (h *mergeHead) time() int64 { return h.b.times[h.row] }

// mergedTypes are the types of the plan's inputs where rows of several series come together.
func (p *plan) mergedTypes() []line.Type {
	out := make([]line.Type, len(p.inputs))
	for i := range p.inputs {
		out[i] = p.inputType(i)
		if isTagRef(&p.inputs[i].ref) {
			out[i] = line.String
		}
	}
	return out
}

// newMerge takes over the streams, which it closes.
func newMerge(p *plan, in []batches) (*merge, error) {
	m := &merge{desc: p.desc, cols: make([]column, len(p.inputs)), types: p.mergedTypes()}
	m.out.cols = make([]*column, len(p.inputs))
	for i := range p.inputs {
		m.out.cols[i] = &m.cols[i]
	}
	for i, s := range in {
		h := &mergeHead{in: s, place: i}
		if err := m.fill(h); err != nil {
			closeAll(in)
			return nil, err
		}
		if h.b != nil {
			m.heads = append(m.heads, h)
		}
	}
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return m, nil
}

func closeAll(in []batches) {
	for _, s := range in {
		_ = s.close() // the error that ends the query is already known
	}
}

// fill reads the head's next batch; at the end of the stream it closes it.
func (m *merge) fill(h *mergeHead) error {
	b, err := h.in.next()
	if err != nil {
		return err
	}
	h.b, h.row = b, 0
	if b == nil {
		return h.in.close()
	}
	return nil
}

func (m *merge) less(a, b *mergeHead) bool {
	if ta, tb := a.time(), b.time(); ta != tb {
		return (ta < tb) != m.desc
	}
	return a.place < b.place
}

// down restores the heap below i.
func (m *merge) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(m.heads) {
			return
		}
		if c+1 < len(m.heads) && m.less(m.heads[c+1], m.heads[c]) {
			c++
		}
		if !m.less(m.heads[c], m.heads[i]) {
			return
		}
		m.heads[i], m.heads[c] = m.heads[c], m.heads[i]
		i = c
	}
}

// second returns the head that follows the first, nil when there is none.
func (m *merge) second() *mergeHead {
	switch {
	case len(m.heads) < 2:
		return nil
	case len(m.heads) > 2 && m.less(m.heads[2], m.heads[1]):
		return m.heads[2]
	}
	return m.heads[1]
}

func (m *merge) next() (*batch, error) {
	if len(m.heads) == 0 {
		return nil, nil
	}
	for i := range m.cols {
		resetColumn(&m.cols[i], m.types[i])
	}
	m.times = m.times[:0]
	m.out.group = m.heads[0].b.group
	for len(m.heads) > 0 && len(m.times) < mergeRows {
		h := m.heads[0]
		if h.b.group != m.out.group {
			break
		}
		m.take(h)
		if h.row == len(h.b.times) {
			if err := m.fill(h); err != nil {
				return nil, err
			}
			if h.b == nil {
				last := len(m.heads) - 1
				m.heads[0] = m.heads[last]
				m.heads = m.heads[:last]
			}
		}
		m.down(0)
	}
	m.out.times = m.times
	return &m.out, nil
}

// take copies the head's rows up to where another stream's row comes first.
func (m *merge) take(h *mergeHead) {
	second := m.second()
	lo := h.row
	for h.row < len(h.b.times) && len(m.times)+h.row-lo < mergeRows {
		if second != nil && h.row > lo && !m.less(h, second) {
			break
		}
		h.row++
	}
	m.times = append(m.times, h.b.times[lo:h.row]...)
	for i := range m.cols {
		for r := lo; r < h.row; r++ {
			appendRow(&m.cols[i], h.b.cols[i], r)
		}
	}
}

func (m *merge) close() error {
	var first error
	for _, h := range m.heads {
		if err := h.in.close(); err != nil && first == nil {
			first = err
		}
	}
	m.heads = nil
	return first
}

// ordered returns the batches of a group in the order of time.
func (p *plan) ordered(ctx context.Context, x *execution, g *group) (batches, error) {
	if len(g.series) > maxMerged {
		return p.gathered(ctx, x, g)
	}
	var in []batches
	for i := range g.series {
		s, err := p.scan(ctx, x, g.series[i:i+1], p.desc)
		if err != nil {
			closeAll(in)
			return nil, err
		}
		if s == nil {
			return &merge{}, nil
		}
		in = append(in, s)
	}
	if len(in) == 1 {
		return in[0], nil
	}
	if err := x.budget.hold(int64(len(in)) * openSeriesBytes); err != nil {
		closeAll(in)
		return nil, err
	}
	return newMerge(p, in)
}

// maxMerged is how many series are read at the same time. Of more, all rows are gathered and sorted.
const maxMerged = 1024

// openSeriesBytes is about the memory of a series that is read together with others.
const openSeriesBytes = 4 << 10
