package query

import (
	"cmp"
	"container/heap"
	"maps"
	"math"
	"slices"
	"sort"
)

// sample is one value that a collector keeps, with the inputs that are selected beside it.
type sample[T value] struct {
	time  int64
	value T
	aux   []any
	group *tagset // the values of the tags that top and bottom name
}

// collector is the functions that need all values of a window at once. Rows come in the order of time, so that it holds
// one window at a time.
type collector[T value] struct {
	budget *budget
	keep   []int
	reduce func([]sample[T]) []sample[T]
	tags   *tagsets       // of what top and bottom name
	tagAt  map[string]int // the inputs that have them

	window  int32
	samples []sample[T]
	truths  []T
	out     points
}

func newCollector[T value](c *call, keep []int, x *execution) aggregator {
	if transforms[c.name] || c.name == "integral" {
		return newStream[T](c, x)
	}
	a := &collector[T]{budget: &x.budget, keep: keep, out: points{value: column{Type: typeOf[T]()}}}
	switch c.name {
	case "percentile":
		a.reduce = func(s []sample[T]) []sample[T] { return percentile(s, c.percentile) }
	case "mode":
		a.reduce = mode[T]
	case "distinct":
		a.reduce = distinct[T]
	case "top":
		a.reduce = func(s []sample[T]) []sample[T] { return best(s, c.n, 1) }
	case "bottom":
		a.reduce = func(s []sample[T]) []sample[T] { return best(s, c.n, -1) }
	}
	if len(c.tags) > 0 {
		a.tagAt = c.tags
		a.tags = newTagsets(slices.Sorted(maps.Keys(c.tags)))
	}
	return a
}

// sampleBytes is about the memory of one sample without aux.
const sampleBytes = 64

func (a *collector[T]) add(b *batch, col *column, w int32, lo, hi int) error {
	if w != a.window {
		if err := a.flush(); err != nil {
			return err
		}
		a.window = w
	}
	held := len(a.samples)
	values := valuesOf(col, &a.truths)
	for i := lo; i < hi; i++ {
		if col.Valid != nil && !col.Valid[i] {
			continue
		}
		s := sample[T]{time: b.times[i], value: values[i], aux: b.keep(a.keep, i)}
		if a.tags != nil {
			s.group = a.tags.of(func(key string) string { text, _ := cell(b.cols[a.tagAt[key]], i).(string); return text })
		}
		a.samples = append(a.samples, s)
	}
	return a.budget.hold(int64(len(a.samples)-held) * (sampleBytes + 32*int64(len(a.keep))))
}

// flush reduces the open window.
func (a *collector[T]) flush() error {
	if len(a.samples) == 0 {
		return nil
	}
	n := len(a.samples)
	for _, s := range a.reduce(a.samples) {
		a.out.times = append(a.out.times, s.time)
		appendTyped(&a.out.value, s.value)
		if len(a.keep) > 0 {
			a.out.aux = append(a.out.aux, s.aux)
		}
	}
	clear(a.samples)
	a.samples = a.samples[:0]
	return a.budget.hold(-int64(n) * (sampleBytes + 32*int64(len(a.keep))))
}

func (a *collector[T]) points([]int32, func(int32) int64) (points, error) {
	err := a.flush()
	return a.out, err
}

// byValue sorts samples by value alone. Which of several equal ones comes first is what sort.Sort makes of the order of time.
type byValue[T value] []sample[T]

func (s byValue[T]) Len() int           { return len(s) }
func (s byValue[T]) Less(i, j int) bool { return s[i].value < s[j].value }
func (s byValue[T]) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// percentile returns the sample at the nearest rank, or none when there is no such rank.
func percentile[T value](s []sample[T], p float64) []sample[T] {
	i := rank(len(s), p)
	if i < 0 {
		return nil
	}
	sort.Sort(byValue[T](s))
	return s[i : i+1]
}

// rank is the place, among n sorted values, of the one nearest to a percentile, or -1 when there is none.
func rank(n int, p float64) int {
	i := int(math.Floor(float64(n)*p/100+0.5)) - 1
	if i >= n {
		return -1
	}
	return max(i, -1)
}

// mode returns the most frequent value, of several the one that was first seen. Of booleans it is true.
func mode[T value](s []sample[T]) []sample[T] {
	if len(s) == 1 {
		return s
	}
	if _, ok := any(s[0].value).(truth); ok {
		return booleanMode(s)
	}
	sort.Sort(byValue[T](s))
	most, count, top := s[0], 0, 0
	first := s[0]
	for _, v := range s {
		if v.value != first.value {
			first, count = v, 1
			continue
		}
		count++
		if top > count || (top == count && first.time > most.time) {
			continue
		}
		top, most = count, v
	}
	return []sample[T]{most}
}

func booleanMode[T value](s []sample[T]) []sample[T] {
	slices.SortStableFunc(s, func(a, b sample[T]) int { return cmp.Compare(b.value, a.value) })
	for i := range s {
		if s[i].value != s[0].value {
			if 2*i < len(s) {
				return s[i : i+1]
			}
			break
		}
	}
	return s[:1]
}

// distinct returns one sample for each value, by the time it was first seen.
func distinct[T value](s []sample[T]) []sample[T] {
	desc := s[0].time > s[len(s)-1].time
	seen := make(map[T]struct{}, 16)
	out := s[:0]
	for _, v := range s {
		if _, ok := seen[v.value]; !ok {
			seen[v.value] = struct{}{}
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b sample[T]) int {
		if a.time != b.time {
			if desc {
				return cmp.Compare(b.time, a.time)
			}
			return cmp.Compare(a.time, b.time)
		}
		return cmp.Compare(a.value, b.value)
	})
	return out
}

// ranking is a heap with the worst of the kept samples on top: the smallest value for sign 1, the greatest for -1; of equal
// values the latest.
type ranking[T value] struct {
	s    []sample[T]
	sign int
}

func (r *ranking[T]) Len() int           { return len(r.s) }
func (r *ranking[T]) Less(i, j int) bool { return r.worse(&r.s[i], &r.s[j]) }
func (r *ranking[T]) Swap(i, j int)      { r.s[i], r.s[j] = r.s[j], r.s[i] }
func (r *ranking[T]) Push(v any)         { r.s = append(r.s, v.(sample[T])) }
func (r *ranking[T]) Pop() any {
	v := r.s[len(r.s)-1]
	r.s = r.s[:len(r.s)-1]
	return v
}

func (r *ranking[T]) worse(a, b *sample[T]) bool {
	if a.value != b.value {
		return (a.value < b.value) == (r.sign > 0)
	}
	return a.time > b.time
}

// best returns the n samples with the greatest values (sign 1) or the smallest (sign -1), by time. Samples that have a group
// count once for each group.
func best[T value](s []sample[T], n, sign int) []sample[T] {
	desc := s[0].time > s[len(s)-1].time
	r := &ranking[T]{sign: sign}
	if s[0].group != nil {
		s = bestOfGroups(s, r)
	}
	for i := range s {
		if len(r.s) < n {
			heap.Push(r, s[i])
		} else if r.worse(&r.s[0], &s[i]) {
			r.s[0] = s[i]
			heap.Fix(r, 0)
		}
	}
	sort.Sort(sort.Reverse(r))
	slices.SortStableFunc(r.s, func(a, b sample[T]) int {
		if desc {
			a, b = b, a
		}
		return cmp.Compare(a.time, b.time)
	})
	return r.s
}

// bestOfGroups returns the best sample of each group, sorted by group.
func bestOfGroups[T value](s []sample[T], r *ranking[T]) []sample[T] {
	at := map[*tagset]int{}
	var out []sample[T]
	for i := range s {
		j, ok := at[s[i].group]
		if !ok {
			at[s[i].group] = len(out)
			out = append(out, s[i])
		} else if r.worse(&out[j], &s[i]) {
			out[j] = s[i]
		}
	}
	slices.SortFunc(out, func(a, b sample[T]) int { return a.group.compare(b.group) })
	return out
}
