package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// layout is how a block's rows are shaped.
type layout uint8

const (
	// wide is one measurement, one row for each series and time, one column for each field.
	wide layout = 1
	// narrow is any number of measurements, one row for each series, field and time, one value column for each type.
	narrow layout = 2
)

// blockHead describes a block. It is kept in the sidecar and, so that a lost sidecar can be made again, in the Parquet file.
type blockHead struct {
	layout layout
	id     uint64
	// span is the partition.
	span TimeRange
	// order is the journal position at which the block was true: a delete with a greater position is not in it yet, and of
	// two blocks of a partition the values of the one with the greater order count.
	order uint64
	// first and last are the journal positions that the points of the block came from, inclusive.
	first, last uint64
	// set names the blocks that were written together, size tells how many there are, and inputs are the ids of the blocks that
	// the set replaces. With these the manifest can be made again.
	set     uint64
	size    uint32
	inputs  []uint64
	times   TimeRange
	rows    int64
	values  int64
	names   []string // measurements, sorted
	columns []headColumn
}

// headColumn maps a column of the Parquet file to what it holds.
type headColumn struct {
	role columnRole
	// column is the name in the file, key the tag's or field's.
	column, key string
	t           line.Type
	optional    bool
	// raw tells that a text is not UTF-8, so that the file must not call it a string.
	raw bool
}

type columnRole uint8

const (
	roleTime columnRole = iota + 1
	roleTag
	roleField
	roleSeries      // narrow: the series key
	roleMeasurement // narrow
	roleFieldKey    // narrow: the field's name
	roleValue       // narrow: the values of one type
)

// block is an immutable Parquet file and what is known of it in memory. Series are numbered by their order in the file.
type block struct {
	head blockHead
	dir  string

	fileSize int64
	fileSum  uint32

	cols []blockColumn // cols[0] is the time
	// fields are those of the block: of a wide one fields[i] is cols[i+1], in a narrow one runs refer to them.
	fields []FieldKey

	keys    []string // only until the block is in the index
	entries []*seriesEntry
	byID    []uint32 // series sorted by their id
	starts  []uint32 // first row of each series, and the number of rows

	runAt    []uint32 // narrow: first run of each series, and the number of runs
	runField []uint32 // narrow: index into fields
	runStart []uint32 // narrow: first row of each run, and the number of rows

	// damaged is set when a page was found damaged, so that a merge does not expect its values.
	damaged atomic.Bool

	mu      sync.Mutex
	refs    int
	removed bool
	file    *os.File
}

// blockColumn is a column of the file with its pages.
type blockColumn struct {
	headColumn
	pages []page
	// firsts is the first row of each page, and the number of rows.
	firsts []uint32
	// bounds are the times in each page, for the time column only.
	bounds []TimeRange
}

// page is where a data page stands in the file and how it is read.
type page struct {
	offset int64
	size   uint32 // with its header, in bytes
	header uint32 // bytes of the header
	plain  uint32 // bytes of definition levels and values when decompressed
	nulls  uint32
	sum    uint32 // CRC-32C of all size bytes
}

func (b *block) path() string { return filepath.Join(b.dir, blockName(b.head.id)+parquetSuffix) }

func (b *block) sidecarPath() string { return filepath.Join(b.dir, blockName(b.head.id)+sidecarSuffix) }

const (
	parquetSuffix = ".parquet"
	sidecarSuffix = ".idx"
)

func blockName(id uint64) string { return fmt.Sprintf("%012d", id) }

// find returns the number of the series with the id in the block.
func (b *block) find(id uint32) (int, bool) {
	i := sort.Search(len(b.byID), func(i int) bool { return b.entries[b.byID[i]].id >= id })
	if i < len(b.byID) && b.entries[b.byID[i]].id == id {
		return int(b.byID[i]), true
	}
	return 0, false
}

// acquire keeps the block's files in place until release. It fails when the block was removed already.
func (b *block) acquire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.removed {
		return false
	}
	b.refs++
	return true
}

// reader returns the open file. The block must be acquired.
func (b *block) reader() (*os.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		f, err := os.Open(b.path())
		if err != nil {
			return nil, fmt.Errorf("open block: %w", err)
		}
		b.file = f
	}
	return b.file, nil
}

// release ends the use of the block; the last one closes the file, and removes it when remove was called.
func (b *block) release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refs--
	if b.refs > 0 {
		return nil
	}
	var err error
	if b.file != nil {
		err = b.file.Close()
		b.file = nil
	}
	if b.removed {
		err = errors.Join(err, b.unlink())
	}
	return err
}

// remove deletes the block's files once nobody uses them. No manifest may name the block any more.
func (b *block) remove() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removed = true
	if b.refs > 0 {
		return nil
	}
	return b.unlink()
}

// unlink deletes the files, and the partition's folder when it is empty then.
func (b *block) unlink() error {
	err := errors.Join(removeFile(b.sidecarPath()), removeFile(b.path()))
	_ = os.Remove(b.dir) // fails while other blocks are in it, which is fine
	return err
}
