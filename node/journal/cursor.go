package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	cursorDir     = "cursors"
	cursorSuffix  = ".cursor"
	cursorSlot    = 4096
	cursorBytes   = 9
	maxCursorName = 64
)

// ErrRemoved tells that a cursor was removed while it was in use.
var ErrRemoved = errors.New("journal: cursor was removed")

// cursor implements Cursor.
type cursor struct {
	j    *Journal
	name string

	// What the file says; only this releases segments. They are read without mu, which is held while the disk syncs.
	saved atomic.Uint64
	pins  atomic.Bool

	mu      sync.Mutex
	slots   *slotFile
	pos     Position  // what Advance was told
	savedAt time.Time // when the file was last written
	removed bool
}

// cursorFile returns the file name of a cursor. Names that differ give names that differ on every file system,
// also on those that ignore case.
func cursorFile(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String() + cursorSuffix
}

// parseCursorFile returns the name of the cursor kept in the named file.
func parseCursorFile(file string) (string, bool) {
	escaped, ok := strings.CutSuffix(file, cursorSuffix)
	if !ok {
		return "", false
	}
	var name []byte
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			if n, err := fmt.Sscanf(escaped[i:], "%%%02X", &c); n != 1 || err != nil {
				return "", false
			}
			i += 2
		}
		name = append(name, c)
	}
	return string(name), cursorFile(string(name)) == file
}

func encodeCursor(p Position, pins bool) []byte {
	b := le.AppendUint64(make([]byte, 0, cursorBytes), uint64(p))
	if pins {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeCursor(b []byte) (p Position, pins bool, err error) {
	if len(b) != cursorBytes || b[8] > 1 {
		return 0, false, errSlot
	}
	return Position(le.Uint64(b)), b[8] == 1, nil
}

// openCursors reads the cursors that exist. A cursor whose file is damaged goes on from the value before it, or from
// the oldest record: its reader sees records again rather than never.
func (j *Journal) openCursors() error {
	dir := filepath.Join(j.o.Dir, cursorDir)
	if err := makeDir(j.fs, dir); err != nil {
		return fmt.Errorf("create the folder of cursors: %w", err)
	}
	entries, err := j.fs.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list cursors: %w", err)
	}
	for _, e := range entries {
		name, ok := parseCursorFile(e.Name())
		if !ok {
			continue
		}
		c := &cursor{j: j, name: name}
		if err := c.open(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("open cursor %q: %w", name, err)
		}
		j.cursors[name] = c
	}
	return nil
}

func (c *cursor) open(path string) error {
	slots, value, damaged, err := openSlots(c.j.fs, path, cursorSlot)
	if err != nil {
		return err
	}
	c.slots = slots
	if value != nil {
		var pins bool
		c.pos, pins, err = decodeCursor(value)
		damaged = errors.Join(damaged, err)
		c.pins.Store(pins)
	}
	c.saved.Store(uint64(c.pos))
	if damaged != nil {
		c.j.m.damaged.WithLabelValues("cursor").Inc()
		c.j.log.Warn("journal cursor file was damaged; its reader goes on from an older position", "file", path, "position", c.pos, "damage", damaged)
	}
	return nil
}

// Cursor opens or creates the cursor with the given name of 1 to 64 bytes. Opening it again gives the same cursor with
// the new options.
func (j *Journal) Cursor(name string, o CursorOptions) (Cursor, error) {
	if name == "" || len(name) > maxCursorName {
		return nil, fmt.Errorf("journal: name of a cursor must have 1 to %d bytes, this has %d", maxCursorName, len(name))
	}
	j.cursorMu.Lock()
	defer j.cursorMu.Unlock()
	if j.isClosed() {
		return nil, ErrClosed
	}
	if c := j.cursor(name); c != nil {
		return c, c.setPins(o.Pins)
	}
	c := &cursor{j: j, name: name}
	c.pins.Store(o.Pins)
	path := filepath.Join(j.o.Dir, cursorDir, cursorFile(name))
	slots, err := createSlots(j.fs, path, cursorSlot, encodeCursor(0, o.Pins))
	if err != nil {
		return nil, fmt.Errorf("create cursor %q: %w", name, err)
	}
	c.slots = slots
	j.mu.Lock()
	j.cursors[name] = c
	j.mu.Unlock()
	return c, nil
}

func (j *Journal) cursor(name string) *cursor {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.cursors[name]
}

// Cursors returns the names of the cursors that exist, sorted.
func (j *Journal) Cursors() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	names := make([]string, 0, len(j.cursors))
	for name := range j.cursors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Position returns the position last given to Advance.
func (c *cursor) Position() Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pos
}

// Advance moves the cursor forward to p; a position that is not ahead changes nothing. It is durable when Advance returns,
// or, within Options.CursorInterval of the last write, at the end of that interval.
func (c *cursor) Advance(p Position) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.j.isClosed() {
		return ErrClosed
	}
	if last := c.j.written(); p > last {
		return fmt.Errorf("journal: cursor %q cannot advance to %d, behind the last record %d", c.name, p, last)
	}
	if c.removed {
		return ErrRemoved
	}
	if p <= c.pos {
		return nil
	}
	c.pos = p
	if wait := c.j.o.CursorInterval; !c.pins.Load() && wait > 0 {
		if age := c.j.o.Now().Sub(c.savedAt); age >= 0 && age < wait {
			c.j.kickKeeper()
			return nil
		}
	}
	return c.save()
}

// save writes the file. c.mu is held.
func (c *cursor) save() error {
	c.savedAt = c.j.o.Now()
	if err := c.slots.write(encodeCursor(c.pos, c.pins.Load())); err != nil {
		return fmt.Errorf("save cursor %q: %w", c.name, err)
	}
	c.saved.Store(uint64(c.pos))
	c.j.m.cursorSyncs.Inc()
	c.j.kickCommitter()
	return nil
}

// flush saves the cursor if it moved since it was saved.
func (c *cursor) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed || Position(c.saved.Load()) == c.pos {
		return nil
	}
	return c.save()
}

func (c *cursor) setPins(pins bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pins.Load() == pins {
		return nil
	}
	c.pins.Store(pins)
	return c.save()
}

// Remove deletes the cursor's file. A cursor opened under the same name later starts at 0.
func (c *cursor) Remove() error {
	c.j.cursorMu.Lock()
	defer c.j.cursorMu.Unlock()
	if c.j.isClosed() {
		return ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed {
		return nil
	}
	if err := errors.Join(c.slots.file.Close(), c.j.fs.Remove(c.slots.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		// The file is opened again so that the cursor stays usable and holds its records.
		if f, openErr := c.j.fs.OpenFile(c.slots.path, os.O_RDWR, filePerm); openErr == nil {
			c.slots.file = f
		}
		return fmt.Errorf("remove cursor %q: %w", c.name, err)
	}
	c.removed = true
	c.j.mu.Lock()
	delete(c.j.cursors, c.name)
	c.j.mu.Unlock()
	c.j.kickCommitter()
	if err := c.j.fs.SyncDir(filepath.Dir(c.slots.path)); err != nil {
		return fmt.Errorf("remove cursor %q: %w", c.name, err)
	}
	return nil
}

// low returns the positions up to which all cursors, and all pinning cursors, have durably advanced. ok is false
// without any cursor, pinned without a pinning one.
func (j *Journal) low() (all Position, ok bool, pin Position, pinned bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.cursors {
		p := Position(c.saved.Load())
		if !ok || p < all {
			all, ok = p, true
		}
		if c.pins.Load() && (!pinned || p < pin) {
			pin, pinned = p, true
		}
	}
	return all, ok, pin, pinned
}

func (j *Journal) kickKeeper() {
	select {
	case j.keeperKick <- struct{}{}:
	default:
	}
}

// keep saves cursors that advanced within their interval, until the journal closes.
func (j *Journal) keep() {
	defer close(j.keeperDone)
	for {
		select {
		case <-j.keeperKick:
		case <-j.closing:
			return
		}
		timer := time.NewTimer(j.o.CursorInterval)
		select {
		case <-timer.C:
		case <-j.closing:
			timer.Stop()
			return
		}
		if err := j.flushCursors(); err != nil {
			j.log.Error("journal cursors could not be saved; their readers may see records again after a restart", "error", err)
			j.kickKeeper()
		}
	}
}

func (j *Journal) flushCursors() error {
	j.mu.Lock()
	cursors := make([]*cursor, 0, len(j.cursors))
	for _, c := range j.cursors {
		cursors = append(cursors, c)
	}
	j.mu.Unlock()
	var errs []error
	for _, c := range cursors {
		errs = append(errs, c.flush())
	}
	return errors.Join(errs...)
}
