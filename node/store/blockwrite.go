package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

const (
	// pageRows is the most rows in a page: small, because a read of one series decodes whole pages.
	pageRows = 4096
	// pageValues is the fewest values of a page of a sparse column, if there are as many: a page of few costs more than it holds.
	pageValues = 1024
	// pageTextBytes is about the most bytes of text in a page of a string column.
	pageTextBytes = 64 << 10
	// rowTextBytes is about the most bytes of text in the rows of a page of times, so that a read holds little text at once.
	rowTextBytes = 1 << 20
	// groupRows is the rows after which a row group ends. A row group is held in memory, compressed, while it is written.
	groupRows = 32 * pageRows
)

// blockWriter writes the rows of one block, series after series in the order of compareSeries.
type blockWriter struct {
	b    *block
	file *os.File
	sum  *summingWriter
	w    *parquet.GenericWriter[any]
	cols []*parquet.ColumnWriter // by index in head.columns
	nums []int                   // the Parquet column number of each
	vals []int                   // values in the current page of each field or value column

	row    uint32 // rows written
	inPage int
	text   int // bytes of text in the page
	inRG   int

	scratch []parquet.Value
	one     rows
}

// summingWriter passes bytes on and keeps their number and checksum.
type summingWriter struct {
	w   *bufio.Writer
	n   int64
	sum uint32
}

func (s *summingWriter) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	s.sum = updateChecksum(s.sum, p)
	return s.w.Write(p)
}

// newBlockWriter starts a block. head must be complete but for times, rows and values.
func newBlockWriter(dir string, head blockHead) (*blockWriter, error) {
	b := &block{head: head, dir: dir, starts: []uint32{0}, runAt: []uint32{0}, runStart: []uint32{0}}
	b.setColumns()
	f, err := createTemp(b.path())
	if err != nil {
		return nil, fmt.Errorf("create block: %w", err)
	}
	w := &blockWriter{b: b, file: f, sum: &summingWriter{w: bufio.NewWriterSize(f, 256<<10)}}
	name := "points"
	if head.layout == wide {
		name = head.names[0]
	}
	codec := flushCodec
	if len(head.inputs) > 0 {
		codec = mergeCodec
	}
	schema := parquetSchema(name, head.columns)
	w.w = parquet.NewGenericWriter[any](w.sum, schema,
		parquet.Compression(codec),
		parquet.PageBufferSize(pageTextBytes),
		parquet.DataPageVersion(1), // whose definition levels are compressed: half the bytes of sparse rows
		parquet.DataPageStatistics(false),
		parquet.CreatedBy("holdfast", "1", ""),
		parquet.KeyValueMetadata("holdfast.measurement", readable(name)),
	)
	all := w.w.ColumnWriters()
	for _, c := range head.columns {
		leaf, ok := schema.Lookup(c.column)
		if !ok {
			return nil, errors.Join(fmt.Errorf("create block: no column %q", c.column), w.abort())
		}
		w.cols = append(w.cols, all[leaf.ColumnIndex])
		w.nums = append(w.nums, leaf.ColumnIndex)
	}
	w.vals = make([]int, len(w.cols))
	return w, nil
}

// addWide appends rows of a series; r has one column for each field of the block. Rows of the series that was added last go on
// with it.
func (w *blockWriter) addWide(key string, tags []Tag, r *rows) error {
	if r.len() == 0 {
		return nil
	}
	b := w.b
	if n := len(b.keys); n == 0 || b.keys[n-1] != key {
		b.keys = append(b.keys, key)
		b.starts = append(b.starts, w.row)
		if err := w.makeRoom(r.len()); err != nil {
			return err
		}
	}
	for lo := 0; lo < r.len(); {
		hi := w.fit(r, lo)
		if err := w.writeWide(tags, r, lo, hi); err != nil {
			return err
		}
		if err := w.advance(r.times, lo, hi); err != nil {
			return err
		}
		lo = hi
	}
	b.starts[len(b.starts)-1] = w.row
	return nil
}

// fit returns the end of the rows from lo on that still go into the page.
func (w *blockWriter) fit(r *rows, lo int) int {
	hi := min(r.len(), lo+pageRows-w.inPage)
	if !slices.ContainsFunc(r.cols, func(c Column) bool { return c.Type == line.String }) {
		return hi
	}
	for i := lo; i < hi; i++ {
		for c := range r.cols {
			if r.cols[c].Type == line.String {
				w.text += len(r.cols[c].Strings[i])
			}
		}
		if w.text >= rowTextBytes {
			return i + 1
		}
	}
	return hi
}

// makeRoom ends the page when n more rows would not fit, though they would in a page of their own, and the page is not small.
func (w *blockWriter) makeRoom(n int) error {
	if w.inPage >= pageRows/4 && w.inPage+n > pageRows && n <= pageRows {
		return w.endPage()
	}
	return nil
}

func (w *blockWriter) writeWide(tags []Tag, r *rows, lo, hi int) error {
	field := 0
	for i := range w.b.head.columns {
		c := &w.b.head.columns[i]
		var err error
		switch c.role {
		case roleTime:
			err = w.writeTimes(i, r.times[lo:hi])
		case roleTag:
			value, ok := tagValue(tags, c.key)
			err = w.writeText(i, value, ok, hi-lo)
		case roleField:
			w.b.head.values += int64(hi - lo)
			err = w.writeColumn(i, &r.cols[field], lo, hi)
			field++
		}
		if err != nil {
			return fmt.Errorf("write column %q: %w", c.column, err)
		}
	}
	return nil
}

func tagValue(tags []Tag, key string) (string, bool) {
	for i := range tags {
		if tags[i].Key == key {
			return tags[i].Value, true
		}
	}
	return "", false
}

// addNarrow appends all rows of a series, field after field. r has a column for each of fields.
func (w *blockWriter) addNarrow(measurement, key string, fields []FieldKey, index func(FieldKey) uint32, r *rows) error {
	b := w.b
	started := false
	for i := range fields {
		if r.cols[i].Type == 0 {
			continue
		}
		w.one.times, w.one.cols = r.times, r.cols[i:i+1]
		run := w.one
		run.dropEmpty()
		if run.len() == 0 {
			continue
		}
		if !started {
			b.keys = append(b.keys, key)
			started = true
		}
		b.runField = append(b.runField, index(fields[i]))
		if err := w.makeRoom(run.len()); err != nil {
			return err
		}
		for lo := 0; lo < run.len(); {
			hi := w.fit(&run, lo)
			if err := w.writeNarrow(measurement, key, fields[i].Name, &run, lo, hi); err != nil {
				return err
			}
			if err := w.advance(run.times, lo, hi); err != nil {
				return err
			}
			lo = hi
		}
		b.runStart = append(b.runStart, w.row)
	}
	if started {
		b.runAt = append(b.runAt, uint32(len(b.runField)))
		b.starts = append(b.starts, w.row)
	}
	return nil
}

func (w *blockWriter) writeNarrow(measurement, key, field string, r *rows, lo, hi int) error {
	for i := range w.b.head.columns {
		c := &w.b.head.columns[i]
		var err error
		switch c.role {
		case roleTime:
			err = w.writeTimes(i, r.times[lo:hi])
		case roleSeries:
			err = w.writeText(i, key, true, hi-lo)
		case roleMeasurement:
			err = w.writeText(i, measurement, true, hi-lo)
		case roleFieldKey:
			err = w.writeText(i, field, true, hi-lo)
		case roleValue:
			if c.t != r.cols[0].Type {
				err = w.writeNulls(i, hi-lo)
				break
			}
			w.b.head.values += int64(hi - lo)
			err = w.writeColumn(i, &r.cols[0], lo, hi)
		}
		if err != nil {
			return fmt.Errorf("write column %q: %w", c.column, err)
		}
	}
	return nil
}

// advance counts the rows [lo, hi) just written and ends the page or row group when it is full.
func (w *blockWriter) advance(times []int64, lo, hi int) error {
	n := hi - lo
	bounds := TimeRange{times[lo], times[hi-1]}
	h := &w.b.head
	if w.row == 0 {
		h.times = bounds
	}
	h.times = TimeRange{min(h.times.Min, bounds.Min), max(h.times.Max, bounds.Max)}
	c := &w.b.cols[0]
	if w.inPage == 0 {
		c.bounds = append(c.bounds, bounds)
	} else {
		last := &c.bounds[len(c.bounds)-1]
		last.Min, last.Max = min(last.Min, bounds.Min), max(last.Max, bounds.Max)
	}
	w.row += uint32(n)
	w.inPage += n
	w.inRG += n
	h.rows += int64(n)
	if w.inPage < pageRows && w.text < rowTextBytes {
		return nil
	}
	return w.endPage()
}

// endPage ends the current page of the times, and those of the values that are not too few for a page. Tag columns end theirs
// by size.
func (w *blockWriter) endPage() error {
	for i := range w.b.head.columns {
		switch w.b.head.columns[i].role {
		case roleField, roleValue:
			if w.vals[i] < pageValues {
				continue
			}
			w.vals[i] = 0
			fallthrough
		case roleTime:
			if err := w.cols[i].Flush(); err != nil {
				return fmt.Errorf("end page of %q: %w", w.b.head.columns[i].column, err)
			}
		}
	}
	w.inPage, w.text = 0, 0
	if w.inRG < groupRows {
		return nil
	}
	w.inRG = 0
	clear(w.vals)
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("end row group: %w", err)
	}
	return nil
}

// values returns room for n values.
func (w *blockWriter) values(n int) []parquet.Value {
	if cap(w.scratch) < n {
		w.scratch = make([]parquet.Value, max(n, pageRows))
	}
	return w.scratch[:n]
}

func (w *blockWriter) writeTimes(i int, times []int64) error {
	out := w.values(len(times))
	for j, t := range times {
		out[j] = parquet.Int64Value(t).Level(0, 0, w.nums[i])
	}
	_, err := w.cols[i].WriteRowValues(out)
	return err
}

// writeText writes one text n times.
func (w *blockWriter) writeText(i int, text string, ok bool, n int) error {
	if !ok {
		return w.writeNulls(i, n)
	}
	v := parquet.ByteArrayValue([]byte(text)).Level(0, int(boolBit(w.b.head.columns[i].optional)), w.nums[i])
	out := w.values(n)
	for j := range out {
		out[j] = v
	}
	_, err := w.cols[i].WriteRowValues(out)
	return err
}

func (w *blockWriter) writeNulls(i, n int) error {
	if !w.b.head.columns[i].optional {
		return errors.New("a value is missing where none may be")
	}
	v := parquet.NullValue().Level(0, 0, w.nums[i])
	out := w.values(n)
	for j := range out {
		out[j] = v
	}
	_, err := w.cols[i].WriteRowValues(out)
	return err
}

func (w *blockWriter) writeColumn(i int, c *Column, lo, hi int) error {
	if c.Type == 0 {
		w.b.head.values -= int64(hi - lo)
		return w.writeNulls(i, hi-lo)
	}
	part := c.slice(lo, hi)
	w.vals[i] += hi - lo - part.missing()
	optional := w.b.head.columns[i].optional
	level, num := int(boolBit(optional)), w.nums[i]
	null := parquet.NullValue().Level(0, 0, num)
	out := w.values(hi - lo)[:0]
	text := 0
	for j := lo; j < hi; j++ {
		if !c.Has(j) {
			if !optional {
				return errors.New("a value is missing where none may be")
			}
			w.b.head.values--
			out = append(out, null)
			continue
		}
		out = append(out, parquetValue(c, j).Level(0, level, num))
		if c.Type != line.String {
			continue
		}
		if text += len(c.Strings[j]); text >= pageTextBytes/2 {
			if _, err := w.cols[i].WriteRowValues(out); err != nil {
				return err
			}
			out, text = out[:0], 0
		}
	}
	_, err := w.cols[i].WriteRowValues(out)
	return err
}

func parquetValue(c *Column, i int) parquet.Value {
	switch c.Type {
	case line.Float:
		return parquet.DoubleValue(c.Floats[i])
	case line.Integer:
		return parquet.Int64Value(c.Integers[i])
	case line.Unsigned:
		return parquet.Int64Value(int64(c.Unsigned[i]))
	case line.Boolean:
		return parquet.BooleanValue(c.Booleans[i])
	default:
		v := c.value(i)
		return parquet.ByteArrayValue(v.Str)
	}
}

// close ends the file, makes the sidecar, and gives both their names once they are on disk. It returns nil for a block
// without rows. The folder is not synced.
func (w *blockWriter) close() (*block, error) {
	if w.row == 0 {
		return nil, w.abort()
	}
	w.w.SetKeyValueMetadata(headKey, headMetadata(&w.b.head))
	err := w.w.Close()
	if err == nil {
		err = w.sum.w.Flush()
	}
	w.b.fileSize, w.b.fileSum = w.sum.n, w.sum.sum
	if err == nil {
		err = w.b.locatePages(w.file)
	}
	if err == nil {
		err = w.b.check()
	}
	if err := finishFile(w.file, w.b.path(), err); err != nil {
		return nil, err
	}
	if err := writeFile(w.b.sidecarPath(), encodeSidecar(w.b)); err != nil {
		return nil, errors.Join(err, removeFile(w.b.path()))
	}
	return w.b, nil
}

// abort gives up and removes the temporary file.
func (w *blockWriter) abort() error {
	return errors.Join(w.file.Close(), removeFile(w.file.Name()))
}
