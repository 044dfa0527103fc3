package store

import (
	"fmt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Damage is something in a bucket's folder that cannot be read, and what was lost with it.
type Damage struct {
	Bucket id.ID `json:"bucket"`
	// File is the damaged file's path.
	File string `json:"file"`
	// Column is the column of a Parquet file whose page is damaged, "" when more than a page is.
	Column string `json:"column,omitempty"`
	// Lost says what cannot be read any more; "" when everything can, from a second copy or because it was made again.
	Lost string `json:"lost,omitempty"`
	// Rows is the number of rows that Lost is about.
	Rows int64 `json:"rows,omitempty"`
	// Times bounds the timestamps of those rows, in ns since the epoch.
	Times TimeRange `json:"times"`
	// First and Last are the journal positions, inclusive, that the rows came from, among others: while the journal still
	// has them, Bucket.Restore can bring the rows back. 0 when nothing is lost.
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`
	// Err is what was found.
	Err error `json:"-"`

	// For Restore: the partition, the order of the lost rows, and the block if it is still there.
	span  TimeRange
	order uint64
	block *block
}

func (d *Damage) Error() string {
	what := d.File
	if d.Column != "" {
		what += fmt.Sprintf(", column %q", d.Column)
	}
	if d.Lost == "" {
		return fmt.Sprintf("%s: %v; nothing is lost", what, d.Err)
	}
	return fmt.Sprintf("%s: %v; lost: %s", what, d.Err, d.Lost)
}

func (d *Damage) Unwrap() error { return d.Err }

// pageDamage describes a page that cannot be read.
func (b *block) pageDamage(c *blockColumn, p int, err error) Damage {
	d := Damage{
		File: b.path(), Column: c.column, Rows: int64(c.firsts[p+1] - c.firsts[p]), Times: b.head.times,
		First: b.head.first, Last: b.head.last, span: b.head.span, order: b.head.order, block: b, Err: fmt.Errorf("page %d: %w", p, err),
	}
	if c.role == roleTime {
		d.Lost = fmt.Sprintf("%d rows of %s", d.Rows, b.title())
		d.Times = c.bounds[p]
		return d
	}
	d.Rows -= int64(c.pages[p].nulls)
	d.Lost = fmt.Sprintf("%d values of column %q of %s", d.Rows, c.column, b.title())
	return d
}

// title names what is in the block.
func (b *block) title() string {
	if len(b.head.names) == 1 {
		return fmt.Sprintf("measurement %q", b.head.names[0])
	}
	return fmt.Sprintf("%d measurements", len(b.head.names))
}
