// Package querytest is a store in memory for tests of queries: simple enough to be right by inspection, and with the parts
// of the real one that queries can see: time partitions with field types of their own, and chunks.
//
// It is for tests only. It keeps everything in maps and sorts at each read.
package querytest

import (
	"cmp"
	"context"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// Partition is the span of time that has field types of its own, as InfluxDB's shards of the default retention policy.
const Partition = 7 * 24 * time.Hour

// Point is one point. Values are float64, int64, uint64, bool or string.
type Point struct {
	Measurement string
	Tags        map[string]string
	Fields      map[string]any
	Time        int64 // ns since the epoch
}

// Bucket is one retention policy's data.
type Bucket struct {
	// ChunkRows is the greatest number of rows in a chunk; 0 is 1000.
	ChunkRows int

	mu     sync.RWMutex
	series map[string]*series
}

var _ store.Reader = (*Bucket)(nil)

type series struct {
	store.Series
	rows map[int64]map[string]any
}

// Add writes points. Of two values of a field at one time the later written stays.
func (b *Bucket) Add(points ...Point) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.series == nil {
		b.series = map[string]*series{}
	}
	for _, p := range points {
		key := SeriesKey(p.Measurement, p.Tags)
		s := b.series[key]
		if s == nil {
			s = &series{rows: map[int64]map[string]any{}}
			s.Key, s.Measurement = key, p.Measurement
			for k, v := range p.Tags {
				s.Tags = append(s.Tags, store.Tag{Key: k, Value: v})
			}
			slices.SortFunc(s.Tags, func(a, b store.Tag) int { return strings.Compare(a.Key, b.Key) })
			b.series[key] = s
		}
		row := s.rows[p.Time]
		if row == nil {
			row = map[string]any{}
			s.rows[p.Time] = row
		}
		for k, v := range p.Fields {
			row[k] = v
		}
	}
}

// SeriesKey returns the canonical key of a series.
func SeriesKey(measurement string, tags map[string]string) string {
	var b strings.Builder
	b.WriteString(strings.NewReplacer(",", `\,`, " ", `\ `).Replace(measurement))
	keys := make([]string, 0, len(tags))
	for k := range tags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	escape := strings.NewReplacer(",", `\,`, " ", `\ `, "=", `\=`)
	for _, k := range keys {
		b.WriteString("," + escape.Replace(k) + "=" + escape.Replace(tags[k]))
	}
	return b.String()
}

func (b *Bucket) sorted(measurement string) []*series {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []*series
	for _, s := range b.series {
		if measurement == "" || s.Measurement == measurement {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *series) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// covers widens tr to whole partitions.
func covers(tr store.TimeRange) store.TimeRange {
	floor := func(t int64) int64 {
		past := t % int64(Partition)
		if past < 0 {
			past += int64(Partition)
		}
		return t - past
	}
	if tr.Min > math.MinInt64+int64(Partition) {
		tr.Min = floor(tr.Min)
	}
	if tr.Max < math.MaxInt64-int64(Partition) {
		tr.Max = floor(tr.Max) + int64(Partition) - 1
	}
	return tr
}

func (s *series) within(tr store.TimeRange) bool {
	for t := range s.rows {
		if t >= tr.Min && t <= tr.Max {
			return true
		}
	}
	return false
}

// Measurements returns the measurements that have a partition within tr.
func (b *Bucket) Measurements(_ context.Context, tr store.TimeRange) ([]string, error) {
	var out []string
	for _, s := range b.sorted("") {
		if s.within(covers(tr)) {
			out = append(out, s.Measurement)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Fields returns the fields of the partitions within tr.
func (b *Bucket) Fields(_ context.Context, measurement string, tr store.TimeRange) ([]store.FieldKey, error) {
	tr = covers(tr)
	var out []store.FieldKey
	for _, s := range b.sorted(measurement) {
		for t, row := range s.rows {
			if t < tr.Min || t > tr.Max {
				continue
			}
			for k, v := range row {
				out = append(out, store.FieldKey{Name: k, Type: typeOf(v)})
			}
		}
	}
	slices.SortFunc(out, func(a, b store.FieldKey) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return slices.Compact(out), nil
}

func typeOf(v any) line.Type {
	switch v.(type) {
	case float64:
		return line.Float
	case int64:
		return line.Integer
	case uint64:
		return line.Unsigned
	case bool:
		return line.Boolean
	}
	return line.String
}

// Series returns the series of the partitions within tr.
func (b *Bucket) Series(_ context.Context, measurement string, tr store.TimeRange, match []store.TagMatcher) ([]*store.Series, error) {
	var out []*store.Series
	for _, s := range b.sorted(measurement) {
		if s.within(covers(tr)) && satisfies(&s.Series, match) {
			out = append(out, &s.Series)
		}
	}
	return out, nil
}

func satisfies(s *store.Series, match []store.TagMatcher) bool {
	for _, m := range match {
		v := s.Tag(m.Key)
		var ok bool
		switch m.Op {
		case store.MatchEqual:
			ok = v == m.Value
		case store.MatchNotEqual:
			ok = v != m.Value
		case store.MatchRegex:
			ok = m.Regexp.MatchString(v)
		case store.MatchNotRegex:
			ok = !m.Regexp.MatchString(v)
		}
		if !ok {
			return false
		}
	}
	return true
}

// Scan reads rows.
func (b *Bucket) Scan(_ context.Context, o store.ScanOptions) (store.Cursor, error) {
	n := b.ChunkRows
	if n <= 0 {
		n = 1000
	}
	return &cursor{b: b, o: o, size: n}, nil
}

type cursor struct {
	b     *Bucket
	o     store.ScanOptions
	size  int
	next  int // of o.Series
	s     *store.Series
	rows  map[int64]map[string]any
	times []int64
}

func (c *cursor) Close() error { return nil }

func (c *cursor) Next() (*store.Chunk, error) {
	for len(c.times) == 0 {
		if c.next == len(c.o.Series) {
			return nil, io.EOF
		}
		c.open(c.o.Series[c.next])
		c.next++
	}
	n := min(c.size, len(c.times))
	for i := 1; i < n; i++ { // a chunk has one type for each field
		if c.times[i]/int64(Partition) != c.times[0]/int64(Partition) || c.times[i] < 0 != (c.times[0] < 0) {
			n = i
		}
	}
	out := &store.Chunk{Series: c.s, Times: slices.Clone(c.times[:n])}
	for _, f := range c.o.Fields {
		out.Columns = append(out.Columns, c.column(f, out.Times))
	}
	c.times = c.times[n:]
	return out, nil
}

func (c *cursor) open(s *store.Series) {
	c.b.mu.RLock()
	defer c.b.mu.RUnlock()
	c.s, c.times = s, nil
	all := c.b.series[s.Key]
	if all == nil {
		return
	}
	c.rows = all.rows
	for t, row := range c.rows {
		if t < c.o.Range.Min || t > c.o.Range.Max {
			continue
		}
		if slices.ContainsFunc(c.o.Fields, func(f string) bool { _, ok := row[f]; return ok }) {
			c.times = append(c.times, t)
		}
	}
	slices.Sort(c.times)
	if c.o.Descending {
		slices.Reverse(c.times)
	}
}

func (c *cursor) column(field string, times []int64) store.Column {
	var col store.Column
	for _, t := range times {
		if v, ok := c.rows[t][field]; ok {
			col.Type = typeOf(v)
		}
	}
	if col.Type == 0 {
		return col
	}
	full := true
	for _, t := range times {
		v, ok := c.rows[t][field]
		col.Valid = append(col.Valid, ok)
		full = full && ok
		switch col.Type {
		case line.Float:
			x, _ := v.(float64)
			col.Floats = append(col.Floats, x)
		case line.Integer:
			x, _ := v.(int64)
			col.Integers = append(col.Integers, x)
		case line.Unsigned:
			x, _ := v.(uint64)
			col.Unsigned = append(col.Unsigned, x)
		case line.Boolean:
			x, _ := v.(bool)
			col.Booleans = append(col.Booleans, x)
		case line.String:
			x, _ := v.(string)
			col.Strings = append(col.Strings, x)
		}
	}
	if full {
		col.Valid = nil
	}
	return col
}

// Server is databases of Buckets. It deletes too.
type Server struct {
	// Policies are the buckets by database and retention policy. The policy named in Default, or autogen, is the default.
	Policies map[string]map[string]*Bucket
	Default  map[string]string
}

var (
	_ query.Databases = (*Server)(nil)
	_ query.Deleter   = (*Server)(nil)
)

// NewServer returns a server with one database, of one retention policy autogen.
func NewServer(database string, b *Bucket) *Server {
	return &Server{Policies: map[string]map[string]*Bucket{database: {"autogen": b}}}
}

// Databases lists the databases and their policies, by name.
func (s *Server) Databases(context.Context) ([]query.Database, error) {
	var out []query.Database
	for name, policies := range s.Policies {
		d := query.Database{Name: name}
		def := s.Default[name]
		if def == "" {
			def = "autogen"
		}
		for p := range policies {
			d.Policies = append(d.Policies, query.RetentionPolicy{Name: p, ShardGroupDuration: Partition, Default: p == def})
		}
		slices.SortFunc(d.Policies, func(a, b query.RetentionPolicy) int { return strings.Compare(a.Name, b.Name) })
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b query.Database) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Reader returns a bucket.
func (s *Server) Reader(_ context.Context, database, policy string) (store.Reader, error) {
	if b := s.Policies[database][policy]; b != nil {
		return b, nil
	}
	return nil, query.ErrNoPolicy
}

// Delete removes rows.
func (s *Server) Delete(_ context.Context, database, policy string, d query.Deletion) error {
	b := s.Policies[database][policy]
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, se := range b.series {
		if (d.Measurement != "" && se.Measurement != d.Measurement) || !satisfies(&se.Series, d.Tags) {
			continue
		}
		for t := range se.rows {
			if t >= d.Range.Min && t <= d.Range.Max {
				delete(se.rows, t)
			}
		}
		if len(se.rows) == 0 {
			delete(b.series, key)
		}
	}
	return nil
}
