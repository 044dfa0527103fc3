package query

import "cmp"

// chosen is a row that a selector chose.
type chosen[T value] struct {
	ok    bool
	time  int64
	value T
	aux   []any
}

// extremeAggregator chooses the greatest value (sign 1) or the smallest (sign -1), of equal ones the earliest.
type extremeAggregator[T value] struct {
	sign   int
	keep   []int
	best   []chosen[T]
	truths []T
}

func (a *extremeAggregator[T]) add(b *batch, col *column, w int32, lo, hi int) error {
	a.best = grow(a.best, w)
	values := valuesOf(col, &a.truths)
	pick := smallest[T]
	if a.sign > 0 {
		pick = greatest[T]
	}
	at := pick(values, col.Valid, b.times, lo, hi)
	if at < 0 {
		return nil
	}
	best, v, t := &a.best[w], values[at], b.times[at]
	if c := cmp.Compare(v, best.value) * a.sign; best.ok && (c < 0 || (c == 0 && t >= best.time)) {
		return nil
	}
	*best = chosen[T]{ok: true, time: t, value: v, aux: b.keep(a.keep, at)}
	return nil
}

// greatest returns the row with the greatest value in [lo, hi), of equal ones the earliest, or -1.
func greatest[T value](values []T, valid []bool, times []int64, lo, hi int) int {
	at := -1
	for i := lo; i < hi; i++ {
		if valid != nil && !valid[i] {
			continue
		}
		if at < 0 || values[i] > values[at] || (values[i] == values[at] && times[i] < times[at]) {
			at = i
		}
	}
	return at
}

// smallest returns the row with the smallest value in [lo, hi), of equal ones the earliest, or -1.
func smallest[T value](values []T, valid []bool, times []int64, lo, hi int) int {
	at := -1
	for i := lo; i < hi; i++ {
		if valid != nil && !valid[i] {
			continue
		}
		if at < 0 || values[i] < values[at] || (values[i] == values[at] && times[i] < times[at]) {
			at = i
		}
	}
	return at
}

func (a *extremeAggregator[T]) points(order []int32, label func(int32) int64) (points, error) {
	return chosenPoints(a.best, order, len(a.keep) > 0), nil
}

// edgeAggregator chooses the latest value (sign 1) or the earliest (sign -1), of two at one time the greater. Of
// booleans at one time, first chooses false.
type edgeAggregator[T value] struct {
	sign   int64
	keep   []int
	best   []chosen[T]
	truths []T
}

func (a *edgeAggregator[T]) add(b *batch, col *column, w int32, lo, hi int) error {
	a.best = grow(a.best, w)
	values := valuesOf(col, &a.truths)
	best, at := &a.best[w], -1
	// Rows are sorted by time: the one that is wanted is at one of the ends, and so are those of the same time.
	step, i, end := 1, lo, hi
	if (b.times[hi-1] > b.times[lo]) == (a.sign > 0) {
		step, i, end = -1, hi-1, lo-1
	}
	for ; i != end; i += step {
		if col.Valid != nil && !col.Valid[i] {
			continue
		}
		if at >= 0 && b.times[i] != b.times[at] {
			break
		}
		if at < 0 || a.prefers(values[i], values[at]) {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	t, v := b.times[at], values[at]
	if best.ok && (sign(t, best.time)*a.sign < 0 || (t == best.time && !a.prefers(v, best.value))) {
		return nil
	}
	*best = chosen[T]{ok: true, time: t, value: v, aux: b.keep(a.keep, at)}
	return nil
}

func sign(a, b int64) int64 { return int64(cmp.Compare(a, b)) }

// prefers decides between two values at one time.
func (a *edgeAggregator[T]) prefers(v, than T) bool {
	if _, ok := any(v).(truth); ok && a.sign < 0 {
		return v < than
	}
	return v > than
}

func (a *edgeAggregator[T]) points(order []int32, label func(int32) int64) (points, error) {
	return chosenPoints(a.best, order, len(a.keep) > 0), nil
}

func chosenPoints[T value](best []chosen[T], order []int32, aux bool) points {
	p := points{value: column{Type: typeOf[T]()}}
	for _, w := range order {
		if int(w) >= len(best) || !best[w].ok {
			continue
		}
		p.times = append(p.times, best[w].time)
		appendTyped(&p.value, best[w].value)
		if aux {
			p.aux = append(p.aux, best[w].aux)
		}
	}
	return p
}
