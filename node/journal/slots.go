package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// The layout of a slot; FORMAT.md has the table.
const (
	slotMagic  = "HFS1"
	slotHeader = 20
)

var errSlot = errors.New("slot is damaged")

// slotFile keeps one small value durable in a file of two slots that are written in turn. It never needs new space, so
// that it works on a full disk, costs one sync and no change of a folder, and an interrupted or damaged write leaves the
// value before it. It is used by one goroutine at a time.
type slotFile struct {
	path string
	file File
	size int // bytes of a slot
	seq  uint64
	lost bool // neither slot could be read: the next write replaces both
	buf  []byte
}

// createSlots makes the file with value in both slots. It appears whole or not at all.
func createSlots(fsys FS, path string, size int, value []byte) (*slotFile, error) {
	s := &slotFile{path: path, size: size, seq: 1}
	temp := path + ".new"
	if err := s.writeNew(fsys, temp, value); err != nil {
		return nil, errors.Join(fmt.Errorf("create %s: %w", path, err), removeIfThere(fsys, temp))
	}
	if err := fsys.Rename(temp, path); err != nil {
		return nil, errors.Join(fmt.Errorf("create %s: %w", path, err), removeIfThere(fsys, temp))
	}
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	f, err := fsys.OpenFile(path, os.O_RDWR, filePerm)
	if err != nil {
		return nil, err
	}
	s.file = f
	return s, nil
}

func (s *slotFile) writeNew(fsys FS, temp string, value []byte) error {
	f, err := fsys.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return err
	}
	// The slots are written in full, so that their blocks exist from now on.
	both := make([]byte, 2*s.size)
	copy(both, s.encode(0, value))
	copy(both[s.size:], s.encode(1, value))
	if _, err = f.WriteAt(both, 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeIfThere(fsys FS, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// encode returns the bytes of a slot, valid until the next call.
func (s *slotFile) encode(seq uint64, value []byte) []byte {
	b := append(s.buf[:0], make([]byte, slotHeader)...)
	copy(b, slotMagic)
	le.PutUint64(b[8:], seq)
	le.PutUint32(b[16:], uint32(len(value)))
	b = append(b, value...)
	le.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	s.buf = b
	return b
}

// openSlots reads the newest whole value. damaged is not nil when a slot is damaged; value is nil when both are.
func openSlots(fsys FS, path string, size int) (s *slotFile, value []byte, damaged, err error) {
	f, err := fsys.OpenFile(path, os.O_RDWR, filePerm)
	if err != nil {
		return nil, nil, nil, err
	}
	s = &slotFile{path: path, file: f, size: size}
	value, s.seq, damaged, err = readSlots(f, size)
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	s.lost = value == nil
	return s, value, damaged, nil
}

// readSlots returns the newest whole value and its sequence number.
func readSlots(f File, size int) (value []byte, seq uint64, damaged, err error) {
	have, err := f.Size()
	if err != nil {
		return nil, 0, nil, err
	}
	for i := range 2 {
		b := make([]byte, max(0, min(have-int64(i*size), int64(size))))
		if n, err := f.ReadAt(b, int64(i*size)); n < len(b) {
			return nil, 0, nil, err
		}
		v, q, err := decodeSlot(b)
		switch {
		case err != nil:
			damaged = errors.Join(damaged, fmt.Errorf("slot %d: %w", i, err))
		case value == nil || q > seq:
			value, seq = v, q
		}
	}
	return value, seq, damaged, nil
}

func decodeSlot(b []byte) (value []byte, seq uint64, err error) {
	if len(b) < slotHeader || string(b[:4]) != slotMagic {
		return nil, 0, errSlot
	}
	n := uint64(le.Uint32(b[16:]))
	if n > uint64(len(b)-slotHeader) {
		return nil, 0, errSlot
	}
	b = b[:slotHeader+n]
	if crc32.Checksum(b[8:], castagnoli) != le.Uint32(b[4:]) {
		return nil, 0, errSlot
	}
	return b[slotHeader:], le.Uint64(b[8:]), nil
}

// write makes value durable in the slot that holds the older one.
func (s *slotFile) write(value []byte) error {
	if s.lost {
		return s.writeBoth(value)
	}
	return s.writeNext(value)
}

// writeBoth makes value durable in both slots, so that damage to either does not bring an older value back.
func (s *slotFile) writeBoth(value []byte) error {
	if err := s.writeNext(value); err != nil {
		return err
	}
	if err := s.writeNext(value); err != nil {
		return err
	}
	s.lost = false
	return nil
}

func (s *slotFile) writeNext(value []byte) error {
	if len(value) > s.size-slotHeader {
		return fmt.Errorf("write %s: %d bytes are too many", s.path, len(value))
	}
	seq := s.seq + 1
	if _, err := s.file.WriteAt(s.encode(seq, value), int64(seq%2)*int64(s.size)); err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	s.seq = seq
	return nil
}
