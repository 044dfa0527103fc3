package query

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// TagKeyer is a store.Reader that knows the tag keys of a measurement without going through its series.
type TagKeyer interface {
	// TagKeys returns the tag keys of a measurement within tr, sorted.
	TagKeys(ctx context.Context, measurement string, tr store.TimeRange) ([]string, error)
}

// schema answers, for one statement, which fields and tags its measurements have and of which types.
type schema struct {
	ctx context.Context
	x   *execution
	tr  store.TimeRange
	// err is the first error of a lookup; the parser's interfaces have no place for it.
	err     error
	dbs     map[string]*Database
	readers map[[2]string]store.Reader
	known   map[measurementKey]*measurement
}

var _ interface {
	influxql.FieldMapper
	influxql.CallTypeMapper
} = (*schema)(nil)

type measurementKey struct{ db, rp, name string }

// measurement is what is known of one. tags is nil until it was asked for.
type measurement struct {
	fields map[string]influxql.DataType
	tags   []string
}

func newSchema(ctx context.Context, x *execution, tr store.TimeRange) *schema {
	return &schema{ctx: ctx, x: x, tr: tr, dbs: map[string]*Database{}, readers: map[[2]string]store.Reader{},
		known: map[measurementKey]*measurement{}}
}

// resolve gives all measurements of s, and of its subqueries, their database and retention policy.
func (c *schema) resolve(s *influxql.SelectStatement) error {
	for _, src := range s.Sources {
		switch src := src.(type) {
		case *influxql.SubQuery:
			if err := c.resolve(src.Statement); err != nil {
				return err
			}
		case *influxql.Measurement:
			if err := c.resolveMeasurement(src); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *schema) resolveMeasurement(m *influxql.Measurement) error {
	if m.Name == "" && m.Regex == nil {
		return errors.New("invalid measurement")
	}
	if influxql.IsSystemName(m.Name) {
		return fmt.Errorf("unable to use system source '%s': use SHOW instead", m.Name)
	}
	if m.Database == "" {
		m.Database = c.x.db
	}
	db, ok := c.dbs[m.Database]
	if !ok {
		var err error
		if db, err = c.x.database(c.ctx, m.Database); err != nil {
			return err
		}
		c.dbs[m.Database] = db
	}
	if m.RetentionPolicy == "" {
		m.RetentionPolicy = c.x.r.Policy
	}
	if m.RetentionPolicy == "" {
		m.RetentionPolicy = db.defaultPolicy()
	}
	if m.RetentionPolicy == "" {
		return fmt.Errorf("default retention policy not set for: %s", db.Name)
	}
	_, err := c.reader(m.Database, m.RetentionPolicy)
	return err
}

// typeTags marks the references in the conditions of s that are no field of its measurements as tags. That they are tags
// need not be looked up: a tag that no series has compares as "".
func (c *schema) typeTags(s *influxql.SelectStatement) error {
	nested := false
	for _, src := range s.Sources {
		if sub, ok := src.(*influxql.SubQuery); ok {
			nested = true
			if err := c.typeTags(sub.Statement); err != nil {
				return err
			}
		}
	}
	if nested {
		return nil // what a subquery selects may be a value too
	}
	var failed error
	influxql.WalkFunc(s.Condition, func(n influxql.Node) {
		ref, ok := n.(*influxql.VarRef)
		if !ok || ref.Type != influxql.Unknown || failed != nil {
			return
		}
		var field bool
		if field, failed = c.hasField(s.Sources, ref.Val); !field {
			ref.Type = influxql.Tag
		}
	})
	return failed
}

// hasField reports whether any of the measurements has a field of that name.
func (c *schema) hasField(sources influxql.Sources, name string) (bool, error) {
	for _, src := range sources {
		m := src.(*influxql.Measurement)
		r, names, err := c.measurements(m)
		if err != nil {
			return false, err
		}
		for _, n := range names {
			known, err := c.lookup(r, measurementKey{m.Database, m.RetentionPolicy, n})
			if err != nil {
				return false, err
			}
			if _, ok := known.fields[name]; ok {
				return true, nil
			}
		}
	}
	return false, nil
}

// reader returns the data of a retention policy, after asking whether it may be read.
func (c *schema) reader(db, rp string) (store.Reader, error) {
	key := [2]string{db, rp}
	if r, ok := c.readers[key]; ok {
		return r, nil
	}
	if err := c.x.authorize(c.ctx, db, rp, Read); err != nil {
		return nil, err
	}
	r, err := c.x.o.Databases.Reader(c.ctx, db, rp)
	if errors.Is(err, ErrNoPolicy) {
		return nil, fmt.Errorf("%w: %s", ErrNoPolicy, rp)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s.%s: %w", db, rp, err)
	}
	c.readers[key] = r
	return r, nil
}

// measurements returns the names that m stands for, sorted.
func (c *schema) measurements(m *influxql.Measurement) (store.Reader, []string, error) {
	r, err := c.reader(m.Database, m.RetentionPolicy)
	if err != nil {
		return nil, nil, err
	}
	if m.Regex == nil {
		return r, []string{m.Name}, nil
	}
	all, err := r.Measurements(c.ctx, c.tr)
	if err != nil {
		return nil, nil, fmt.Errorf("listing measurements: %w", err)
	}
	return r, slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !m.Regex.Val.MatchString(n) }), nil
}

// lookup returns what is known of one measurement.
func (c *schema) lookup(r store.Reader, key measurementKey) (*measurement, error) {
	if m, ok := c.known[key]; ok {
		return m, nil
	}
	keys, err := r.Fields(c.ctx, key.name, c.tr)
	if err != nil {
		return nil, fmt.Errorf("listing the fields of %q: %w", key.name, err)
	}
	m := &measurement{fields: map[string]influxql.DataType{}}
	for _, k := range keys {
		if t := dataType(k.Type); m.fields[k.Name].LessThan(t) {
			m.fields[k.Name] = t
		}
	}
	c.known[key] = m
	return m, nil
}

// tagKeys returns the tag keys of one measurement, sorted.
func (c *schema) tagKeys(r store.Reader, key measurementKey) ([]string, error) {
	m, err := c.lookup(r, key)
	if err != nil || m.tags != nil {
		return m.tags, err
	}
	if m.tags, err = readTagKeys(c.ctx, r, key.name, c.tr); err != nil {
		return nil, err
	}
	return m.tags, nil
}

// readTagKeys returns the tag keys of a measurement, sorted; never nil.
func readTagKeys(ctx context.Context, r store.Reader, name string, tr store.TimeRange) ([]string, error) {
	if k, ok := r.(TagKeyer); ok {
		keys, err := k.TagKeys(ctx, name, tr)
		if err != nil {
			return nil, fmt.Errorf("listing the tag keys of %q: %w", name, err)
		}
		return append([]string{}, keys...), nil
	}
	series, err := r.Series(ctx, name, tr, nil)
	if err != nil {
		return nil, fmt.Errorf("listing the series of %q: %w", name, err)
	}
	return tagKeysOf(series), nil
}

func tagKeysOf(series []*store.Series) []string {
	seen := map[string]struct{}{}
	keys := []string{}
	for _, s := range series {
		for _, t := range s.Tags {
			if _, ok := seen[t.Key]; !ok {
				seen[t.Key] = struct{}{}
				keys = append(keys, t.Key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// FieldDimensions returns the fields, with their types, and the tag keys of all measurements that m stands for.
func (c *schema) FieldDimensions(m *influxql.Measurement) (map[string]influxql.DataType, map[string]struct{}, error) {
	r, names, err := c.measurements(m)
	if err != nil {
		return nil, nil, err
	}
	fields, dims := map[string]influxql.DataType{}, map[string]struct{}{}
	for _, n := range names {
		key := measurementKey{m.Database, m.RetentionPolicy, n}
		known, err := c.lookup(r, key)
		if err != nil {
			return nil, nil, err
		}
		for k, t := range known.fields {
			if fields[k].LessThan(t) {
				fields[k] = t
			}
		}
		tags, err := c.tagKeys(r, key)
		if err != nil {
			return nil, nil, err
		}
		for _, k := range tags {
			dims[k] = struct{}{}
		}
	}
	return fields, dims, nil
}

// MapType returns the type of a field or tag of a measurement, Unknown when it has none of that name.
func (c *schema) MapType(m *influxql.Measurement, field string) influxql.DataType {
	t, err := c.mapType(m, field)
	if err != nil && c.err == nil {
		c.err = err
	}
	return t
}

func (c *schema) mapType(m *influxql.Measurement, field string) (influxql.DataType, error) {
	var typ influxql.DataType
	r, names, err := c.measurements(m)
	if err != nil {
		return typ, err
	}
	for _, n := range names {
		key := measurementKey{m.Database, m.RetentionPolicy, n}
		known, err := c.lookup(r, key)
		if err != nil {
			return typ, err
		}
		t, ok := known.fields[field]
		if !ok {
			tags, err := c.tagKeys(r, key)
			if err != nil {
				return typ, err
			}
			if slices.Contains(tags, field) {
				t = influxql.Tag
			}
		}
		if typ.LessThan(t) {
			typ = t
		}
	}
	return typ, nil
}

// CallType returns the type of a function's result.
func (c *schema) CallType(name string, args []influxql.DataType) (influxql.DataType, error) {
	return typeMapper{}.CallType(name, args)
}
