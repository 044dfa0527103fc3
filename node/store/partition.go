package store

import (
	"math"
	"slices"
	"time"
)

// partition is a span of time of a bucket. Its blocks and field types live and die together. Partitions do not overlap.
type partition struct {
	span   TimeRange
	fields map[*measurement]*fieldSet
	// blocks are sorted by order, oldest first.
	blocks []*block
	// gone is set when retention dropped the partition.
	gone bool
}

func newPartition(span TimeRange) *partition {
	return &partition{span: span, fields: make(map[*measurement]*fieldSet)}
}

// dir is the name of the partition's folder: its first moment, to the ns.
func (p *partition) dir() string { return partitionDir(p.span.Min) }

func partitionDir(start int64) string {
	return time.Unix(0, start).UTC().Format("20060102T150405.000000000Z")
}

// fieldsOf returns the field set of a measurement, made when it is new.
func (p *partition) fieldsOf(m *measurement) *fieldSet {
	s := p.fields[m]
	if s == nil {
		s = newFieldSet()
		p.fields[m] = s
	}
	return s
}

// alignedSpan returns the span of the given duration that t falls into, counted from the epoch.
func alignedSpan(t int64, d time.Duration) TimeRange {
	n := int64(d)
	rest := t % n
	if rest < 0 {
		rest += n
	}
	span := TimeRange{Min: math.MinInt64, Max: math.MaxInt64}
	if t >= math.MinInt64+rest {
		span.Min = t - rest
	}
	if t <= math.MaxInt64-(n-1-rest) {
		span.Max = t + (n - 1 - rest)
	}
	return span
}

// partitionAt returns the partition of t, made when there is none. The new one is cut so that it does not overlap the
// neighbours, which may have been made with another duration.
func (b *Bucket) partitionAt(t int64) *partition {
	if p := b.lastPartition; p != nil && !p.gone && p.span.contains(t) {
		return p
	}
	i, found := slices.BinarySearchFunc(b.partitions, t, func(p *partition, t int64) int {
		switch {
		case p.span.Max < t:
			return -1
		case p.span.Min > t:
			return 1
		}
		return 0
	})
	if !found {
		span := alignedSpan(t, b.shardDuration)
		if i > 0 {
			span.Min = max(span.Min, b.partitions[i-1].span.Max+1)
		}
		if i < len(b.partitions) {
			span.Max = min(span.Max, b.partitions[i].span.Min-1)
		}
		b.partitions = slices.Insert(b.partitions, i, newPartition(span))
	}
	b.lastPartition = b.partitions[i]
	return b.lastPartition
}

// DefaultShardDuration is the span of a partition when a bucket does not choose one: 7 days for infinite retention or at least
// 180 days, 1 day for at least 2 days, else 1 hour, as InfluxDB does. retention 0 is infinite.
func DefaultShardDuration(retention time.Duration) time.Duration {
	const day = 24 * time.Hour
	switch {
	case retention == 0 || retention >= 180*day:
		return 7 * day
	case retention >= 2*day:
		return day
	default:
		return time.Hour
	}
}
