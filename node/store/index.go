package store

import (
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// index finds the series of a bucket by key and by tag. It lives in memory and is rebuilt from the blocks' sidecars when
// the bucket is opened. The bucket's lock guards it.
type index struct {
	byKey        map[string]*seriesEntry
	byID         []*seriesEntry // nil where a series was removed
	measurements map[string]*measurement

	tags []Tag // scratch of add
}

// seriesEntry is a series as the store holds it. It has an id only while the process lives.
type seriesEntry struct {
	key string
	id  uint32
	m   *measurement
	// refs counts the blocks and memtables that have rows of the series.
	refs int32
	// hot is where the series' last row went; it is only a shortcut.
	hot *memSeries
	// next is the series of the point that followed last time.
	next *seriesEntry
}

// measurement has the series and tags of one measurement. Posting lists are sorted by id and only ever appended to or replaced, so
// that a copy of the slice stays valid.
type measurement struct {
	name string
	all  []uint32
	tags map[string]map[string][]uint32

	lastPartition *partition
	lastFields    *fieldSet
}

func newIndex() *index {
	return &index{byKey: make(map[string]*seriesEntry), measurements: make(map[string]*measurement)}
}

// measurementOf returns the measurement, made when it is new.
func (x *index) measurementOf(name string) *measurement {
	m := x.measurements[name]
	if m == nil {
		m = &measurement{name: name, tags: make(map[string]map[string][]uint32)}
		x.measurements[name] = m
	}
	return m
}

// lookup finds a series; prev is the series of the point before, whose successor is tried first.
func (x *index) lookup(key []byte, prev *seriesEntry) *seriesEntry {
	if prev != nil && prev.next != nil && prev.next.key == string(key) {
		return prev.next
	}
	e := x.byKey[string(key)]
	if prev != nil && e != nil {
		prev.next = e
	}
	return e
}

// add makes a series, which must be new. It keeps the key.
func (x *index) add(key string) *seriesEntry {
	name, tags := splitSeries(key, x.tags[:0])
	x.tags = tags
	m := x.measurementOf(name)
	e := &seriesEntry{key: key, id: uint32(len(x.byID)), m: m}
	x.byID = append(x.byID, e)
	x.byKey[key] = e
	m.all = append(m.all, e.id)
	for _, t := range tags {
		values := m.tags[t.Key]
		if values == nil {
			values = make(map[string][]uint32)
			m.tags[t.Key] = values
		}
		values[t.Value] = append(values[t.Value], e.id)
	}
	return e
}

// obtain returns the series with the key, made, with a copy of the key, when it is new.
func (x *index) obtain(key string) *seriesEntry {
	if e := x.byKey[key]; e != nil {
		return e
	}
	return x.add(strings.Clone(key))
}

// sweep removes the series that no block and no memtable has rows of.
func (x *index) sweep() {
	touched := make(map[*measurement]bool)
	for id, e := range x.byID {
		if e == nil || e.refs > 0 {
			continue
		}
		x.byID[id] = nil
		delete(x.byKey, e.key)
		touched[e.m] = true
	}
	if len(touched) == 0 {
		return
	}
	for _, e := range x.byKey {
		if e.next != nil && x.byID[e.next.id] != e.next {
			e.next = nil
		}
	}
	for m := range touched {
		x.sweepMeasurement(m)
	}
}

func (x *index) sweepMeasurement(m *measurement) {
	live := func(ids []uint32) []uint32 {
		return slices.DeleteFunc(slices.Clone(ids), func(id uint32) bool { return x.byID[id] == nil })
	}
	m.all = live(m.all)
	if len(m.all) == 0 {
		delete(x.measurements, m.name)
		return
	}
	for key, values := range m.tags {
		for value, ids := range values {
			if ids = live(ids); len(ids) == 0 {
				delete(values, value)
			} else {
				values[value] = ids
			}
		}
		if len(values) == 0 {
			delete(m.tags, key)
		}
	}
}

// newSeries makes the public form of a series.
func newSeries(key string) *Series {
	name, tags := splitSeries(key, make([]Tag, 0, strings.Count(key, "=")))
	return &Series{Key: key, Measurement: name, Tags: tags}
}

// splitSeries is line.SplitSeries with the tags appended to dst. Where nothing is escaped they share the key's memory.
func splitSeries(key string, dst []Tag) (measurement string, tags []Tag) {
	if strings.IndexByte(key, '\\') >= 0 {
		name, split := line.SplitSeries([]byte(key))
		for _, t := range split {
			dst = append(dst, Tag(t))
		}
		return name, dst
	}
	name, rest, more := strings.Cut(key, ",")
	for more {
		var tag string
		tag, rest, more = strings.Cut(rest, ",")
		k, v, _ := strings.Cut(tag, "=")
		dst = append(dst, Tag{k, v})
	}
	return name, dst
}

// compareSeries orders series as blocks do: by measurement, then by key. Keys alone would mix measurements, because bytes
// less than a comma may stand in a name.
func compareSeries(aMeasurement, aKey, bMeasurement, bKey string) int {
	if c := strings.Compare(aMeasurement, bMeasurement); c != 0 {
		return c
	}
	return strings.Compare(aKey, bKey)
}
