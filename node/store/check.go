package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Report is what Check found in a bucket's folder.
type Report struct {
	// Blocks, Rows and Bytes are those of the blocks that can be read, pages that cannot included.
	Blocks int
	Rows   int64
	Bytes  int64
	// Damages are what cannot be read, now or since an earlier start, and what is lost with it.
	Damages []Damage
}

// Check reads every file of a bucket's folder that no store has open. It changes nothing. The error tells what kept it from looking.
func Check(ctx context.Context, dir string) (Report, error) {
	b := &Bucket{dir: dir}
	if i, err := id.Parse(filepath.Base(dir)); err == nil {
		b.id = i
	}
	c := checker{bucket: b.id}
	blocks, err := c.blocks(dir)
	for _, blk := range blocks {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = c.block(blk)
		}
	}
	if err != nil {
		return c.report, fmt.Errorf("check bucket %s: %w", dir, err)
	}
	aside, err := b.setAside()
	for _, d := range aside {
		c.found(d)
	}
	return c.report, err
}

type checker struct {
	bucket id.ID
	report Report
}

func (c *checker) found(d Damage) {
	d.Bucket = c.bucket
	c.report.Damages = append(c.report.Damages, d)
}

// listed is a block and what the manifest says of it; without a manifest only its place is known.
type listed struct {
	dir   string
	entry manifestBlock
}

// blocks returns what the manifest names, or without one what is there.
func (c *checker) blocks(dir string) ([]listed, error) {
	m, _, damages, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range damages {
		if m == nil {
			d.Lost = "deletes that were not in the blocks yet"
		}
		c.found(d)
	}
	var all []listed
	if m != nil {
		for _, p := range m.partitions {
			for _, entry := range p.blocks {
				all = append(all, listed{filepath.Join(dir, partitionDir(p.span.Min)), entry})
			}
		}
		return all, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"+parquetSuffix))
	for _, file := range files {
		if n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(file), parquetSuffix), 10, 64); err == nil {
			all = append(all, listed{filepath.Dir(file), manifestBlock{id: n}})
		}
	}
	return all, err
}

// block checks the files of one block.
func (c *checker) block(l listed) error {
	blk := &block{dir: l.dir, head: blockHead{id: l.entry.id}}
	data, sidecar := os.ReadFile(blk.sidecarPath())
	if sidecar == nil {
		sidecar = decodeSidecar(blk, data)
	}
	if sidecar != nil {
		blk = &block{dir: l.dir, head: blockHead{id: l.entry.id}}
		if err := blk.reread(); err != nil {
			c.found(Damage{File: blk.path(), Lost: "a block of points in " + filepath.Base(l.dir), First: l.entry.first, Last: l.entry.last, Err: errors.Join(sidecar, err)})
			return nil
		}
	}
	c.report.Blocks++
	c.report.Rows += blk.head.rows
	c.report.Bytes += blk.fileSize
	if !blk.acquire() {
		return nil
	}
	return errors.Join(blk.verify(c.found), blk.release())
}

// reread takes from the Parquet file what the sidecar would have said.
func (b *block) reread() error {
	file, err := os.Open(b.path())
	if err != nil {
		return err
	}
	return errors.Join(b.rebuild(file), file.Close())
}
