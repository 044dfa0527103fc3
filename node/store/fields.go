package store

import (
	"math"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// fieldSet is the fields of one measurement in one partition, where each has one type. It only grows.
type fieldSet struct {
	names []string
	types []line.Type
	index map[string]int
}

func newFieldSet() *fieldSet { return &fieldSet{index: make(map[string]int)} }

// find returns the index of a field, -1 when there is none. hint is the index it probably has: fields mostly come in the
// order in which they were first seen.
func (s *fieldSet) find(key []byte, hint int) int {
	if hint < len(s.names) && s.names[hint] == string(key) {
		return hint
	}
	if i, ok := s.index[string(key)]; ok {
		return i
	}
	return -1
}

// indexes returns where fields are in the set, -1 for one that is not. The bucket's lock must be held.
func (s *fieldSet) indexes(fields []string) []int {
	out := make([]int, len(fields))
	for i, name := range fields {
		at, ok := s.index[name]
		if !ok {
			at = -1
		}
		out[i] = at
	}
	return out
}

func (s *fieldSet) add(name string, t line.Type) int {
	i := len(s.names)
	s.names = append(s.names, name)
	s.types = append(s.types, t)
	s.index[name] = i
	return i
}

func floatBits(f float64) uint64 { return math.Float64bits(f) }

func floatOf(bits uint64) float64 { return math.Float64frombits(bits) }
