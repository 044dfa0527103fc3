package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// MaxStringBytes is the most bytes of a string value.
const MaxStringBytes = 1 << 20

// Refusal is one reason why points of a write were not admitted.
type Refusal struct {
	// Reason is the text, in the words that clients of InfluxDB match on.
	Reason string
	// Dropped is the number of points refused for it; 0 when only fields were taken out.
	Dropped int
}

// PartialWrite tells that a write was admitted without some of its points or fields.
type PartialWrite struct {
	// Reasons are in the order in which they first came up, those of the retention last.
	Reasons []Refusal
	// Dropped is the number of points refused, over all reasons.
	Dropped int
}

// Error returns `partial write: <reason> dropped=<n>` with the first reason and the number of all points refused. That one
// reason stands for all, and that the retention's gives way to the others, is what InfluxDB does.
func (p *PartialWrite) Error() string {
	return "partial write: " + p.Reason() + " dropped=" + strconv.Itoa(p.Dropped)
}

// Reason returns the text of the first reason.
func (p *PartialWrite) Reason() string {
	if len(p.Reasons) == 0 {
		return ""
	}
	return p.Reasons[0].Reason
}

// Labels of the metric of dropped points.
const (
	reasonType      = "type conflict"
	reasonRetention = "retention"
	reasonTime      = "time field"
	reasonLength    = "string too long"
	reasonSeries    = "too many series"
)

// admission collects what is refused of one batch.
type admission struct {
	b       *Bucket
	partial *PartialWrite
	reasons map[string]int // index in partial.Reasons

	earliest       int64
	retains        bool
	expired        int
	oldest, newest expiredPoint
}

type expiredPoint struct {
	series string
	time   int64
}

// Admit checks a batch against the bucket's field types, retention and bounds, as of now. It removes refused points and fields from
// the batch in place, so that only what may be journaled remains, and reserves the types of new fields. It returns
// nil when everything was admitted.
func (b *Bucket) Admit(batch *line.Batch, now time.Time) *PartialWrite {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := admission{b: b}
	a.earliest, a.retains = b.earliest(now)
	var prev *seriesEntry
	batch.Filter(func(_ int, p *line.Point) bool {
		if a.retains && p.Time < a.earliest {
			a.expire(p)
			return false
		}
		e := b.index.lookup(p.Series, prev)
		if e == nil {
			if n := b.store.o.MaxSeries; n > 0 && len(b.index.byKey) >= n {
				a.refuse(reasonSeries, 1, "max-series-per-database limit exceeded: (%d)", n)
				return false
			}
			e = b.index.add(string(p.Series))
			if prev != nil {
				prev.next = e
			}
		}
		prev = e
		return a.fields(e, p)
	})
	a.finish(now)
	return a.partial
}

// fields checks the fields of a point and reserves the types of new ones.
func (a *admission) fields(e *seriesEntry, p *line.Point) bool {
	part := a.b.partitionAt(p.Time)
	m := e.m
	if m.lastPartition != part || m.lastFields == nil {
		m.lastPartition, m.lastFields = part, part.fieldsOf(m)
	}
	set := m.lastFields
	index, unknown, timeField := -1, false, false
	for i := range p.Fields {
		f := &p.Fields[i]
		if f.Value.Type == line.String && len(f.Value.Str) > MaxStringBytes {
			a.refuse(reasonLength, 1, "input field \"%s\" on measurement \"%s\" is too long, %d > %d", f.Key, m.name, len(f.Value.Str), MaxStringBytes)
			return false
		}
		if string(f.Key) == "time" {
			timeField = true
			continue
		}
		index = set.find(f.Key, index+1)
		if index < 0 {
			unknown = true
			index = len(set.names)
		} else if have := set.types[index]; have != f.Value.Type {
			a.refuse(reasonType, 1, "field type conflict: input field \"%s\" on measurement \"%s\" is type %s, already exists as type %s", f.Key, m.name, f.Value.Type, have)
			return false
		}
	}
	if timeField && !a.stripTime(m, p) {
		return false
	}
	if unknown {
		for i := range p.Fields {
			if f := &p.Fields[i]; set.find(f.Key, len(set.names)) < 0 {
				set.add(string(f.Key), f.Value.Type)
			}
		}
	}
	return true
}

// stripTime takes the field named time out of a point, and reports whether another field is left.
func (a *admission) stripTime(m *measurement, p *line.Point) bool {
	const text = "invalid field name: input field \"%s\" on measurement \"%s\" is invalid"
	kept := make([]line.Field, 0, len(p.Fields)-1)
	for _, f := range p.Fields {
		if string(f.Key) != "time" {
			kept = append(kept, f)
		}
	}
	if len(kept) == 0 {
		a.refuse(reasonTime, 1, text, "time", m.name)
		return false
	}
	p.Fields, p.Text = kept, nil
	a.refuse(reasonTime, 0, text, "time", m.name)
	return true
}

// refuse counts n points against a reason.
func (a *admission) refuse(label string, n int, format string, args ...any) {
	a.add(label, n, fmt.Sprintf(format, args...))
}

func (a *admission) add(label string, n int, text string) {
	if a.partial == nil {
		a.partial = &PartialWrite{}
		a.reasons = make(map[string]int)
	}
	i, ok := a.reasons[text]
	if !ok && len(a.partial.Reasons) < maxReasons {
		i, ok = len(a.partial.Reasons), true
		a.reasons[text] = i
		a.partial.Reasons = append(a.partial.Reasons, Refusal{Reason: text})
	}
	if ok {
		a.partial.Reasons[i].Dropped += n
	}
	a.partial.Dropped += n
	a.b.metrics.dropped.WithLabelValues(label).Add(float64(n))
}

// maxReasons bounds the different reasons that a PartialWrite lists.
const maxReasons = 100

// expire counts a point that is older than the retention.
func (a *admission) expire(p *line.Point) {
	if a.expired == 0 || p.Time < a.oldest.time {
		a.oldest = expiredPoint{string(p.Series), p.Time}
	}
	if a.expired == 0 || p.Time > a.newest.time {
		a.newest = expiredPoint{string(p.Series), p.Time}
	}
	a.expired++
}

// finish adds the reason for the expired points.
func (a *admission) finish(now time.Time) {
	if a.expired == 0 {
		return
	}
	bound := now.Add(-a.b.retention).UTC().Format(time.RFC3339Nano)
	violation := func(p expiredPoint) string {
		return fmt.Sprintf("point %s at %s dropped because it violates a Retention Policy Lower Bound at %s",
			p.series, time.Unix(0, p.time).UTC().Format(time.RFC3339Nano), bound)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "dropped %d points outside retention policy of duration %s - oldest %s, newest %s",
		a.expired, a.b.retention, violation(a.oldest), violation(a.newest))
	a.add(reasonRetention, a.expired, s.String())
}
