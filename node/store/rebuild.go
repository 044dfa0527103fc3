package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// rebuildBlock makes a block's sidecar again from its Parquet file, and writes it.
func rebuildBlock(dir string, id uint64) (*block, error) {
	b := &block{dir: dir, head: blockHead{id: id}}
	file, err := os.Open(b.path())
	if err != nil {
		return nil, fmt.Errorf("rebuild sidecar: %w", err)
	}
	err = b.rebuild(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("rebuild sidecar: %w", err)
	}
	if err := writeFile(b.sidecarPath(), encodeSidecar(b)); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *block) rebuild(file *os.File) (err error) {
	defer func() {
		if v := recover(); v != nil { // the library may not foresee every kind of damage
			err = fmt.Errorf("%w: %v", errDamaged, v)
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	sum := &summer{}
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, info.Size())); err != nil {
		return err
	}
	b.fileSize, b.fileSum = info.Size(), sum.sum
	f, err := parquet.OpenFile(file, info.Size(), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	text, ok := f.Lookup(headKey)
	if !ok {
		return fmt.Errorf("%w: no block head in the file", errDamaged)
	}
	id := b.head.id
	if b.head, err = parseHeadMetadata(text); err != nil {
		return err
	}
	if b.head.id != id {
		return fmt.Errorf("%w: the file is that of block %d", errDamaged, b.head.id)
	}
	b.setColumns()
	if err := b.locatePages(file); err != nil {
		return err
	}
	if err := b.readSeries(f); err != nil {
		return err
	}
	if err := b.readBounds(file); err != nil {
		return err
	}
	return b.check()
}

// summer counts a checksum.
type summer struct{ sum uint32 }

func (s *summer) Write(p []byte) (int, error) {
	s.sum = updateChecksum(s.sum, p)
	return len(p), nil
}

// readSeries finds the series and their rows from the tag, series and field columns.
func (b *block) readSeries(f *parquet.File) error {
	if b.head.layout == narrow {
		return b.readRuns(f)
	}
	var tags []line.Tag
	var columns [][]string
	for _, c := range b.head.columns {
		if c.role == roleTag {
			values, err := readText(f, c.column)
			if err != nil {
				return err
			}
			tags = append(tags, line.Tag{Key: c.key})
			columns = append(columns, values)
		}
	}
	b.starts = []uint32{0}
	last := ""
	for row := range int(b.head.rows) {
		same := row > 0
		for i := range tags {
			if row >= len(columns[i]) {
				return fmt.Errorf("%w: tag column ends early", errDamaged)
			}
			same = same && columns[i][row] == columns[i][row-1]
			tags[i].Value = columns[i][row]
		}
		if !same {
			last = string(line.AppendSeriesKey(nil, b.head.names[0], tags))
			b.keys = append(b.keys, last)
			b.starts = append(b.starts, uint32(row))
		}
		b.starts[len(b.starts)-1] = uint32(row + 1)
	}
	return nil
}

// readRuns finds the runs of a narrow block.
func (b *block) readRuns(f *parquet.File) error {
	series, err := readText(f, "series")
	if err != nil {
		return err
	}
	names, err := readText(f, "field")
	if err != nil {
		return err
	}
	kinds, err := b.valueTypes(f)
	if err != nil {
		return err
	}
	rows := int(b.head.rows)
	if len(series) != rows || len(names) != rows || len(kinds) != rows {
		return fmt.Errorf("%w: columns have different lengths", errDamaged)
	}
	b.fields, b.runField = nil, nil
	b.runAt, b.runStart, b.starts = []uint32{0}, []uint32{0}, []uint32{0}
	known := make(map[FieldKey]uint32)
	for row := range rows {
		newSeries := row == 0 || series[row] != series[row-1]
		if newSeries {
			b.keys = append(b.keys, series[row])
			b.runAt = append(b.runAt, uint32(len(b.runField)))
			b.starts = append(b.starts, 0)
		}
		if newSeries || names[row] != names[row-1] {
			key := FieldKey{names[row], kinds[row]}
			i, ok := known[key]
			if !ok {
				i = uint32(len(b.fields))
				known[key] = i
				b.fields = append(b.fields, key)
			}
			b.runField = append(b.runField, i)
			b.runStart = append(b.runStart, 0)
		}
		b.runAt[len(b.runAt)-1] = uint32(len(b.runField))
		b.runStart[len(b.runStart)-1] = uint32(row + 1)
		b.starts[len(b.starts)-1] = uint32(row + 1)
	}
	return nil
}

// valueTypes returns the type of the value of each row of a narrow block.
func (b *block) valueTypes(f *parquet.File) ([]line.Type, error) {
	out := make([]line.Type, b.head.rows)
	for i := 1; i < len(b.cols); i++ {
		c := &b.cols[i]
		row := 0
		err := eachValue(f, c.column, func(v parquet.Value) error {
			if row >= len(out) {
				return fmt.Errorf("%w: column %q is too long", errDamaged, c.column)
			}
			if !v.IsNull() {
				out[row] = c.t
			}
			row++
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readText returns the values of a text column, "" for a missing one.
func readText(f *parquet.File, column string) ([]string, error) {
	var out []string
	last := ""
	err := eachValue(f, column, func(v parquet.Value) error {
		if text := v.ByteArray(); string(text) != last {
			last = string(text)
		}
		out = append(out, last)
		return nil
	})
	return out, err
}

// eachValue reads a whole column.
func eachValue(f *parquet.File, column string, each func(parquet.Value) error) error {
	leaf, ok := f.Schema().Lookup(column)
	if !ok {
		return fmt.Errorf("%w: no column %q", errDamaged, column)
	}
	for _, g := range f.RowGroups() {
		if err := eachOfChunk(g.ColumnChunks()[leaf.ColumnIndex].Pages(), each); err != nil {
			return fmt.Errorf("%w: read column %q: %w", errDamaged, column, err)
		}
	}
	return nil
}

func eachOfChunk(pages parquet.Pages, each func(parquet.Value) error) (err error) {
	defer func() { err = errors.Join(err, pages.Close()) }()
	buf := make([]parquet.Value, 1024)
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		values := page.Values()
		for {
			n, err := values.ReadValues(buf)
			for _, v := range buf[:n] {
				if err := each(v); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
		}
		parquet.Release(page)
	}
}

// readBounds finds the times in each page of the time column.
func (b *block) readBounds(file io.ReaderAt) error {
	c := &b.cols[0]
	r := newColumnReader(c, file)
	var bad error
	c.bounds = make([]TimeRange, len(c.pages))
	for i := range c.pages {
		times := r.read(c.firsts[i], c.firsts[i+1], func(_ int, err error) { bad = err }).Integers
		if len(times) == 0 {
			return errors.Join(fmt.Errorf("%w: page of times", errDamaged), bad)
		}
		c.bounds[i] = TimeRange{slices.Min(times), slices.Max(times)}
	}
	return nil
}

// rebuildManifest makes a manifest out of the blocks that there are, for a folder that has no whole one. Deletes that were
// not in the blocks yet are lost with the manifest; it takes damage to both copies for that.
func (b *Bucket) rebuildManifest() (*manifest, error) {
	blocks, err := b.scanBlocks()
	if err != nil {
		return nil, err
	}
	m := &manifest{nextID: 1}
	if len(blocks) == 0 {
		return m, nil
	}
	m.version = 1
	b.report(Damage{File: filepath.Join(b.dir, manifestNames[0]), Lost: "deletes that were not in the blocks yet",
		Err: fmt.Errorf("%w: no manifest is whole; made again from %d blocks", errDamaged, len(blocks))})
	counts := make(map[uint64]uint32)
	present := make(map[uint64]bool)
	for _, blk := range blocks {
		counts[blk.head.set]++
		present[blk.head.id] = true
		m.nextID = max(m.nextID, blk.head.id+1)
	}
	replaced := make(map[uint64]bool)
	unusable := make(map[uint64]bool)
	for _, blk := range blocks {
		h := &blk.head
		complete := counts[h.set] >= h.size
		// Inputs are removed only after their set was committed.
		committed := slices.ContainsFunc(h.inputs, func(id uint64) bool { return !present[id] })
		if len(h.inputs) > 0 && !complete && !committed {
			unusable[h.id] = true
			continue
		}
		for _, id := range h.inputs {
			replaced[id] = true
		}
		if complete || committed {
			m.flushed = max(m.flushed, h.last)
		}
	}
	for _, blk := range blocks {
		if !replaced[blk.head.id] && !unusable[blk.head.id] {
			m.place(blk)
		}
	}
	return m, nil
}

// place adds a block to the manifest.
func (m *manifest) place(blk *block) {
	for i := range m.partitions {
		if m.partitions[i].span == blk.head.span {
			m.partitions[i].blocks = append(m.partitions[i].blocks, blk.head.entry())
			return
		}
	}
	m.partitions = append(m.partitions, manifestPartition{span: blk.head.span, blocks: []manifestBlock{blk.head.entry()}})
}

// scanBlocks reads the sidecars, or where they are damaged the Parquet files, of all partitions' folders.
func (b *Bucket) scanBlocks() ([]*block, error) {
	dirs, err := b.partitionDirs()
	if err != nil {
		return nil, err
	}
	var out []*block
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name, ok := strings.CutSuffix(e.Name(), parquetSuffix)
			id, err := strconv.ParseUint(name, 10, 64)
			if !ok || err != nil {
				continue
			}
			blk := &block{dir: dir, head: blockHead{id: id}}
			data, err := os.ReadFile(blk.sidecarPath())
			if err == nil {
				err = decodeSidecar(blk, data)
			}
			if err != nil {
				if blk, err = rebuildBlock(dir, id); err != nil {
					b.report(Damage{File: filepath.Join(dir, e.Name()), Lost: "a block of points", Err: err})
					continue
				}
			}
			out = append(out, blk)
		}
	}
	return out, nil
}
