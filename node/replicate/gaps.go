package replicate

import (
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// GapState is what became of a gap.
type GapState string

// The states of a gap.
const (
	GapOpen       GapState = "open"
	GapFilled     GapState = "filled"
	GapUnfillable GapState = "unfillable" // there is no store to fill it from
)

// Reasons of gaps, beside those of the journal ("dropped", "damaged").
const (
	ReasonQueueFull = "queue full" // MaxQueueBytes
	ReasonTooOld    = "too old"    // MaxAge
	ReasonBackfill  = "backfill"   // what the bucket held before the replication
	ReasonResync    = "resync"     // asked for by command
)

// Gap is a span of time whose points the stream did not send and that is sent from the store in its place.
type Gap struct {
	ID     int       `json:"id"`
	Reason string    `json:"reason"`
	Found  time.Time `json:"found"`
	// From and To are the positions that are missing, both inclusive; 0 for a backfill or resync.
	From journal.Position `json:"from,omitempty"`
	To   journal.Position `json:"to,omitempty"`
	// Points is the number of points missing, -1 when it is unknown.
	Points int64 `json:"points"`
	// MinTime and MaxTime bound their timestamps, in ns since the epoch, both inclusive.
	MinTime int64 `json:"minTime"`
	MaxTime int64 `json:"maxTime"`

	State GapState `json:"state"`
	// NextMin and NextMax bound what is still to be sent.
	NextMin int64     `json:"nextMin"`
	NextMax int64     `json:"nextMax"`
	Sent    int64     `json:"sent"` // points sent so far
	Closed  time.Time `json:"closed"`
	// Error is why the store could not be read the last time, "" when it could.
	Error string `json:"error,omitempty"`
	// Asked tells that filling was asked for by command, whatever NoFill says.
	Asked bool `json:"asked,omitempty"`
}

// addGap lists a gap, or widens an open one of the same kind that it touches, so that a journal that drops segment after
// segment leaves one gap.
func (d *durable) addGap(g Gap) {
	for i := range d.Gaps {
		old := &d.Gaps[i]
		if old.State != GapOpen || old.Reason != g.Reason || g.From == 0 || old.From == 0 {
			continue
		}
		if g.From > old.To+1 || g.To+1 < old.From {
			continue
		}
		old.widen(g)
		return
	}
	d.NextGap++
	g.ID, g.State, g.NextMin, g.NextMax = d.NextGap, GapOpen, g.MinTime, g.MaxTime
	d.Gaps = append(d.Gaps, g)
	d.trimGaps()
}

func (g *Gap) widen(by Gap) {
	switch {
	case g.From <= by.From && by.To <= g.To:
		return // found again after a crash
	case by.From <= g.From && g.To <= by.To:
		g.Points = by.Points
	case g.Points >= 0 && by.Points >= 0:
		g.Points += by.Points
	default:
		g.Points = -1
	}
	g.From, g.To = min(g.From, by.From), max(g.To, by.To)
	g.MinTime, g.MaxTime = min(g.MinTime, by.MinTime), max(g.MaxTime, by.MaxTime)
	if g.NextMin > g.NextMax {
		g.NextMin, g.NextMax = by.MinTime, by.MaxTime
	}
	g.NextMin, g.NextMax = min(g.NextMin, by.MinTime), max(g.NextMax, by.MaxTime)
}

// trimGaps bounds the list: closed gaps go first, then the two oldest open ones become one.
func (d *durable) trimGaps() {
	closed := 0
	for _, g := range d.Gaps {
		if g.State != GapOpen {
			closed++
		}
	}
	kept := d.Gaps[:0]
	for _, g := range d.Gaps {
		if g.State != GapOpen && closed > keptFilled {
			closed--
			continue
		}
		kept = append(kept, g)
	}
	d.Gaps = kept
	if len(d.Gaps)-closed > maxOpenGaps {
		d.joinOldest()
	}
}

func (d *durable) joinOldest() {
	first := -1
	for i := range d.Gaps {
		switch {
		case d.Gaps[i].State != GapOpen || d.Gaps[i].From == 0:
		case first < 0:
			first = i
		default:
			d.Gaps[first].widen(d.Gaps[i])
			d.Gaps = append(d.Gaps[:i], d.Gaps[i+1:]...)
			return
		}
	}
}

// gap returns the gap with an ID, nil when it is not listed.
func (d *durable) gap(id int) *Gap {
	for i := range d.Gaps {
		if d.Gaps[i].ID == id {
			return &d.Gaps[i]
		}
	}
	return nil
}

// fillable returns the gap to work on next.
func (d *durable) fillable(order Order, noFill bool) *Gap {
	var best *Gap
	for i := range d.Gaps {
		g := &d.Gaps[i]
		byHand := g.Asked || g.Reason == ReasonBackfill || g.Reason == ReasonResync
		if g.State != GapOpen || noFill && !byHand {
			continue
		}
		if best == nil || order == NewestFirst && g.MaxTime > best.MaxTime || order == OldestFirst && g.MinTime < best.MinTime {
			best = g
		}
	}
	return best
}

// take moves the edge of what is left of the gap past a window that was sent.
func (g *Gap) take(low, high int64, points int64, now time.Time) {
	g.Sent += points
	switch {
	case low <= g.NextMin && high >= g.NextMax:
		g.State, g.Closed = GapFilled, now
	case low <= g.NextMin:
		g.NextMin = high + 1
	case high >= g.NextMax:
		g.NextMax = low - 1
	}
}
