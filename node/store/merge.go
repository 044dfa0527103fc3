package store

import "sort"

// merger merges the rows of several sources of one series. Where sources have the same time, each field takes the value of the
// first source that has one, so sources are added newest first.
type merger struct {
	n          int // columns
	descending bool
	heads      []head
	out        rows
	view       rows
}

// head is a source and the batch it is at.
type head struct {
	src source
	cur *rows
	pos int
}

func (m *merger) add(s source) { m.heads = append(m.heads, head{src: s}) }

// reset forgets all sources.
func (m *merger) reset() { m.heads = m.heads[:0] }

// next returns up to chunkRows rows, valid until the next call, or nil at the end.
func (m *merger) next() *rows {
	m.out.reset(m.n)
	for m.out.len() < chunkRows {
		m.fill()
		if len(m.heads) == 0 {
			break
		}
		first, ties, bound, bounded := m.least()
		if ties > 1 {
			m.mergeRow(m.heads[first].cur.times[m.heads[first].pos])
			continue
		}
		h := &m.heads[first]
		end := h.cur.len()
		if bounded {
			end = m.until(h, bound)
		}
		end = min(end, h.pos+chunkRows-m.out.len())
		if m.out.len() == 0 && (end == h.cur.len() || end-h.pos >= chunkRows/4) {
			m.view = h.cur.slice(h.pos, end)
			h.pos = end
			return &m.view
		}
		m.out.append(h.cur, h.pos, end)
		h.pos = end
	}
	if m.out.len() == 0 {
		return nil
	}
	return &m.out
}

// fill gives every head a row, and removes those that are at their end.
func (m *merger) fill() {
	kept := m.heads[:0]
	for _, h := range m.heads {
		for h.cur == nil || h.pos == h.cur.len() {
			h.pos = 0
			if h.cur = h.src.next(); h.cur == nil {
				break
			}
		}
		if h.cur != nil {
			kept = append(kept, h)
		}
	}
	m.heads = kept
}

// before tells whether a comes before b in the direction of the scan.
func (m *merger) before(a, b int64) bool {
	if m.descending {
		return a > b
	}
	return a < b
}

// least finds the first head with the next time, how many heads have it, and the next other time.
func (m *merger) least() (first, ties int, bound int64, bounded bool) {
	for i := range m.heads {
		h := &m.heads[i]
		t := h.cur.times[h.pos]
		if i == 0 {
			ties = 1
			continue
		}
		lead := &m.heads[first]
		switch at := lead.cur.times[lead.pos]; {
		case t == at:
			ties++
		case m.before(t, at):
			first, ties = i, 1
			bound, bounded = at, true
		case !bounded || m.before(t, bound):
			bound, bounded = t, true
		}
	}
	return first, ties, bound, bounded
}

// until returns the end of the run of h's rows that come before t.
func (m *merger) until(h *head, t int64) int {
	rest := h.cur.times[h.pos:]
	return h.pos + sort.Search(len(rest), func(i int) bool { return !m.before(rest[i], t) })
}

// mergeRow appends one row out of all heads that are at time t.
func (m *merger) mergeRow(t int64) {
	n := m.out.len()
	m.out.times = append(m.out.times, t)
	for c := range m.out.cols {
		dst := &m.out.cols[c]
		found := false
		for i := range m.heads {
			h := &m.heads[i]
			if src := &h.cur.cols[c]; h.cur.times[h.pos] == t && src.Has(h.pos) {
				dst.append(n, src, h.pos, h.pos+1)
				found = true
				break
			}
		}
		if !found {
			dst.appendMissing(n, 1)
		}
	}
	for i := range m.heads {
		if h := &m.heads[i]; h.cur.times[h.pos] == t {
			h.pos++
		}
	}
}
