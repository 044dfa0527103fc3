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

	row     uint32    // rows added
	page    rows      // those of the page that is not written yet, with a column for each field or value column
	texts   []textRun // what the text columns of those rows have
	text    int       // bytes of string values in the page
	inGroup int       // rows in the row group

	scratch []parquet.Value
	one     rows
}

// textRun is n rows with the same texts: one for each text column of the head, "" where there is none.
type textRun struct {
	texts []string
	n     int
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
	w.clearPage()
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
	if err := w.add(w.tagTexts(tags), r); err != nil {
		return err
	}
	b.starts[len(b.starts)-1] = w.row
	return nil
}

// tagTexts returns the texts of the tag columns.
func (w *blockWriter) tagTexts(tags []Tag) []string {
	var out []string
	for i := range w.b.head.columns {
		if c := &w.b.head.columns[i]; c.role == roleTag {
			s := Series{Tags: tags}
			out = append(out, s.Tag(c.key))
		}
	}
	return out
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
		values := w.byType(&run)
		if err := w.add([]string{key, measurement, fields[i].Name}, &values); err != nil {
			return err
		}
		b.runStart = append(b.runStart, w.row)
	}
	if started {
		b.runAt = append(b.runAt, uint32(len(b.runField)))
		b.starts = append(b.starts, w.row)
	}
	return nil
}

// byType puts the only column of a run in the place of its type's value column.
func (w *blockWriter) byType(run *rows) rows {
	out := rows{times: run.times, cols: make([]Column, len(w.b.cols)-1)}
	for i := range out.cols {
		if w.b.cols[i+1].t == run.cols[0].Type {
			out.cols[i] = run.cols[0]
		}
	}
	return out
}

// add appends rows that have the same texts, page by page.
func (w *blockWriter) add(texts []string, r *rows) error {
	for lo := 0; lo < r.len(); {
		hi := w.fit(r, lo)
		w.note(TimeRange{r.times[lo], r.times[hi-1]}, hi-lo)
		w.page.append(r, lo, hi)
		w.texts = append(w.texts, textRun{texts, hi - lo})
		if w.page.len() >= pageRows || w.text >= rowTextBytes {
			if err := w.endPage(); err != nil {
				return err
			}
		}
		lo = hi
	}
	return nil
}

// fit returns the end of the rows from lo on that still go into the page.
func (w *blockWriter) fit(r *rows, lo int) int {
	hi := min(r.len(), lo+pageRows-w.page.len())
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
	if w.page.len() >= pageRows/4 && w.page.len()+n > pageRows && n <= pageRows {
		return w.endPage()
	}
	return nil
}

// note counts n rows that are about to be added.
func (w *blockWriter) note(times TimeRange, n int) {
	h := &w.b.head
	if w.row == 0 {
		h.times = times
	}
	h.times = TimeRange{min(h.times.Min, times.Min), max(h.times.Max, times.Max)}
	c := &w.b.cols[0]
	if w.page.len() == 0 {
		c.bounds = append(c.bounds, times)
	} else {
		last := &c.bounds[len(c.bounds)-1]
		last.Min, last.Max = min(last.Min, times.Min), max(last.Max, times.Max)
	}
	w.row += uint32(n)
	w.inGroup += n
	h.rows += int64(n)
}

// clearPage empties the page's rows. The columns have their types from the start, so that values of another are left out.
func (w *blockWriter) clearPage() {
	w.page.reset(len(w.b.cols) - 1)
	for i := range w.page.cols {
		w.page.cols[i].Type = w.b.cols[i+1].t
	}
	w.texts, w.text = w.texts[:0], 0
}

// endPage writes the page's rows and ends the current page of the times, and those of the values that are not too few for a
// page. Text columns end theirs by size.
func (w *blockWriter) endPage() error {
	if err := w.writePage(); err != nil {
		return err
	}
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
	if w.inGroup < groupRows {
		return nil
	}
	w.inGroup = 0
	clear(w.vals)
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("end row group: %w", err)
	}
	return nil
}

// close ends the file, makes the sidecar, and gives both their names once they are on disk. It returns nil for a block
// without rows. The folder is not synced.
func (w *blockWriter) close() (*block, error) {
	if w.row == 0 {
		return nil, w.abort()
	}
	err := w.writePage()
	w.w.SetKeyValueMetadata(headKey, headMetadata(&w.b.head))
	if err == nil {
		err = w.w.Close()
	}
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
