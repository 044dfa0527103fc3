package journal

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// memFS is a disk in memory. It knows what was synced, so that it can lose power; faults are injected through fault.
type memFS struct {
	mu      sync.Mutex
	now     map[string]*memFile // the files as programs see them
	durable map[string]*memFile // the folder entries as synced
	dirs    map[string]bool
	free    uint64
	// fault is asked before each operation ("open", "create", "write", "sync", "truncate", "close", "readdir", "read",
	// "remove", "rename", "syncdir", "mkdir"). A shortWrite error lets that many bytes through.
	fault func(op, name string) error
	ops   map[string]int // how often each operation was done
	// synced are the folders that were synced, in order.
	synced []string
}

type memFile struct {
	name         string
	data, synced []byte
}

type shortWrite struct {
	n   int
	err error
}

func (s shortWrite) Error() string { return s.err.Error() }
func (s shortWrite) Unwrap() error { return s.err }

func newMemFS() *memFS {
	return &memFS{
		now: map[string]*memFile{}, durable: map[string]*memFile{}, dirs: map[string]bool{"/": true},
		free: 1 << 40, ops: map[string]int{},
	}
}

// do counts an operation and injects its fault. m.mu is held.
func (m *memFS) do(op, name string) error {
	m.ops[op]++
	if m.fault == nil {
		return nil
	}
	if err := m.fault(op, name); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// setFault replaces the injected faults.
func (m *memFS) setFault(f func(op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// failOn makes one operation on files whose path contains part fail until the next call of setFault.
func (m *memFS) failOn(op, part string, err error) {
	m.setFault(func(o, name string) error {
		if o == op && strings.Contains(name, part) {
			return err
		}
		return nil
	})
}

func (m *memFS) count(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops[op]
}

func (m *memFS) OpenFile(name string, flag int, _ fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.do("open", name); err != nil {
		return nil, err
	}
	f := m.now[name]
	switch {
	case f == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case f != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case f == nil:
		if err := m.do("create", name); err != nil {
			return nil, err
		}
		f = &memFile{name: name}
		m.now[name] = f
	case flag&os.O_TRUNC != 0:
		f.data = nil
	}
	return &memHandle{m: m, f: f}, nil
}

func (m *memFS) ReadDir(dir string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.do("readdir", dir); err != nil {
		return nil, err
	}
	if !m.dirs[dir] {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: fs.ErrNotExist}
	}
	var list []fs.DirEntry
	for _, name := range slices.Sorted(maps.Keys(m.now)) {
		if filepath.Dir(name) == dir {
			list = append(list, memEntry(filepath.Base(name)))
		}
	}
	return list, nil
}

type memEntry string

func (e memEntry) Name() string             { return string(e) }
func (memEntry) IsDir() bool                { return false }
func (memEntry) Type() fs.FileMode          { return 0 }
func (memEntry) Info() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func (m *memFS) Mkdir(dir string, _ fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.do("mkdir", dir); err != nil {
		return err
	}
	if m.dirs[dir] {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
	}
	if !m.dirs[filepath.Dir(dir)] {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrNotExist}
	}
	m.dirs[dir] = true
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.do("remove", name); err != nil {
		return err
	}
	if m.now[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.now, name)
	return nil
}

func (m *memFS) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.do("rename", newName); err != nil {
		return err
	}
	f := m.now[oldName]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: oldName, Err: fs.ErrNotExist}
	}
	delete(m.now, oldName)
	m.now[newName] = f
	return nil
}

func (m *memFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.do("syncdir", dir); err != nil {
		return err
	}
	m.synced = append(m.synced, dir)
	maps.DeleteFunc(m.durable, func(name string, _ *memFile) bool { return filepath.Dir(name) == dir })
	for name, f := range m.now {
		if filepath.Dir(name) == dir {
			m.durable[name] = f
		}
	}
	return nil
}

func (m *memFS) Free(string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free, nil
}

type memHandle struct {
	m *memFS
	f *memFile
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.m.do("read", h.f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(p []byte, off int64) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	n := len(p)
	err := h.m.do("write", h.f.name)
	if err != nil {
		n = 0
		var short shortWrite
		if errors.As(err, &short) {
			n = min(short.n, len(p))
		}
	}
	if need := int(off) + n; need > len(h.f.data) {
		h.f.data = append(h.f.data, make([]byte, need-len(h.f.data))...)
	}
	copy(h.f.data[off:], p[:n])
	return n, err
}

func (h *memHandle) Truncate(size int64) error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.m.do("truncate", h.f.name); err != nil {
		return err
	}
	h.f.data = h.f.data[:size]
	return nil
}

func (h *memHandle) Sync() error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.m.do("sync", h.f.name); err != nil {
		return err
	}
	h.f.synced = slices.Clone(h.f.data)
	return nil
}

func (h *memHandle) Size() (int64, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	return int64(len(h.f.data)), nil
}

func (h *memHandle) Close() error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	return h.m.do("close", h.f.name)
}

// sector is the unit in which a cut of power keeps or loses what was not synced.
const sector = 64

// powerCut returns the disk as it may look after power was lost: what was synced, and of the rest any part.
func (m *memFS) powerCut(rnd *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := newMemFS()
	maps.Copy(after.dirs, m.dirs)
	names := map[string]bool{}
	for name := range m.now {
		names[name] = true
	}
	for name := range m.durable {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := m.durable[name]
		if now := m.now[name]; now != f && rnd.IntN(2) == 0 {
			f = now
		}
		if f != nil {
			data := f.torn(rnd)
			after.now[name] = &memFile{name: name, data: data, synced: slices.Clone(data)}
			after.durable[name] = after.now[name]
		}
	}
	return after
}

// torn returns the synced bytes with any part of what was written since.
func (f *memFile) torn(rnd *rand.Rand) []byte {
	size := len(f.synced)
	if d := len(f.data) - size; d > 0 {
		size += rnd.IntN(d + 1)
	} else if d < 0 && rnd.IntN(2) == 0 {
		size = len(f.data)
	}
	out := make([]byte, size)
	for at := 0; at < size; at += sector {
		from := f.synced
		if rnd.IntN(2) == 0 {
			from = f.data
		}
		if at < len(from) {
			copy(out[at:min(at+sector, size)], from[at:])
		}
	}
	return out
}

// snapshot returns a copy of the disk's files.
func (m *memFS) snapshot() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	files := map[string][]byte{}
	for name, f := range m.now {
		files[name] = slices.Clone(f.data)
	}
	return files
}

// restore returns a disk with the given files.
func restore(files map[string][]byte) *memFS {
	m := newMemFS()
	for name, data := range files {
		m.dirs[filepath.Dir(name)] = true
		f := &memFile{name: name, data: slices.Clone(data), synced: slices.Clone(data)}
		m.now[name], m.durable[name] = f, f
	}
	return m
}

func TestMemFSLosesWhatWasNotSynced(t *testing.T) {
	m := newMemFS()
	f, err := m.OpenFile("/a", os.O_CREATE|os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 1000), 0); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for seed := range uint64(50) {
		if m.powerCut(rand.New(rand.NewPCG(seed, 0))).now["/a"] == nil {
			lost++
		}
	}
	if lost == 0 || lost == 50 {
		t.Fatalf("the unsynced file was lost %d times of 50", lost)
	}
}
