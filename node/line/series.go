package line

import (
	"bytes"
	"slices"
	"strconv"
)

const (
	defaultCacheBytes = 16 << 20
	// entryBytes is about what an entry costs beside its key.
	entryBytes = 96
	// cacheChunk is the size of the pieces that the keys' memory is allocated in.
	cacheChunk = 64 << 10
)

// seriesCache maps series keys as written to what is known of them, so that a known series is not split into its tags
// again.
type seriesCache struct {
	index   map[string]int
	entries []knownSeries
	keys    []byte // chunk that the next keys are copied to; never moved, because points refer to it
	size    int
}

// knownSeries is one spelling of a series.
type knownSeries struct {
	// canonical is nil when the spelling is canonical itself.
	canonical []byte
	// schema is what the fields of the series' last point were; nil before the first.
	schema *schema
}

// tagSpan is one tag of a key: the key is text[start:eq], the value text[eq+1:end].
type tagSpan struct{ start, eq, end int }

// lookup returns the canonical form of a series key as written, and what is known of the series: nil when the key is
// too long to be remembered.
func (p *Parser) lookup(b *Batch, raw []byte) (*knownSeries, []byte, string) {
	c := &p.series
	if i, ok := c.index[string(raw)]; ok {
		known := &c.entries[i]
		if known.canonical != nil {
			return known, known.canonical, ""
		}
		return known, raw, ""
	}
	sorted, reason := p.splitKey(raw)
	if reason != "" {
		return nil, nil, reason
	}
	limit := p.CacheBytes
	if limit <= 0 {
		limit = defaultCacheBytes
	}
	if len(raw) > limit/64 {
		if sorted {
			return nil, raw, ""
		}
		start := b.room(len(raw))
		b.bytes = p.appendSorted(b.bytes, raw)
		return nil, b.since(start), ""
	}
	known := c.add(raw, limit)
	if sorted {
		return known, raw, ""
	}
	known.canonical = c.copy(p.appendSorted(nil, raw))
	return known, known.canonical, ""
}

// add remembers a key, which must not be known yet.
func (c *seriesCache) add(raw []byte, limit int) *knownSeries {
	cost := 2*len(raw) + entryBytes
	if c.index == nil {
		c.index = make(map[string]int)
	}
	if c.size+cost > limit {
		clear(c.index)
		clear(c.entries)
		c.entries, c.keys, c.size = c.entries[:0], nil, 0
	}
	c.size += cost
	c.index[stringOf(c.copy(raw))] = len(c.entries)
	c.entries = append(c.entries, knownSeries{})
	return &c.entries[len(c.entries)-1]
}

func (c *seriesCache) copy(s []byte) []byte {
	if len(s) > cap(c.keys)-len(c.keys) {
		c.keys = make([]byte, 0, max(cacheChunk, len(s)))
	}
	start := len(c.keys)
	c.keys = append(c.keys, s...)
	return c.keys[start:len(c.keys):len(c.keys)]
}

// seriesEnd returns the length of the series key that a line begins with: up to the first space that no backslash stands
// before.
func seriesEnd(line []byte) int {
	end := bytes.IndexByte(line, ' ')
	for end > 0 && line[end-1] == '\\' {
		next := bytes.IndexByte(line[end+1:], ' ')
		if next < 0 {
			return len(line)
		}
		end += 1 + next
	}
	if end < 0 {
		return len(line)
	}
	return end
}

// splitKey checks a series key and leaves its tags in p.tags, sorted by the bytes of the unescaped key. sorted tells
// whether that is the order they were written in, which makes the key canonical.
func (p *Parser) splitKey(raw []byte) (sorted bool, reason string) {
	p.tags = p.tags[:0]
	if reason := checkLength(len(raw)); reason != "" {
		return false, reason
	}
	if raw[0] == ',' {
		return false, errMeasurement
	}
	for i := nameEnd(raw, 0, false); i < len(raw); {
		tag, reason := scanTag(raw, i+1)
		if reason != "" {
			return false, reason
		}
		p.tags = append(p.tags, tag)
		i = tag.end
	}
	sorted = true
	for i := range p.tags {
		key := raw[p.tags[i].start:p.tags[i].eq]
		if Reserved(key) {
			return false, errReserved + " " + strconv.Quote(string(key))
		}
		if i > 0 {
			sorted = sorted && compareNames(raw[p.tags[i-1].start:p.tags[i-1].eq], key) < 0
		}
	}
	if sorted {
		return true, ""
	}
	byKey := func(a, b tagSpan) int { return compareNames(raw[a.start:a.eq], raw[b.start:b.eq]) }
	slices.SortFunc(p.tags, byKey)
	for i := 1; i < len(p.tags); i++ {
		if byKey(p.tags[i-1], p.tags[i]) == 0 {
			return false, errTagTwice
		}
	}
	return false, ""
}

// scanTag finds the tag of raw whose key begins at start.
func scanTag(raw []byte, start int) (tagSpan, string) {
	eq := nameEnd(raw, start, true)
	switch {
	case eq == start:
		return tagSpan{}, errTagKey
	case eq == len(raw) || raw[eq] != '=':
		return tagSpan{}, errTagValue
	}
	end := nameEnd(raw, eq+1, true)
	switch {
	case end < len(raw) && raw[end] == '=':
		return tagSpan{}, errTagFormat
	case end == eq+1:
		return tagSpan{}, errTagValue
	}
	return tagSpan{start, eq, end}, ""
}

// appendSorted appends the key raw with its tags in the order of p.tags.
func (p *Parser) appendSorted(dst, raw []byte) []byte {
	dst = append(dst, raw[:nameEnd(raw, 0, false)]...)
	for _, t := range p.tags {
		dst = append(dst, ',')
		dst = append(dst, raw[t.start:t.end]...)
	}
	return dst
}

// compareNames compares two escaped tag keys by their unescaped bytes.
func compareNames(a, b []byte) int {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		i, j = skipEscape(a, i), skipEscape(b, j)
		if a[i] != b[j] {
			return int(a[i]) - int(b[j])
		}
		i++
		j++
	}
	return (len(a) - i) - (len(b) - j)
}

func skipEscape(s []byte, i int) int {
	if s[i] == '\\' && i+1 < len(s) && special(s[i+1], true) {
		return i + 1
	}
	return i
}
