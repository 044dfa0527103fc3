package store

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"unsafe"

	"github.com/parquet-go/parquet-go/encoding/bytestreamsplit"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// columnReader decodes pages of one column and keeps the last one, because series that follow each other share pages.
type columnReader struct {
	col  *blockColumn
	file io.ReaderAt
	at   int // the page in vals, -1 before the first
	vals Column

	raw, plain []byte
	levels     []uint8
	offsets    []uint32
}

func newColumnReader(c *blockColumn, f io.ReaderAt) *columnReader {
	return &columnReader{col: c, file: f, at: -1}
}

// pageOf returns the page that holds a row.
func (c *blockColumn) pageOf(row uint32) int {
	return sort.Search(len(c.pages), func(i int) bool { return c.firsts[i+1] > row })
}

// read returns rows [lo, hi) as a column that is valid until the next read. damaged is called for each page that cannot be read;
// its values then count as missing.
func (r *columnReader) read(lo, hi uint32, damaged func(page int, err error)) Column {
	p := r.col.pageOf(lo)
	first := r.col.firsts[p]
	if hi <= r.col.firsts[p+1] {
		r.load(p, damaged)
		return r.vals.Slice(int(lo-first), int(hi-first))
	}
	var out Column
	for row := lo; row < hi; p++ {
		r.load(p, damaged)
		first, end := r.col.firsts[p], min(hi, r.col.firsts[p+1])
		out.append(int(row-lo), &r.vals, int(row-first), int(end-first))
		row = end
	}
	return out
}

// load decodes a page unless it is the one at hand.
func (r *columnReader) load(p int, damaged func(int, error)) {
	if r.at == p {
		return
	}
	r.at = p
	if err := r.decode(p); err != nil {
		r.vals = Column{}
		damaged(p, err)
	}
}

// decode reads page p into vals.
func (r *columnReader) decode(p int) (err error) {
	pg := &r.col.pages[p]
	n := int(r.col.firsts[p+1] - r.col.firsts[p])
	if int(pg.nulls) == n {
		r.vals = Column{}
		return nil
	}
	if err := r.fetch(pg); err != nil {
		return err
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: decode page: %v", errDamaged, v)
		}
	}()
	r.vals.reset()
	r.vals.Type = r.col.t
	if r.plain, err = zstdDecoder().DecodeAll(r.raw[pg.header:], r.plain[:0]); err != nil {
		return fmt.Errorf("%w: decompress page: %w", errDamaged, err)
	}
	if len(r.plain) != int(pg.plain) {
		return fmt.Errorf("%w: page has %d bytes instead of %d", errDamaged, len(r.plain), pg.plain)
	}
	body := r.plain
	if r.col.optional {
		if body, err = r.definitionLevels(body, n); err != nil {
			return err
		}
	}
	if err := r.values(body, n-int(pg.nulls)); err != nil {
		return err
	}
	if pg.nulls > 0 {
		return r.spread(n, n-int(pg.nulls))
	}
	return nil
}

// definitionLevels reads which of n rows have a value, and returns what follows.
func (r *columnReader) definitionLevels(body []byte, n int) ([]byte, error) {
	if len(body) < 4 || uint64(binary.LittleEndian.Uint32(body)) > uint64(len(body)-4) {
		return nil, fmt.Errorf("%w: definition levels end early", errDamaged)
	}
	end := 4 + int(binary.LittleEndian.Uint32(body))
	var err error
	enc := rle.Encoding{BitWidth: 1}
	if r.levels, err = enc.DecodeLevels(r.levels, body[4:end]); err != nil {
		return nil, fmt.Errorf("%w: definition levels: %w", errDamaged, err)
	}
	if len(r.levels) < n {
		return nil, fmt.Errorf("%w: page has %d definition levels for %d rows", errDamaged, len(r.levels), n)
	}
	r.levels = r.levels[:n]
	return body[end:], nil
}

// fetch reads the bytes of a page and checks them.
func (r *columnReader) fetch(pg *page) error {
	if cap(r.raw) < int(pg.size) {
		r.raw = make([]byte, pg.size)
	}
	r.raw = r.raw[:pg.size]
	if _, err := r.file.ReadAt(r.raw, pg.offset); err != nil {
		return fmt.Errorf("%w: read page: %w", errDamaged, err)
	}
	if checksum(r.raw) != pg.sum {
		return fmt.Errorf("%w: page checksum does not match", errDamaged)
	}
	return nil
}

// values decodes n values from body.
func (r *columnReader) values(body []byte, n int) (err error) {
	v, got := &r.vals, 0
	switch r.col.t {
	case line.Float:
		var enc bytestreamsplit.Encoding
		v.Floats, err = enc.DecodeDouble(sized(v.Floats, n), body)
		got = len(v.Floats)
	case line.Integer, 0:
		var enc delta.BinaryPackedEncoding
		v.Integers, err = enc.DecodeInt64(sized(v.Integers, n), body)
		got = len(v.Integers)
		v.Type = line.Integer
	case line.Unsigned:
		var enc delta.BinaryPackedEncoding
		var ints []int64
		ints, err = enc.DecodeInt64(asInts(sized(v.Unsigned, n)), body)
		v.Unsigned, got = asUnsigned(ints), len(ints)
	case line.Boolean:
		v.Booleans = sized(v.Booleans, n)
		if got = min(n, 8*len(body)); got == n {
			for i := range n {
				v.Booleans[i] = body[i/8]>>(i%8)&1 != 0
			}
		}
	case line.String:
		got, err = r.strings(body, n)
	}
	if err != nil {
		return fmt.Errorf("%w: decode page: %w", errDamaged, err)
	}
	if got != n {
		return fmt.Errorf("%w: page has %d values instead of %d", errDamaged, got, n)
	}
	return nil
}

func (r *columnReader) strings(body []byte, n int) (int, error) {
	var enc delta.LengthByteArrayEncoding
	text, offsets, err := enc.DecodeByteArray(nil, body, r.offsets)
	if err != nil {
		return 0, err
	}
	r.offsets = offsets
	if len(offsets) != n+1 {
		return len(offsets) - 1, nil
	}
	all := unsafe.String(unsafe.SliceData(text), len(text)) // text is ours and never written again
	r.vals.Strings = sized(r.vals.Strings, n)
	for i := range n {
		r.vals.Strings[i] = all[offsets[i]:offsets[i+1]]
	}
	return n, nil
}

// spread moves the k values that there are to the rows that have one.
func (r *columnReader) spread(n, k int) error {
	valid := make([]bool, n)
	count := 0
	for i, l := range r.levels {
		if l != 0 {
			valid[i] = true
			count++
		}
	}
	if count != k {
		return fmt.Errorf("%w: page has %d values instead of %d", errDamaged, count, k)
	}
	v := &r.vals
	v.Valid = valid
	switch v.Type {
	case line.Float:
		v.Floats = spread(v.Floats, valid)
	case line.Integer:
		v.Integers = spread(v.Integers, valid)
	case line.Unsigned:
		v.Unsigned = spread(v.Unsigned, valid)
	case line.Boolean:
		v.Booleans = spread(v.Booleans, valid)
	case line.String:
		v.Strings = spread(v.Strings, valid)
	}
	return nil
}

func spread[T any](packed []T, valid []bool) []T {
	var zero T
	k := len(packed)
	out := sized(packed, len(valid))
	for i := len(valid) - 1; i >= 0; i-- {
		if valid[i] {
			k--
			out[i] = out[k]
		} else {
			out[i] = zero
		}
	}
	return out
}

// sized returns s with length n, keeping its values.
func sized[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return append(s[:len(s):len(s)], make([]T, n-len(s))...)
}

func asInts(s []uint64) []int64 {
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

func asUnsigned(s []int64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}
