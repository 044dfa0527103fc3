package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/zstd"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

var errDamaged = errors.New("damaged")

// encoder appends the store's own records: unsigned LEB128 numbers, zigzag for signed ones, length-prefixed strings.
type encoder struct{ b []byte }

func (e *encoder) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)   { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) u32(v uint32)  { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) str(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

// decoder reads what an encoder wrote. After the first error it returns zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() { d.err = fmt.Errorf("%w: record ends early", errDamaged) }

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b = nil
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b = nil
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) u32() uint32 {
	if len(d.b) < 4 {
		d.b = nil
		d.fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b = nil
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) str() string { return string(d.bytes()) }

// count reads the length of a list whose items take at least one byte each.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b = nil
		d.fail()
		return 0
	}
	return int(n)
}

// maxSection bounds the uncompressed bytes of one section of a sidecar or manifest.
const maxSection = 1 << 30

var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
		if err != nil {
			panic(err) // the options are constant
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxSection))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// appendSection appends payload, compressed, behind its length and checksum.
func appendSection(dst, payload []byte) []byte {
	packed := zstdEncoder().EncodeAll(payload, nil)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(packed)))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(packed))
	return append(dst, packed...)
}

// readSection returns the payload of the section that b begins with, and what follows it.
func readSection(b []byte) (payload, rest []byte, err error) {
	if len(b) < 8 {
		return nil, nil, fmt.Errorf("%w: section head ends early", errDamaged)
	}
	n, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	b = b[8:]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: section ends early", errDamaged)
	}
	if checksum(b[:n]) != sum {
		return nil, nil, fmt.Errorf("%w: section checksum does not match", errDamaged)
	}
	payload, err = zstdDecoder().DecodeAll(b[:n], nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: decompress section: %w", errDamaged, err)
	}
	return payload, b[n:], nil
}

func updateChecksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }
