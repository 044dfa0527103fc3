package store

import (
	"fmt"
	"hash/crc32"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// locatePages finds the pages of the block's columns in its Parquet file. On the way it reads each of them and
// checks it, so that a sidecar never vouches for a page that was not written well.
func (b *block) locatePages(file io.ReaderAt) error {
	f, err := parquet.OpenFile(file, b.fileSize, parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("%w: read Parquet footer: %w", errDamaged, err)
	}
	for i := range b.cols {
		c := &b.cols[i]
		leaf, ok := f.Schema().Lookup(c.column)
		if !ok {
			return fmt.Errorf("%w: no column %q", errDamaged, c.column)
		}
		c.pages, c.firsts = nil, []uint32{0}
		for _, g := range f.RowGroups() {
			if err := c.locate(file, g, leaf.ColumnIndex); err != nil {
				return fmt.Errorf("column %q: %w", c.column, err)
			}
		}
	}
	return nil
}

// locate appends the pages of one row group.
func (c *blockColumn) locate(file io.ReaderAt, g parquet.RowGroup, column int) error {
	chunk := g.ColumnChunks()[column]
	index, err := chunk.OffsetIndex()
	if err != nil {
		return fmt.Errorf("%w: page index: %w", errDamaged, err)
	}
	stats, err := chunk.ColumnIndex()
	if err != nil {
		return fmt.Errorf("%w: page index: %w", errDamaged, err)
	}
	first, rows := c.firsts[len(c.firsts)-1], g.NumRows()
	for i := range index.NumPages() {
		end := rows
		if i+1 < index.NumPages() {
			end = index.FirstRowIndex(i + 1)
		}
		p, err := readPageHead(file, index.Offset(i), index.CompressedPageSize(i))
		if err != nil {
			return err
		}
		p.nulls = uint32(stats.NullCount(i))
		c.pages = append(c.pages, p)
		c.firsts = append(c.firsts, first+uint32(end))
	}
	return nil
}

// readPageHead reads a whole page, checks the checksum in its header, and returns where its parts are.
func readPageHead(file io.ReaderAt, offset, size int64) (page, error) {
	if size <= 0 || size > maxSection {
		return page{}, fmt.Errorf("%w: page of %d bytes", errDamaged, size)
	}
	raw := make([]byte, size)
	if _, err := file.ReadAt(raw, offset); err != nil {
		return page{}, fmt.Errorf("%w: read page at %d: %w", errDamaged, offset, err)
	}
	in := new(thrift.CompactProtocol).NewReaderFromBytes(raw)
	var h format.PageHeader
	if err := thrift.NewDecoder(in).Decode(&h); err != nil {
		return page{}, fmt.Errorf("%w: header of page at %d: %w", errDamaged, offset, err)
	}
	if h.Type != format.DataPage || !h.DataPageHeader.Valid {
		return page{}, fmt.Errorf("%w: page at %d is of another kind", errDamaged, offset)
	}
	header := in.BytesRead()
	if header > len(raw) || crc32.ChecksumIEEE(raw[header:]) != uint32(h.CRC) {
		return page{}, fmt.Errorf("%w: page at %d: checksum does not match", errDamaged, offset)
	}
	return page{offset: offset, size: uint32(size), header: uint32(header), plain: uint32(h.UncompressedPageSize), sum: checksum(raw)}, nil
}
