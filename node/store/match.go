package store

import "slices"

// posting is the series with one value of a tag.
type posting struct {
	value string
	ids   []uint32
}

// tagPostings copies the posting lists of the tags that the matchers name, so that they can be evaluated without the lock.
func (m *measurement) tagPostings(match []TagMatcher) map[string][]posting {
	out := make(map[string][]posting, len(match))
	for _, t := range match {
		if _, ok := out[t.Key]; ok {
			continue
		}
		values := m.tags[t.Key]
		if t.Op == MatchEqual && t.Value != "" && onlyMatcher(match, t.Key) {
			out[t.Key] = []posting{{t.Value, values[t.Value]}}
			continue
		}
		list := make([]posting, 0, len(values))
		for v, ids := range values {
			list = append(list, posting{v, ids})
		}
		out[t.Key] = list
	}
	return out
}

func onlyMatcher(match []TagMatcher, key string) bool {
	n := 0
	for _, t := range match {
		if t.Key == key {
			n++
		}
	}
	return n == 1
}

// Matches reports whether a tag value satisfies the matcher. value is "" for a series without the tag.
func (t *TagMatcher) Matches(value string) bool {
	switch t.Op {
	case MatchEqual:
		return value == t.Value
	case MatchNotEqual:
		return value != t.Value
	case MatchRegex:
		return t.Regexp != nil && t.Regexp.MatchString(value)
	case MatchNotRegex:
		return t.Regexp == nil || !t.Regexp.MatchString(value)
	}
	return false
}

// selectSeries returns the ids out of all that satisfy every matcher, sorted. all and the postings must be sorted.
func selectSeries(all []uint32, match []TagMatcher, postings map[string][]posting) []uint32 {
	ids := all
	// Those that name a value leave the fewest, so they come first.
	for _, exact := range []bool{true, false} {
		for i := range match {
			t := &match[i]
			if exact != (t.Op == MatchEqual && t.Value != "") {
				continue
			}
			if ids = applyMatcher(ids, t, postings[t.Key]); len(ids) == 0 {
				return nil
			}
		}
	}
	return ids
}

// applyMatcher keeps the ids that satisfy t. Series without the tag are those in no posting list: whether they satisfy t
// decides whether the lists that do are kept, or the lists that do not are removed.
func applyMatcher(ids []uint32, t *TagMatcher, values []posting) []uint32 {
	if t.Matches("") {
		return difference(ids, union(values, func(v string) bool { return !t.Matches(v) }))
	}
	return intersection(ids, union(values, t.Matches))
}

// union merges the posting lists of the values that ok accepts.
func union(values []posting, ok func(string) bool) []uint32 {
	var lists [][]uint32
	total := 0
	for _, p := range values {
		if len(p.ids) > 0 && ok(p.value) {
			lists = append(lists, p.ids)
			total += len(p.ids)
		}
	}
	if len(lists) == 1 {
		return lists[0]
	}
	out := make([]uint32, 0, total)
	for _, l := range lists {
		out = append(out, l...)
	}
	slices.Sort(out)
	return out
}

func intersection(a, b []uint32) []uint32 {
	if len(a) > len(b) {
		a, b = b, a
	}
	var out []uint32
	for _, id := range a {
		i, found := slices.BinarySearch(b, id)
		if found {
			out = append(out, id)
		}
		b = b[i:]
	}
	return out
}

func difference(a, b []uint32) []uint32 {
	if len(b) == 0 {
		return a
	}
	out := make([]uint32, 0, len(a))
	few := len(a) < len(b)/16
	for _, id := range a {
		if few {
			i, _ := slices.BinarySearch(b, id)
			b = b[i:]
		}
		for len(b) > 0 && b[0] < id {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != id {
			out = append(out, id)
		}
	}
	return out
}
