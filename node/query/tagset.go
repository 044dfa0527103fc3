package query

import (
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/node/store"
)

// tagset is the values of the tags that rows are grouped by. Two equal tagsets of one plan are the same pointer.
type tagset struct {
	keys   []string // sorted, shared by all tagsets of a plan
	values []string
}

var noTags = &tagset{}

// get returns the value of a tag, "" when the set does not have it.
func (t *tagset) get(key string) string {
	if i, ok := slices.BinarySearch(t.keys, key); ok {
		return t.values[i]
	}
	return ""
}

// tags returns the set in the form that results carry.
func (t *tagset) tags() []store.Tag {
	out := make([]store.Tag, len(t.keys))
	for i, k := range t.keys {
		out[i] = store.Tag{Key: k, Value: t.values[i]}
	}
	return out
}

// compare orders tagsets of the same keys.
func (t *tagset) compare(o *tagset) int { return slices.Compare(t.values, o.values) }

// tagsets makes the tagsets of one list of keys, each once.
type tagsets struct {
	keys []string
	seen map[string]*tagset
	buf  []byte
}

func newTagsets(keys []string) *tagsets {
	return &tagsets{keys: keys, seen: map[string]*tagset{}}
}

// of returns the tagset of what get says the keys' values are.
func (s *tagsets) of(get func(key string) string) *tagset {
	if len(s.keys) == 0 {
		return noTags
	}
	s.buf = s.buf[:0]
	for _, k := range s.keys {
		s.buf = append(append(s.buf, get(k)...), 0)
	}
	if t, ok := s.seen[string(s.buf)]; ok {
		return t
	}
	id := string(s.buf)
	values := strings.Split(id[:len(id)-1], "\x00")
	if len(values) != len(s.keys) { // a value holds the separator
		values = values[:0]
		for _, k := range s.keys {
			values = append(values, get(k))
		}
	}
	t := &tagset{keys: s.keys, values: values}
	s.seen[id] = t
	return t
}
