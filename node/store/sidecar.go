package store

import (
	"bytes"
	"fmt"
	"unsafe"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

const sidecarMagic = "HFIX\x01"

// encodeSidecar writes a block's sidecar. Format: FORMAT.md.
func encodeSidecar(b *block) []byte {
	out := []byte(sidecarMagic)
	out = appendSection(out, encodeHead(&b.head))
	out = appendSection(out, b.encodePages())
	return appendSection(out, b.encodeSeries())
}

// decodeSidecar reads a sidecar into a block that has its dir set.
func decodeSidecar(b *block, data []byte) error {
	if !bytes.HasPrefix(data, []byte(sidecarMagic)) {
		return fmt.Errorf("%w: not a sidecar of a known version", errDamaged)
	}
	rest := data[len(sidecarMagic):]
	for _, read := range []func(*decoder){
		func(d *decoder) { b.head = decodeHead(d) },
		b.decodePages,
		b.decodeSeries,
	} {
		payload, after, err := readSection(rest)
		if err != nil {
			return err
		}
		d := decoder{b: payload}
		read(&d)
		if d.err == nil && len(d.b) > 0 {
			d.err = fmt.Errorf("%w: section has bytes at its end", errDamaged)
		}
		if d.err != nil {
			return d.err
		}
		rest = after
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: sidecar has bytes at its end", errDamaged)
	}
	return b.check()
}

func encodeHead(h *blockHead) []byte {
	var e encoder
	e.uint(uint64(h.layout))
	e.uint(h.id)
	e.int(h.span.Min)
	e.int(h.span.Max)
	e.uint(h.order)
	e.uint(h.first)
	e.uint(h.last)
	e.uint(h.set)
	e.uint(uint64(h.size))
	e.uint(uint64(len(h.inputs)))
	for _, id := range h.inputs {
		e.uint(id)
	}
	e.int(h.times.Min)
	e.int(h.times.Max)
	e.uint(uint64(h.rows))
	e.uint(uint64(h.values))
	e.uint(uint64(len(h.names)))
	for _, name := range h.names {
		e.str(name)
	}
	e.uint(uint64(len(h.columns)))
	for _, c := range h.columns {
		e.uint(uint64(c.role))
		e.str(c.column)
		e.str(c.key)
		e.uint(uint64(c.t))
		e.uint(boolBit(c.optional) | boolBit(c.raw)<<1)
	}
	return e.b
}

func boolBit(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

func decodeHead(d *decoder) blockHead {
	h := blockHead{layout: layout(d.uint()), id: d.uint()}
	h.span = TimeRange{d.int(), d.int()}
	h.order, h.first, h.last = d.uint(), d.uint(), d.uint()
	h.set, h.size = d.uint(), uint32(d.uint())
	for range d.count() {
		h.inputs = append(h.inputs, d.uint())
	}
	h.times = TimeRange{d.int(), d.int()}
	h.rows, h.values = int64(d.uint()), int64(d.uint())
	for range d.count() {
		h.names = append(h.names, d.str())
	}
	for range d.count() {
		c := headColumn{role: columnRole(d.uint()), column: d.str(), key: d.str()}
		c.t = line.Type(d.uint())
		flags := d.uint()
		c.optional, c.raw = flags&1 != 0, flags&2 != 0
		h.columns = append(h.columns, c)
	}
	return h
}

// encodePages writes where the pages of the time, field and value columns are.
func (b *block) encodePages() []byte {
	var e encoder
	e.uint(uint64(b.fileSize))
	e.u32(b.fileSum)
	e.uint(uint64(len(b.cols)))
	for i := range b.cols {
		c := &b.cols[i]
		e.uint(uint64(len(c.pages)))
		var at int64
		for j := range c.pages {
			p := &c.pages[j]
			e.int(p.offset - at)
			at = p.offset + int64(p.size)
			e.uint(uint64(p.size))
			e.uint(uint64(p.header))
			e.uint(uint64(p.plain))
			e.uint(uint64(p.nulls))
			e.uint(uint64(c.firsts[j+1] - c.firsts[j]))
			e.u32(p.sum)
			if i == 0 {
				e.int(c.bounds[j].Min - b.head.span.Min)
				e.uint(uint64(c.bounds[j].Max - c.bounds[j].Min))
			}
		}
	}
	return e.b
}

func (b *block) decodePages(d *decoder) {
	b.fileSize, b.fileSum = int64(d.uint()), d.u32()
	b.setColumns()
	if n := d.count(); n != len(b.cols) {
		d.fail()
		return
	}
	for i := range b.cols {
		c := &b.cols[i]
		n := d.count()
		c.pages, c.firsts = make([]page, n), make([]uint32, 1, n+1)
		var at int64
		for j := range c.pages {
			p := &c.pages[j]
			p.offset = at + d.int()
			p.size, p.header = uint32(d.uint()), uint32(d.uint())
			p.plain, p.nulls = uint32(d.uint()), uint32(d.uint())
			c.firsts = append(c.firsts, c.firsts[j]+uint32(d.uint()))
			p.sum = d.u32()
			at = p.offset + int64(p.size)
			if i == 0 {
				first := b.head.span.Min + d.int()
				c.bounds = append(c.bounds, TimeRange{first, first + int64(d.uint())})
			}
		}
	}
}

// setColumns makes cols out of the head: the time, then the fields or values in the head's order.
func (b *block) setColumns() {
	b.cols, b.fields = nil, nil
	for _, c := range b.head.columns {
		switch c.role {
		case roleTime, roleValue:
			b.cols = append(b.cols, blockColumn{headColumn: c})
		case roleField:
			b.cols = append(b.cols, blockColumn{headColumn: c})
			b.fields = append(b.fields, FieldKey{c.key, c.t})
		}
	}
}

// encodeSeries writes the series keys, each without the bytes it shares with the one before, and their rows.
func (b *block) encodeSeries() []byte {
	var e encoder
	if b.head.layout == narrow {
		e.uint(uint64(len(b.fields)))
		for _, f := range b.fields {
			e.str(f.Name)
			e.uint(uint64(f.Type))
		}
	}
	e.uint(uint64(len(b.keys)))
	size := 0
	for _, key := range b.keys {
		size += len(key)
	}
	e.uint(uint64(size))
	prev := ""
	for i, key := range b.keys {
		n := sharedPrefix(prev, key)
		e.uint(uint64(n))
		e.str(key[n:])
		prev = key
		if b.head.layout == wide {
			e.uint(uint64(b.starts[i+1] - b.starts[i]))
			continue
		}
		lo, hi := b.runAt[i], b.runAt[i+1]
		e.uint(uint64(hi - lo))
		for r := lo; r < hi; r++ {
			e.uint(uint64(b.runField[r]))
			e.uint(uint64(b.runStart[r+1] - b.runStart[r]))
		}
	}
	return e.b
}

func (b *block) decodeSeries(d *decoder) {
	if b.head.layout == narrow {
		for range d.count() {
			b.fields = append(b.fields, FieldKey{d.str(), line.Type(d.uint())})
		}
		b.runAt, b.runStart = []uint32{0}, []uint32{0}
	}
	n := d.count()
	size := d.uint()
	if size > maxSection {
		d.fail()
		return
	}
	b.starts = make([]uint32, 1, n+1)
	text := make([]byte, 0, size) // of all keys, so that they are one allocation
	ends := make([]int, 1, n+1)
	for i := range n {
		shared := d.uint()
		suffix := d.bytes()
		var prev []byte
		if i > 0 {
			prev = text[ends[i-1]:ends[i]]
		}
		if d.err != nil || shared > uint64(len(prev)) {
			d.fail()
			return
		}
		text = append(append(text, prev[:shared]...), suffix...)
		ends = append(ends, len(text))
		if b.head.layout == wide {
			b.starts = append(b.starts, b.starts[len(b.starts)-1]+uint32(d.uint()))
			continue
		}
		for range d.count() {
			b.runField = append(b.runField, uint32(d.uint()))
			b.runStart = append(b.runStart, b.runStart[len(b.runStart)-1]+uint32(d.uint()))
		}
		b.runAt = append(b.runAt, uint32(len(b.runField)))
		b.starts = append(b.starts, b.runStart[len(b.runStart)-1])
	}
	all := unsafe.String(unsafe.SliceData(text), len(text)) // never written again
	b.keys = make([]string, n)
	for i := range b.keys {
		b.keys[i] = all[ends[i]:ends[i+1]]
	}
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// check tells whether the parts of a sidecar agree with each other, so that reading rows never goes out of bounds.
func (b *block) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: sidecar: %s", errDamaged, what) }
	if b.head.layout != wide && b.head.layout != narrow {
		return bad("unknown layout")
	}
	if len(b.cols) == 0 || b.cols[0].role != roleTime {
		return bad("no time column")
	}
	rows := uint32(b.head.rows)
	if int64(rows) != b.head.rows || b.starts[len(b.starts)-1] != rows {
		return bad("series do not add up to the rows")
	}
	for i := range b.cols {
		c := &b.cols[i]
		if c.firsts[len(c.firsts)-1] != rows {
			return bad("pages do not add up to the rows")
		}
		for _, p := range c.pages {
			if p.offset < 0 || p.offset+int64(p.size) > b.fileSize || p.header > p.size {
				return bad("a page lies outside the file")
			}
		}
	}
	for _, f := range b.runField {
		if int(f) >= len(b.fields) {
			return bad("a run names no field")
		}
	}
	return nil
}
