package journal

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// dropOldest removes the oldest segment although readers may not have read it. The drop is durable before the segment
// is gone, so that every reader learns of it. It returns a *FullError when the segment must stay.
func (j *Journal) dropOldest(reason dropReason) error {
	s := j.oldest()
	if s == j.newest() && reason == dropBytes && s.size > headerSize && !j.pinned(s) {
		if _, err := j.roll(); err != nil { // one large record needs nearly all of the room
			return err
		}
	}
	if s == j.newest() {
		return &FullError{RetryAfter: retryDisk, Reason: j.boundText(reason) + " and nothing is left to drop"}
	}
	if j.pinned(s) {
		j.requestRelease()
		return &FullError{RetryAfter: retryPinned, Reason: j.boundText(reason) + " and its oldest records must stay until the store has flushed them"}
	}
	drops := j.describe(s, reason)
	next := state{floor: j.state.floor, drops: append(j.stillNeeded(), drops...)}
	next.bound()
	if err := j.stateFile.writeBoth(next.encode()); err != nil {
		return fmt.Errorf("record what is dropped: %w", err)
	}
	j.mu.Lock()
	for _, d := range j.state.drops {
		if d.to < next.drops[0].from {
			j.released = max(j.released, d.to) // forgotten, because every cursor has passed it
		}
	}
	j.state = next
	j.mu.Unlock()
	j.remove(1)
	j.report(drops)
	return nil
}

// report counts and logs drops.
func (j *Journal) report(drops []drop) {
	points := int64(0)
	for _, d := range drops {
		j.m.droppedRecords.WithLabelValues(d.reason.String()).Add(float64(d.to - d.from + 1))
		j.m.droppedPoints.WithLabelValues(d.reason.String()).Add(float64(max(0, d.points)))
		points += max(0, d.points)
	}
	first, last := drops[0], drops[len(drops)-1]
	j.log.Warn("journal dropped its oldest records; readers that had not read them see a gap", "dir", j.o.Dir, "reason", last.reason.String(), "from", first.from, "to", last.to, "points", points)
}

// stillNeeded returns the drops that some cursor may still have to learn of.
func (j *Journal) stillNeeded() []drop {
	low, ok, _, _ := j.low()
	drops := slices.Clone(j.state.drops)
	if !ok {
		return drops
	}
	return slices.DeleteFunc(drops, func(d drop) bool { return d.to <= low })
}

// describe sums up the records of s as drops that end at the cursors within it, so that each cursor's reader can
// be told exactly what it missed.
func (j *Journal) describe(s *segment, reason dropReason) []drop {
	last := j.lastOf(s)
	ends := append(j.cursorsWithin(s.first, last), last)
	drops := make([]drop, len(ends))
	from := s.first
	for i, end := range ends {
		drops[i] = drop{from: from, to: end, at: j.o.Now().UnixNano(), reason: reason}
		from = end + 1
	}
	sums := j.sum(s, ends)
	for i := range drops {
		drops[i].setTotals(sums[i])
	}
	return drops
}

func (d *drop) setTotals(t totals) {
	d.points, d.minTime, d.maxTime = int64(t.points), t.minTime, t.maxTime
	if Position(t.records) < d.to-d.from+1 {
		d.points = -1 // some records could not be read
		if t.points == 0 {
			d.minTime, d.maxTime = math.MinInt64, math.MaxInt64
		}
	}
}

// cursorsWithin returns the saved positions from first to before last, ascending, each once.
func (j *Journal) cursorsWithin(first, last Position) []Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	var at []Position
	for _, c := range j.cursors {
		if p := Position(c.saved.Load()); p >= first && p < last {
			at = append(at, p)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

// sum adds up the records of s for each range that ends at one of ends, the last of which is the segment's.
func (j *Journal) sum(s *segment, ends []Position) []totals {
	sums := make([]totals, len(ends))
	if len(ends) == 1 && s.known {
		sums[0] = s.totals
		return sums
	}
	sc := j.scan(s, s.first)
	sc.skipBelow = math.MaxUint64 // heads are enough
	i := 0
	for {
		sp, err := sc.step()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				j.log.Warn("journal segment could not be read for its totals", "file", s.path, "error", err)
			}
			return sums
		}
		if !sp.known {
			continue
		}
		for i+1 < len(ends) && sp.head.position > ends[i] {
			i++
		}
		sums[i].add(&sp.head)
	}
}
