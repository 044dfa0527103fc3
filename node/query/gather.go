package query

import (
	"cmp"
	"context"
	"slices"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// gathered holds all rows of a group, for groups of more series than can be read side by side. It answers like merge.
type gathered struct {
	desc   bool
	budget *budget
	most   int // rows that can be answered; 0 is all
	types  []line.Type
	times  []int64
	groups []*tagset
	cols   []column
	order  []int // the rows by time, then as they came
	out    batch
	picked []column
	bytes  int64
}

// gathered reads a group series by series.
func (p *plan) gathered(ctx context.Context, x *execution, g *group) (batches, error) {
	a := &gathered{desc: p.desc, budget: &x.budget, types: p.mergedTypes(), cols: make([]column, len(p.inputs)),
		picked: make([]column, len(p.inputs))}
	if len(p.calls) == 0 && p.limit > 0 && len(p.dims) == len(p.groupBy) {
		a.most = p.offset + p.limit
	}
	for i := range a.cols {
		resetColumn(&a.cols[i], a.types[i])
	}
	if err := p.each(ctx, x, g, a.add); err != nil {
		return nil, err
	}
	a.sort()
	return a, nil
}

// add copies the rows of a batch.
func (a *gathered) add(b *batch) error {
	a.times = append(a.times, b.times...)
	for range b.times {
		a.groups = append(a.groups, b.group)
	}
	for i := range a.cols {
		for r := range b.times {
			appendRow(&a.cols[i], b.cols[i], r)
		}
	}
	n := int64(len(b.times)) * int64(24+16*len(a.cols))
	a.bytes += n
	if err := a.budget.hold(n); err != nil {
		return err
	}
	if a.most > 0 && len(a.times) > 4*a.most+1<<16 {
		return a.prune()
	}
	return nil
}

func (a *gathered) sort() {
	a.order = a.order[:0]
	for i := range a.times {
		a.order = append(a.order, i)
	}
	slices.SortStableFunc(a.order, func(i, j int) int {
		if a.desc {
			i, j = j, i
		}
		return cmp.Compare(a.times[i], a.times[j])
	})
}

// prune forgets the rows that LIMIT leaves out in any case.
func (a *gathered) prune() error {
	a.sort()
	keep := slices.Clone(a.order[:a.most])
	slices.Sort(keep)
	a.times = gatherRows([]int64(nil), a.times, keep)
	a.groups = gatherRows([]*tagset(nil), a.groups, keep)
	for i := range a.cols {
		var kept column
		gather(&kept, &a.cols[i], keep)
		a.cols[i] = kept
	}
	freed := a.bytes - a.bytes*int64(len(keep))/int64(len(a.order))
	a.bytes -= freed
	return a.budget.hold(-freed)
}

func (a *gathered) next() (*batch, error) {
	if len(a.order) == 0 {
		return nil, nil
	}
	n := 1
	for n < min(len(a.order), mergeRows) && a.groups[a.order[n]] == a.groups[a.order[0]] {
		n++
	}
	rows := a.order[:n]
	a.order = a.order[n:]
	a.out.group = a.groups[rows[0]]
	a.out.times = gatherRows(a.out.times[:0], a.times, rows)
	a.out.cols = a.out.cols[:0]
	for i := range a.cols {
		gather(&a.picked[i], &a.cols[i], rows)
		a.out.cols = append(a.out.cols, &a.picked[i])
	}
	return &a.out, nil
}

func (a *gathered) close() error {
	bytes := a.bytes
	a.bytes = 0
	return a.budget.hold(-bytes)
}
