package inventory

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Disk is a cache that stays from one run to the next, in one file. What it has is by the hash of the content and cannot be out of date;
// where the file is damaged or of another version, the contents are read again.
//
// The file is a header of 8 bytes, and records: the length in 4 bytes, the CRC-32C of what follows in 4, then the name's ending and the
// hash, each with a byte for its length, and the file as object.AppendFile writes it. Numbers are little-endian. What was rendered is there
// too, with "rendered" for the ending and the hash of the specification, as engine.Store has it.
type Disk struct {
	Memory
	path    string
	records map[string][]byte // the whole record, by ending and hash
	mu      sync.Mutex
	used    map[string]bool
	added   map[string][]byte
}

// MaxDisk is how many bytes the cache's file may have. Beyond it, what this run did not use is left out.
const MaxDisk = 256 << 20

const diskHeader = "hfguard1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenDisk opens the cache in a folder, for a set of kinds that are kept whole. It makes the folder when it saves.
func OpenDisk(folder string, keep object.Kinds) (*Disk, error) {
	keep = object.Control().And(object.Stateful()).And(keep)
	kinds := slices.SortedFunc(maps.Keys(keep), func(a, b object.Kind) int {
		return object.Key{Group: a.Group, Kind: a.Kind}.Compare(object.Key{Group: b.Group, Kind: b.Kind})
	})
	version := sha256.Sum256(fmt.Appendf(nil, "%d %v", object.Encoding, kinds))
	d := &Disk{path: filepath.Join(folder, "objects-"+hex.EncodeToString(version[:8])), records: make(map[string][]byte), used: make(map[string]bool), added: make(map[string][]byte)}
	data, err := os.ReadFile(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the cache: %w", err)
	}
	d.index(data)
	return d, nil
}

// index finds the records of a file, up to one that is damaged.
func (d *Disk) index(data []byte) {
	if len(data) < len(diskHeader) || string(data[:len(diskHeader)]) != diskHeader {
		return
	}
	for data = data[len(diskHeader):]; len(data) >= 8; {
		length, sum := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
		if uint64(length) > uint64(len(data)-8) {
			return
		}
		record := data[8 : 8+length]
		key, _, ok := splitRecord(record)
		if !ok || crc32.Checksum(record, castagnoli) != sum {
			return
		}
		d.records[key] = record
		data = data[8+length:]
	}
}

// splitRecord returns a record's key and its file.
func splitRecord(record []byte) (key string, file []byte, ok bool) {
	rest := record
	for range 2 {
		if len(rest) == 0 || len(rest) <= int(rest[0]) {
			return "", nil, false
		}
		rest = rest[1+int(rest[0]):]
	}
	return string(record[:len(record)-len(rest)]), rest, true
}

func diskKey(name, hash string) string {
	return string(append(append([]byte{byte(len(name))}, name...), append([]byte{byte(len(hash))}, hash...)...))
}

// Get returns what a content has, nil where it was not read.
func (d *Disk) Get(name, hash string) *object.File {
	if f := d.Memory.Get(name, hash); f != nil {
		return f
	}
	key := diskKey(name, hash)
	_, text, ok := splitRecord(d.records[key])
	if !ok {
		return nil
	}
	f, err := object.DecodeFile(text)
	if err != nil {
		return nil
	}
	d.mu.Lock()
	d.used[key] = true
	d.mu.Unlock()
	d.Memory.Put(name, hash, f)
	return f
}

// Put keeps what a content has.
func (d *Disk) Put(name, hash string, f *object.File) {
	d.Memory.Put(name, hash, f)
	if len(name) > 255 || len(hash) > 255 {
		return
	}
	key := diskKey(name, hash)
	record, err := object.AppendFile([]byte(key), f)
	if err != nil || len(record) > MaxDisk/4 {
		return
	}
	d.mu.Lock()
	d.added[key] = record
	d.mu.Unlock()
}

// renderedName stands for the ending of a name in the keys of what was rendered.
const renderedName = "rendered"

// Rendered returns what was rendered by a specification, nil where nothing is kept.
func (d *Disk) Rendered(key string) []byte {
	key = diskKey(renderedName, key)
	d.mu.Lock()
	defer d.mu.Unlock()
	record, ok := d.added[key]
	if !ok {
		record = d.records[key]
	}
	_, results, ok := splitRecord(record)
	if !ok {
		return nil
	}
	d.used[key] = true
	return results
}

// PutRendered keeps what was rendered by a specification.
func (d *Disk) PutRendered(key string, results []byte) {
	key = diskKey(renderedName, key)
	if len(results) > MaxDisk/16 {
		return
	}
	d.mu.Lock()
	d.added[key] = append([]byte(key), results...)
	d.mu.Unlock()
}

// Save writes what is new. Of two runs that save at once, one counts.
func (d *Disk) Save() error {
	if len(d.added) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return fmt.Errorf("saving the cache: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(d.path), "new-*")
	if err != nil {
		return fmt.Errorf("saving the cache: %w", err)
	}
	err = errors.Join(d.write(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("saving the cache: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// write writes all records, or, where that is too much, those that this run used.
func (d *Disk) write(f *os.File) error {
	size := 0
	for _, records := range []map[string][]byte{d.records, d.added} {
		for _, record := range records {
			size += 8 + len(record)
		}
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, _ = w.WriteString(diskHeader) // Flush tells of a failure
	left := MaxDisk
	for _, records := range []map[string][]byte{d.added, d.records} {
		for key, record := range records {
			if size > MaxDisk && !d.used[key] && d.added[key] == nil || len(record)+8 > left {
				continue
			}
			left -= len(record) + 8
			head := binary.LittleEndian.AppendUint32(nil, uint32(len(record)))
			head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(record, castagnoli))
			_, _ = w.Write(head)
			_, _ = w.Write(record)
		}
	}
	return w.Flush()
}
