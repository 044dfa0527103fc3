package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// manifest is what a bucket's folder holds: only the blocks it names exist. It is kept in two files with the same content, each
// replaced as a whole, so that one damaged file costs nothing.
type manifest struct {
	// version grows by one with each manifest.
	version uint64
	// flushed is the journal position up to which everything is in blocks.
	flushed uint64
	// nextID is the next block's id, never used before.
	nextID     uint64
	partitions []manifestPartition
	tombstones []*tombstone
}

type manifestPartition struct {
	span   TimeRange
	blocks []manifestBlock
	fields []manifestFields
}

// manifestBlock names a block. The rest repeats its head, to know what is lost when the block cannot be read.
type manifestBlock struct{ id, order, first, last uint64 }

// manifestFields is the field types of a measurement in a partition.
type manifestFields struct {
	measurement string
	fields      []FieldKey
}

const manifestMagic = "HFMF\x01"

var manifestNames = [2]string{"MANIFEST.a", "MANIFEST.b"}

// errManifestVersion tells that the folder was written by a newer program. It must not be touched.
var errManifestVersion = errors.New("the manifest has a format that this version does not know: use the newer holdfast that wrote it")

func encodeManifest(m *manifest) ([]byte, error) {
	var e encoder
	e.uint(m.version)
	e.uint(m.flushed)
	e.uint(m.nextID)
	e.uint(uint64(len(m.partitions)))
	for i := range m.partitions {
		p := &m.partitions[i]
		e.int(p.span.Min)
		e.int(p.span.Max)
		e.uint(uint64(len(p.blocks)))
		for _, blk := range p.blocks {
			e.uint(blk.id)
			e.uint(blk.order)
			e.uint(blk.first)
			e.uint(blk.last)
		}
		e.uint(uint64(len(p.fields)))
		for _, f := range p.fields {
			e.str(f.measurement)
			e.uint(uint64(len(f.fields)))
			for _, k := range f.fields {
				e.str(k.Name)
				e.uint(uint64(k.Type))
			}
		}
	}
	e.uint(uint64(len(m.tombstones)))
	for _, t := range m.tombstones {
		e.uint(t.pos)
		text, err := json.Marshal(t.Delete)
		if err != nil {
			return nil, fmt.Errorf("encode tombstone: %w", err)
		}
		e.str(string(text))
	}
	return appendSection([]byte(manifestMagic), e.b), nil
}

func decodeManifest(data []byte) (*manifest, error) {
	if len(data) >= len(manifestMagic) && bytes.HasPrefix(data, []byte(manifestMagic[:4])) && data[4] != manifestMagic[4] {
		// A flipped version byte looks the same; the checksum of the rest tells them apart.
		if _, rest, err := readSection(data[len(manifestMagic):]); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("%w: manifest version", errDamaged)
		}
		return nil, errManifestVersion
	}
	if !bytes.HasPrefix(data, []byte(manifestMagic)) {
		return nil, fmt.Errorf("%w: not a manifest", errDamaged)
	}
	payload, rest, err := readSection(data[len(manifestMagic):])
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: manifest has bytes at its end", errDamaged)
	}
	d := decoder{b: payload}
	m := &manifest{version: d.uint(), flushed: d.uint(), nextID: d.uint()}
	for range d.count() {
		p := manifestPartition{span: TimeRange{d.int(), d.int()}}
		for range d.count() {
			p.blocks = append(p.blocks, manifestBlock{d.uint(), d.uint(), d.uint(), d.uint()})
		}
		for range d.count() {
			f := manifestFields{measurement: d.str()}
			for range d.count() {
				f.fields = append(f.fields, FieldKey{d.str(), line.Type(d.uint())})
			}
			p.fields = append(p.fields, f)
		}
		m.partitions = append(m.partitions, p)
	}
	for range d.count() {
		t := &tombstone{pos: d.uint()}
		if text := d.bytes(); d.err == nil {
			d.err = json.Unmarshal(text, &t.Delete)
		}
		m.tombstones = append(m.tombstones, t)
	}
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}

// errManifestKept tells that the manifest on disk is certainly still the one before.
var errManifestKept = errors.New("the manifest stays as it was")

// writeManifest replaces both files. After an error that is not errManifestKept the folder may have the old manifest or the new one, so
// that the files of neither may be removed. When only the second file could not be written the new manifest counts, and second says why.
func writeManifest(dir string, m *manifest) (second, err error) {
	data, err := encodeManifest(m)
	if err != nil {
		return nil, err
	}
	for i, name := range manifestNames {
		err := writeFile(filepath.Join(dir, name), data)
		if err != nil && i == 0 {
			return nil, fmt.Errorf("write manifest: %w: %w", errManifestKept, err)
		}
		if err == nil {
			err = syncDir(dir)
		}
		switch {
		case err == nil:
		case i == 0:
			return nil, fmt.Errorf("write manifest: %w", err)
		default:
			return fmt.Errorf("write second copy of the manifest: %w", err), nil
		}
	}
	return nil, nil
}

// readManifest returns the newest whole manifest of the folder, nil when there is none. damages tells of files that are there but not
// whole, fresh whether both files have the manifest returned.
func readManifest(dir string) (m *manifest, fresh bool, damages []Damage, err error) {
	whole := 0
	var newer error
	for _, name := range manifestNames {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, false, nil, fmt.Errorf("read manifest: %w", err)
		}
		got, err := decodeManifest(data)
		switch {
		case err != nil:
			if errors.Is(err, errManifestVersion) {
				newer = fmt.Errorf("%s: %w", path, err)
			}
			damages = append(damages, Damage{File: path, Err: err})
		case m == nil || got.version > m.version:
			m, whole = got, 1
		case got.version == m.version:
			whole++
		}
	}
	if m == nil && newer != nil {
		return nil, false, nil, newer
	}
	return m, whole == len(manifestNames), damages, nil
}
