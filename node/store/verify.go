package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Verify reads every file of the bucket and returns what is damaged, now or found before and set aside. What it finds is also
// reported like damage that a query meets. The error is for what keeps it from looking.
func (b *Bucket) Verify(ctx context.Context) ([]Damage, error) {
	var out []Damage
	found := func(d Damage) {
		d.Bucket = b.id
		out = append(out, d)
		b.report(d)
	}
	b.edit.Lock()
	_, _, damages, err := readManifest(b.dir)
	b.edit.Unlock()
	if err != nil {
		return nil, err
	}
	for _, d := range damages {
		found(d)
	}
	blocks := b.acquireAll()
	for _, blk := range blocks {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = blk.verify(found)
		}
		err = errors.Join(err, blk.release())
	}
	if err != nil {
		return out, fmt.Errorf("verify bucket %s: %w", b.id, err)
	}
	aside, err := b.setAside()
	return append(out, aside...), err
}

// acquireAll returns all blocks, acquired.
func (b *Bucket) acquireAll() []*block {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []*block
	for _, p := range b.partitions {
		for _, blk := range p.blocks {
			if blk.acquire() {
				out = append(out, blk)
			}
		}
	}
	return out
}

// verify checks the sidecar and the Parquet file of a block.
func (b *block) verify(found func(Damage)) error {
	data, err := os.ReadFile(b.sidecarPath())
	if err == nil {
		err = decodeSidecar(&block{dir: b.dir}, data)
	}
	if err != nil {
		found(Damage{File: b.sidecarPath(), Err: err})
	}
	f, err := b.reader()
	if err != nil {
		found(Damage{File: b.path(), Lost: b.title(), Rows: b.head.rows, Times: b.head.times, First: b.head.first, Last: b.head.last,
			span: b.head.span, order: b.head.order, block: b, Err: err})
		return nil
	}
	sum := &summer{}
	n, err := io.Copy(sum, io.NewSectionReader(f, 0, b.fileSize))
	if err == nil && n == b.fileSize && sum.sum == b.fileSum {
		return nil
	}
	bad := b.verifyPages(f, found)
	if bad > 0 {
		return nil
	}
	found(Damage{File: b.path(), Err: fmt.Errorf("%w: footer, page index or tags; the values can be read here but perhaps not by other programs, "+
		"until blocks are next merged", errDamaged)})
	return nil
}

// verifyPages checks each page that queries read and returns how many are damaged.
func (b *block) verifyPages(f *os.File, found func(Damage)) int {
	bad := 0
	for i := range b.cols {
		c := &b.cols[i]
		r := newColumnReader(c, f)
		for p := range c.pages {
			if err := r.fetch(&c.pages[p]); err != nil {
				bad++
				b.damaged.Store(true)
				found(b.pageDamage(c, p, err))
			}
		}
	}
	return bad
}

// setAside lists the files that were set aside as damaged.
func (b *Bucket) setAside() ([]Damage, error) {
	dirs, err := b.partitionDirs()
	if err != nil {
		return nil, fmt.Errorf("verify bucket %s: %w", b.id, err)
	}
	var out []Damage
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return out, fmt.Errorf("verify bucket %s: %w", b.id, err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), parquetSuffix+damagedSuffix) {
				out = append(out, Damage{Bucket: b.id, File: filepath.Join(dir, e.Name()), Lost: "a block of points",
					Err: fmt.Errorf("%w: set aside at an earlier start; remove the file when it is not needed any more", errDamaged)})
			}
		}
	}
	return out, nil
}
