package replicate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

const (
	stateName    = "state.json"
	stateHead    = "holdfast-replication"
	stateVersion = 1
	keptFilled   = 100 // filled gaps that stay listed
	keptBacklogs = 64
	maxOpenGaps  = 1000
	errNotAState = "not a state file"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Stretch is a run of journal positions that is still to be sent, both inclusive.
type Stretch struct {
	From journal.Position `json:"from"`
	To   journal.Position `json:"to"`
	// Since is when the oldest unsent record of it was accepted.
	Since time.Time `json:"since"`
}

// durable is the content of a replication's state file. FORMAT.md describes it.
type durable struct {
	Start   journal.Position `json:"start"`             // where the replication began
	Head    journal.Position `json:"head,omitempty"`    // NewestFirst: position of the live end while Backlog is not empty
	Backlog []Stretch        `json:"backlog,omitempty"` // NewestFirst: stretches behind the head, oldest first
	Gaps    []Gap            `json:"gaps,omitempty"`
	NextGap int              `json:"nextGap"`
	Counts  Counts           `json:"counts"`
	Success time.Time        `json:"lastSuccess"`
	Refusal *Refusal         `json:"lastRefusal,omitempty"`
	Damage  string           `json:"damage,omitempty"` // what was found damaged in earlier files
}

// loadState reads the state file of a replication's folder. found is false when there is none. A damaged file is set aside,
// never deleted, and told of in Damage.
func loadState(dir string) (d durable, found bool, err error) {
	path := filepath.Join(dir, stateName)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, false, nil
	}
	if err != nil {
		return d, false, fmt.Errorf("read replication state: %w", err)
	}
	d, err = parseState(content)
	if err == nil {
		return d, true, nil
	}
	aside, moveErr := setAside(path)
	if moveErr != nil {
		return d, false, fmt.Errorf("set damaged replication state aside: %w", moveErr)
	}
	return durable{Damage: fmt.Sprintf("%s (%v); gaps that it listed are unknown", aside, err)}, false, nil
}

func parseState(content []byte) (d durable, err error) {
	head, body, ok := bytes.Cut(content, []byte("\n"))
	if !ok {
		return d, errors.New(errNotAState)
	}
	var version int
	var sum uint32
	if _, err := fmt.Sscanf(string(head), stateHead+" %d %08x", &version, &sum); err != nil {
		return d, errors.New(errNotAState)
	}
	if version != stateVersion {
		return d, fmt.Errorf("state file of version %d, this program reads version %d", version, stateVersion)
	}
	if crc32.Checksum(body, castagnoli) != sum {
		return d, errors.New("checksum of the state file is wrong")
	}
	return d, json.Unmarshal(body, &d)
}

// save makes the state durable.
func (d *durable) save(dir string) error {
	body, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write replication state: %w", err)
	}
	content := fmt.Appendf(nil, "%s %d %08x\n", stateHead, stateVersion, crc32.Checksum(body, castagnoli))
	if err := writeFile(filepath.Join(dir, stateName), append(content, body...)); err != nil {
		return fmt.Errorf("write replication state: %w", err)
	}
	return nil
}

// resume brings the backlog in line with the cursor, which is written before the state, and returns the position of the
// live end.
func (d *durable) resume(cursor journal.Position) journal.Position {
	kept := d.Backlog[:0]
	for _, s := range d.Backlog {
		s.From = max(s.From, cursor+1)
		if s.From <= s.To {
			kept = append(kept, s)
		}
	}
	d.Backlog = kept
	if len(kept) == 0 {
		d.Head = 0
		return cursor
	}
	return max(cursor, d.Head)
}
