package query

import (
	"time"

	"github.com/influxdata/influxql"
)

// windows cuts time into the intervals of GROUP BY time(). The zero interval is one window: the query's time range.
type windows struct {
	every, offset int64 // ns
	loc           *time.Location
	start, end    int64 // of the query, both inclusive, ns
}

// zone returns how far the location's clock is ahead of UTC at t, in ns.
func (w *windows) zone(t int64) int64 {
	if w.loc == nil {
		return 0
	}
	_, s := time.Unix(0, t).In(w.loc).Zone()
	return int64(s) * int64(time.Second)
}

// at returns the window [start, end) that t falls into. With a location, windows begin at the local clock's multiples of
// the interval, and a change of the clock by less than the interval makes one window longer or shorter.
func (w *windows) at(t int64) (start, end int64) {
	if w.every == 0 {
		return w.start, w.end + 1
	}
	t -= w.offset
	zone := w.zone(t)
	past := (t + zone) % w.every
	if past < 0 {
		past += w.every
	}
	start = int64(influxql.MinTime)
	if start+past < t {
		start = t - past
	}
	start += w.offset
	if w.loc != nil {
		start += w.shift(zone - w.zone(start))
	}
	rest := w.every - past
	end = int64(influxql.MaxTime)
	if end-rest > t {
		end = t + rest
	}
	if w.loc != nil {
		// The clock going back lengthens the window it happens in; going forward shortens it, unless the change is the
		// window's very end.
		ahead := w.zone(end)
		if o := w.shift(zone - ahead); o > 0 || (o < 0 && w.zone(end+o) == ahead) {
			end += o
		}
	}
	return start, end + w.offset
}

// shift returns o when it is smaller than the interval, else 0.
func (w *windows) shift(o int64) int64 {
	if o >= w.every || -o >= w.every {
		return 0
	}
	return o
}

// label is the time that a result of the window that t falls into carries. Without a lower bound it is the epoch.
func (w *windows) label(t int64) int64 {
	start, _ := w.at(t)
	if start == influxql.MinTime {
		return 0
	}
	return start
}

// run is rows [lo, hi) of a batch that fall into one window.
type run struct {
	start  int64 // of the window
	lo, hi int
}

// split appends the runs of times, which ascend or descend.
func (w *windows) split(runs []run, times []int64) []run {
	n := len(times)
	if n == 0 {
		return runs
	}
	descending := times[0] > times[n-1]
	for lo := 0; lo < n; {
		start, end := w.at(times[lo])
		hi := n
		if descending {
			if times[n-1] < start {
				hi = searchTimes(times, lo, func(t int64) bool { return t < start })
			}
		} else if times[n-1] >= end {
			hi = searchTimes(times, lo, func(t int64) bool { return t >= end })
		}
		if hi == lo {
			hi = lo + 1 // a window that a clock change emptied still takes its row
		}
		runs = append(runs, run{start, lo, hi})
		lo = hi
	}
	return runs
}

// searchTimes returns the first index after lo whose time is past; steps double, so that short runs cost little.
func searchTimes(times []int64, lo int, past func(int64) bool) int {
	step, i := 1, lo
	for i+step < len(times) && !past(times[i+step]) {
		i += step
		step *= 2
	}
	hi := min(i+step, len(times))
	for i < hi {
		mid := int(uint(i+hi) >> 1)
		if past(times[mid]) {
			hi = mid
		} else {
			i = mid + 1
		}
	}
	return i
}
