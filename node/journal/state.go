package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// The layout of the state file's value; FORMAT.md has the table.
const (
	stateName     = "state"
	stateSlot     = 8192
	stateHeader   = 12
	dropSize      = 56
	maxDrops      = 128 // of dropSize bytes, fits a slot
	stateMaxBytes = stateHeader + maxDrops*dropSize
)

// dropReason is why records were dropped, as kept on disk.
type dropReason uint8

const (
	dropBytes dropReason = 1 + iota // MaxBytes
	dropAge                         // MaxAge
	dropFree                        // MinFreeBytes, or a full disk
)

var dropReasons = [...]string{dropBytes: "bytes", dropAge: "age", dropFree: "free"}

func (r dropReason) String() string {
	if int(r) < len(dropReasons) {
		return dropReasons[r]
	}
	return ""
}

// drop is a range of records that was dropped because of the bounds before every reader had read it.
type drop struct {
	from, to         Position // both inclusive
	points           int64    // -1 when unknown
	minTime, maxTime int64
	at               int64 // when, in ns since the epoch
	reason           dropReason
}

// merge extends d by the next drop, which is behind it.
func (d *drop) merge(next drop) {
	d.to = next.to
	switch {
	case d.points < 0 || next.points < 0:
		d.points = -1
		d.minTime, d.maxTime = min(d.minTime, next.minTime), max(d.maxTime, next.maxTime)
	case d.points == 0:
		d.minTime, d.maxTime = next.minTime, next.maxTime
	case next.points > 0:
		d.minTime, d.maxTime = min(d.minTime, next.minTime), max(d.maxTime, next.maxTime)
	}
	if d.points >= 0 {
		d.points += next.points
	}
	d.at, d.reason = next.at, next.reason
}

// state is what the journal knows besides its records.
type state struct {
	// floor is a position that was durable once: a journal that ends before it has lost records.
	floor Position
	drops []drop // ascending, not overlapping
}

// bound merges the oldest drops until the list fits its slot.
func (s *state) bound() {
	for len(s.drops) > maxDrops {
		s.drops[0].merge(s.drops[1])
		s.drops = append(s.drops[:1], s.drops[2:]...)
	}
}

func (s *state) encode() []byte {
	b := make([]byte, 0, stateHeader+len(s.drops)*dropSize)
	b = le.AppendUint64(b, uint64(s.floor))
	b = le.AppendUint32(b, uint32(len(s.drops)))
	for _, d := range s.drops {
		for _, v := range []uint64{uint64(d.from), uint64(d.to), uint64(d.points), uint64(d.minTime), uint64(d.maxTime), uint64(d.at), uint64(d.reason)} {
			b = le.AppendUint64(b, v)
		}
	}
	return b
}

func decodeState(b []byte) (state, error) {
	if len(b) < stateHeader {
		return state{}, errSlot
	}
	s := state{floor: Position(le.Uint64(b))}
	n := int(le.Uint32(b[8:]))
	b = b[stateHeader:]
	if n > maxDrops || len(b) != n*dropSize {
		return state{}, errSlot
	}
	for ; len(b) > 0; b = b[dropSize:] {
		d := drop{
			from: Position(le.Uint64(b)), to: Position(le.Uint64(b[8:])), points: int64(le.Uint64(b[16:])),
			minTime: int64(le.Uint64(b[24:])), maxTime: int64(le.Uint64(b[32:])), at: int64(le.Uint64(b[40:])),
			reason: dropReason(b[48]),
		}
		s.drops = append(s.drops, d)
	}
	return s, nil
}

// openState reads the state file or makes a new one. It exists from the first Open on, because a drop on a full disk
// could not create it.
func openState(fsys FS, dir string) (f *slotFile, s state, damaged, err error) {
	path := filepath.Join(dir, stateName)
	f, value, damaged, err := openSlots(fsys, path, stateSlot)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = createSlots(fsys, path, stateSlot, (&state{}).encode())
		return f, state{}, nil, err
	}
	if err != nil {
		return nil, state{}, nil, err
	}
	if value == nil {
		return f, state{}, fmt.Errorf("%s: %w", path, damaged), nil
	}
	s, err = decodeState(value)
	if err != nil {
		return f, state{}, fmt.Errorf("%s: %w", path, err), nil
	}
	if damaged != nil {
		damaged = fmt.Errorf("%s: %w", path, damaged)
	}
	return f, s, damaged, nil
}
