package recovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// MaxJournal is the size of a journal in bytes.
const MaxJournal = 64 << 20

// Entry is one line of a journal.
type Entry struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"` // plan, start, done, skip or stop
	Step  string    `json:"step,omitempty"`
	Plan  string    `json:"plan,omitempty"` // the plan's ID, in the first line
	Note  string    `json:"note,omitempty"`
}

// journal is the file beside a plan that says which steps were begun and done. It is synced line by line. What it says is checked
// against the cluster, so that a lost one costs time and nothing else. Only one process may have it.
type journal struct {
	mu      sync.Mutex
	file    *os.File
	started map[string]bool
	done    map[string]bool
}

// openJournal opens the journal of a plan, or makes it. A last line that a crash left half written is cut off.
func openJournal(path, plan string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	j := &journal{file: f, started: map[string]bool{}, done: map[string]bool{}}
	if err := j.open(path, plan); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

func (j *journal) open(path, plan string) error {
	if err := lock(j.file); err != nil {
		return fmt.Errorf("%s: another holdfast-guard works on this plan: %w", path, err)
	}
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > MaxJournal {
		return fmt.Errorf("%s is larger than %d bytes", path, MaxJournal)
	}
	b := make([]byte, info.Size())
	if _, err := j.file.ReadAt(b, 0); err != nil && len(b) > 0 {
		return fmt.Errorf("reading the journal: %w", err)
	}
	whole := b[:bytes.LastIndexByte(b, '\n')+1]
	if err := j.replay(whole, plan); err != nil {
		return fmt.Errorf("%s:%w", path, err)
	}
	if err := j.file.Truncate(int64(len(whole))); err != nil {
		return fmt.Errorf("cutting off the journal's torn line: %w", err)
	}
	if _, err := j.file.Seek(int64(len(whole)), 0); err != nil {
		return err
	}
	if len(whole) == 0 {
		return j.write(Entry{Event: "plan", Plan: plan})
	}
	return nil
}

func (j *journal) replay(b []byte, plan string) error {
	for n := 1; len(b) > 0; n++ {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("%d: not a line of a journal: %w", n, err)
		}
		if n == 1 && (e.Event != "plan" || e.Plan != plan) {
			return errors.New("1: the journal is of another plan, or the plan was changed beyond its answers: give the new plan another name")
		}
		switch e.Event {
		case "start":
			j.started[e.Step] = true
		case "done", "skip":
			j.started[e.Step], j.done[e.Step] = true, true
		}
	}
	return nil
}

// write adds a line, which is on the disk when it returns.
func (j *journal) write(e Entry) error {
	e.Time = time.Now().UTC()
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch e.Event {
	case "start":
		j.started[e.Step] = true
	case "done", "skip":
		j.done[e.Step] = true
	}
	if _, err := j.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

func (j *journal) was(step string) (started, done bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.started[step], j.done[step]
}

func (j *journal) close() error { return j.file.Close() }
