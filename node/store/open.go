package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// damagedSuffix marks files that were set aside because nothing of them can be read.
const damagedSuffix = ".damaged"

// openBucket reads what the manifest names. Files it does not name are removed: they are left over from steps that a crash
// interrupted, and what is in them is in the journal or in other blocks.
func openBucket(s *Store, bucket id.ID, dir string, o BucketOptions) (*Bucket, error) {
	b := &Bucket{id: bucket, dir: dir, store: s, log: s.o.Logger.With("bucket", bucket.String()), metrics: s.metrics,
		index: newIndex(), active: newMemtable(), reported: make(map[string]bool), onFlush: o.OnFlush}
	b.SetRetention(o.Retention, o.ShardDuration)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	m, fresh, damages, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range damages {
		b.report(d)
	}
	rebuilt := m == nil
	if rebuilt {
		if m, err = b.rebuildManifest(); err != nil {
			return nil, err
		}
		fresh = m.version == 0
	}
	b.version, b.nextID, b.flushed, b.applied = m.version, max(m.nextID, 1), m.flushed, m.flushed
	b.tombstones = m.tombstones
	lost := b.load(m)
	if rebuilt {
		b.learnTypes()
	}
	if !fresh || lost {
		if err := b.rewriteManifest(); err != nil {
			return nil, err
		}
	}
	return b, b.removeUnnamed()
}

// load opens the blocks of all partitions, and reports whether the manifest names some that cannot be read.
func (b *Bucket) load(m *manifest) (lost bool) {
	for _, mp := range m.partitions {
		p := newPartition(mp.span)
		b.partitions = append(b.partitions, p)
		for _, f := range mp.fields {
			set := p.fieldsOf(b.index.measurementOf(f.measurement))
			for _, k := range f.fields {
				set.add(k.Name, k.Type)
			}
		}
		for _, entry := range mp.blocks {
			blk, err := b.openBlock(p, entry)
			if err != nil {
				lost = true
				continue
			}
			p.addBlock(blk)
		}
		for _, blk := range p.blocks {
			b.index.bind(blk)
			b.count(blk)
		}
	}
	slices.SortFunc(b.partitions, func(x, y *partition) int {
		if x.span.Min < y.span.Min {
			return -1
		}
		return 1
	})
	return lost
}

// learnTypes takes the field types from the blocks, for a bucket that lost its manifest. The newest block counts.
func (b *Bucket) learnTypes() {
	for _, p := range b.partitions {
		for _, blk := range slices.Backward(p.blocks) {
			for i, e := range blk.entries {
				set := p.fieldsOf(e.m)
				for _, f := range blk.fieldsOf(i) {
					if _, ok := set.index[f.Name]; !ok {
						set.add(f.Name, f.Type)
					}
				}
			}
		}
	}
}

// fieldsOf returns the fields that series number i may have in the block.
func (b *block) fieldsOf(i int) []FieldKey {
	if b.head.layout == wide {
		return b.fields
	}
	var out []FieldKey
	for _, f := range b.runField[b.runAt[i]:b.runAt[i+1]] {
		out = append(out, b.fields[f])
	}
	return out
}

// openBlock reads a block's sidecar, or makes it again from the Parquet file. A block that cannot be read is reported and set
// aside.
func (b *Bucket) openBlock(p *partition, entry manifestBlock) (*block, error) {
	blk := &block{dir: filepath.Join(b.dir, p.dir()), head: blockHead{id: entry.id}}
	sidecar := blk.sidecarPath()
	data, err := os.ReadFile(sidecar)
	if err == nil {
		err = decodeSidecar(blk, data)
	}
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(blk.path()); err == nil && info.Size() < blk.fileSize {
			b.report(Damage{File: blk.path(), Lost: "what is behind its end", Times: blk.head.times, First: entry.first,
				Last: entry.last, span: p.span, order: entry.order, block: blk, Err: fmt.Errorf("%w: file has %d bytes instead of %d", errDamaged, info.Size(), blk.fileSize)})
		}
	}
	if err == nil {
		return blk, nil
	}
	again, rebuildErr := rebuildBlock(blk.dir, entry.id)
	if rebuildErr == nil {
		b.report(Damage{File: sidecar, Err: err})
		return again, nil
	}
	b.report(Damage{File: blk.path(), Lost: "a block of points in " + p.dir(), Times: p.span, First: entry.first, Last: entry.last,
		span: p.span, order: entry.order, Err: errors.Join(err, rebuildErr)})
	for _, path := range []string{blk.path(), sidecar} {
		if err := os.Rename(path, path+damagedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.log.Warn("cannot set a damaged file aside", "file", path, "error", err)
		}
	}
	return nil, rebuildErr
}

// rewriteManifest writes the manifest of what there is.
func (b *Bucket) rewriteManifest() error {
	b.edit.Lock()
	defer b.edit.Unlock()
	return b.commit(change{})
}

// removeUnnamed removes the files of the partitions' folders that no block owns.
func (b *Bucket) removeUnnamed() error {
	named := make(map[string]bool)
	for _, p := range b.partitions {
		for _, blk := range p.blocks {
			named[blk.path()], named[blk.sidecarPath()] = true, true
		}
	}
	for _, name := range manifestNames {
		if err := removeFile(filepath.Join(b.dir, name+tempSuffix)); err != nil {
			return err
		}
	}
	dirs, err := b.partitionDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if named[path] || strings.HasSuffix(path, damagedSuffix) {
				continue
			}
			if err := removeFile(path); err != nil {
				return fmt.Errorf("remove left-over file: %w", err)
			}
		}
		_ = os.Remove(dir) // fails while there are files in it, which is fine
	}
	return nil
}

// partitionDirs lists the folders in the bucket's.
func (b *Bucket) partitionDirs() ([]string, error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, filepath.Join(b.dir, e.Name()))
		}
	}
	return out, nil
}
