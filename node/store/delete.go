package store

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// Delete removes the points of a time range, of all series or of those that match. It is kept in the journal as JSON.
type Delete struct {
	// Range is inclusive at both ends.
	Range TimeRange
	// Measurement is a condition on the measurement's name; its Key is not used. nil is every measurement.
	Measurement *TagMatcher
	// Tags must all hold. A series without the tag compares as one whose value is "".
	Tags []TagMatcher
}

// OfMeasurement is the condition that a Delete of one measurement has.
func OfMeasurement(name string) *TagMatcher { return &TagMatcher{Op: MatchEqual, Value: name} }

// deleteJSON is the form of a Delete on disk. Times are ns since the epoch.
type deleteJSON struct {
	Min         int64         `json:"min"`
	Max         int64         `json:"max"`
	Measurement *matcherJSON  `json:"measurement,omitempty"`
	Tags        []matcherJSON `json:"tags,omitempty"`
}

type matcherJSON struct {
	Key    string `json:"key,omitempty"`
	Op     string `json:"op"`
	Value  string `json:"value,omitempty"`
	Regexp string `json:"regexp,omitempty"`
}

var matchOps = [...]string{MatchEqual: "=", MatchNotEqual: "!=", MatchRegex: "=~", MatchNotRegex: "!~"}

// MarshalJSON writes the form that the journal and the manifest keep.
func (d Delete) MarshalJSON() ([]byte, error) {
	out := deleteJSON{Min: d.Range.Min, Max: d.Range.Max}
	if d.Measurement != nil {
		m := encodeMatcher(*d.Measurement)
		out.Measurement = &m
	}
	for _, t := range d.Tags {
		out.Tags = append(out.Tags, encodeMatcher(t))
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Delete) UnmarshalJSON(b []byte) error {
	var in deleteJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("read delete: %w", err)
	}
	out := Delete{Range: TimeRange{in.Min, in.Max}}
	if in.Measurement != nil {
		m, err := decodeMatcher(*in.Measurement)
		if err != nil {
			return err
		}
		out.Measurement = &m
	}
	for _, t := range in.Tags {
		m, err := decodeMatcher(t)
		if err != nil {
			return err
		}
		out.Tags = append(out.Tags, m)
	}
	*d = out
	return nil
}

func encodeMatcher(t TagMatcher) matcherJSON {
	out := matcherJSON{Key: t.Key, Op: matchOps[t.Op], Value: t.Value}
	if t.Regexp != nil {
		out.Regexp = t.Regexp.String()
	}
	return out
}

func decodeMatcher(in matcherJSON) (TagMatcher, error) {
	out := TagMatcher{Key: in.Key, Value: in.Value}
	for op, name := range matchOps {
		if name != in.Op {
			continue
		}
		out.Op = MatchOp(op)
		if out.Op == MatchRegex || out.Op == MatchNotRegex {
			re, err := regexp.Compile(in.Regexp)
			if err != nil {
				return out, fmt.Errorf("read delete: %w", err)
			}
			out.Regexp = re
		}
		return out, nil
	}
	return out, fmt.Errorf("read delete: unknown comparison %q", in.Op)
}

// Matches reports whether the delete concerns a series, at whatever time.
func (d *Delete) Matches(s *Series) bool {
	if d.Measurement != nil && !d.Measurement.Matches(s.Measurement) {
		return false
	}
	for i := range d.Tags {
		if !d.Tags[i].Matches(s.Tag(d.Tags[i].Key)) {
			return false
		}
	}
	return true
}

// tombstone is a delete that is not in all blocks yet. It concerns blocks and frozen memtables whose order is less than
// its position.
type tombstone struct {
	pos uint64
	Delete
}

// cutFor returns the ranges of the tombstones that concern something of the given order. The tombstones must match the
// series.
func cutFor(matching []*tombstone, order uint64, span TimeRange) []TimeRange {
	var out []TimeRange
	for _, t := range matching {
		if t.pos > order && t.Range.overlaps(span) {
			out = append(out, t.Range)
		}
	}
	return out
}

// coveredBy tells whether one of the ranges covers all of span.
func coveredBy(ranges []TimeRange, span TimeRange) bool {
	for _, r := range ranges {
		if r.covers(span) {
			return true
		}
	}
	return false
}

// matchingTombstones returns those of the list that concern a series.
func matchingTombstones(list []*tombstone, s *Series) []*tombstone {
	var out []*tombstone
	for _, t := range list {
		if t.Matches(s) {
			out = append(out, t)
		}
	}
	return out
}
