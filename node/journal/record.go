package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/klauspost/compress/s2"
)

// The layout of a record; FORMAT.md has the table.
const (
	offLength   = 0
	offCRC      = 4
	offPosition = 8
	offHeadCRC  = 16
	offKind     = 20
	offCodec    = 21
	offReserved = 22
	offCount    = 24
	offBodySize = 28
	offMinTime  = 32
	offMaxTime  = 40
	offAccepted = 48
	offBody     = 56

	prefixSize = 16                   // length, crc, position
	headSize   = offBody - prefixSize // what stands between the prefix and the body
)

// MaxBody is the most bytes that a record's uncompressed body may have.
const MaxBody = 64 << 20

// maxPayload bounds the length field. A body that would not get smaller is kept as it is, so nothing larger is written.
const maxPayload = headSize + MaxBody

// A body of fewer bytes than minCompress is kept as it is: s2 gains nothing there.
const minCompress = 96

// The codecs of a body.
const (
	codecNone uint8 = 0
	codecS2   uint8 = 1
)

var (
	// ErrTooLarge tells that a record can never be appended, because its body is over MaxBody or over the journal's bounds.
	ErrTooLarge = errors.New("journal: record too large")

	errHead     = errors.New("head of the record does not match its checksum")
	errBody     = errors.New("body of the record does not match its checksum")
	errCodec    = errors.New("record has a codec or kind that this version does not know")
	errDecoded  = errors.New("body of the record does not decode")
	errOrder    = errors.New("record stands where its position does not belong")
	errCutShort = errors.New("record ends behind the end of the segment")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// head is what a record tells of itself without its body.
type head struct {
	length           uint32 // bytes of the payload: head and body
	position         Position
	kind             Kind
	codec            uint8
	count            uint32
	bodySize         uint32 // bytes of the uncompressed body
	minTime, maxTime int64
	accepted         int64
}

// size returns the bytes that the whole record takes in its segment.
func (h *head) size() int64 { return prefixSize + int64(h.length) }

// sums are a record's checksums as far as they can be computed before its position is known.
type sums struct{ head, whole uint32 }

// encodeRecord appends the record to dst with everything but its position and checksums, which seal puts in.
func encodeRecord(dst []byte, r *Record) ([]byte, sums) {
	start := len(dst)
	dst = append(dst, make([]byte, offBody)...)
	codec := codecNone
	if len(r.Body) >= minCompress {
		need := s2.MaxEncodedLen(len(r.Body))
		if cap(dst)-len(dst) < need {
			grown := make([]byte, len(dst), len(dst)+need)
			copy(grown, dst)
			dst = grown
		}
		packed := s2.Encode(dst[len(dst):len(dst)+need], r.Body)
		if len(packed) < len(r.Body)-len(r.Body)/16 {
			codec = codecS2
			dst = dst[:len(dst)+len(packed)]
		}
	}
	if codec == codecNone {
		dst = append(dst, r.Body...)
	}
	b := dst[start:]
	le.PutUint32(b[offLength:], uint32(len(b)-prefixSize))
	b[offKind] = uint8(r.Kind)
	b[offCodec] = codec
	le.PutUint32(b[offCount:], uint32(r.Count))
	le.PutUint32(b[offBodySize:], uint32(len(r.Body)))
	le.PutUint64(b[offMinTime:], uint64(r.MinTime))
	le.PutUint64(b[offMaxTime:], uint64(r.MaxTime))
	le.PutUint64(b[offAccepted:], uint64(r.Accepted))
	return dst, unsealedSums(b)
}

// unsealedSums sums the record b up to where its position comes in: the position is summed last, so that everything
// else is summed by the goroutine that appends and not by the one that commits.
func unsealedSums(b []byte) sums {
	hs := crc32.Update(0, castagnoli, b[offKind:offBody])
	ws := crc32.Update(hs, castagnoli, b[offBody:])
	return sums{
		head:  crc32.Update(hs, castagnoli, b[offLength:offCRC]),
		whole: crc32.Update(ws, castagnoli, b[offLength:offCRC]),
	}
}

// seal gives the record b its position and checksums.
func seal(b []byte, s sums, p Position) {
	pos := b[offPosition:offHeadCRC]
	le.PutUint64(pos, uint64(p))
	le.PutUint32(b[offHeadCRC:], crc32.Update(s.head, castagnoli, pos))
	le.PutUint32(b[offCRC:], crc32.Update(s.whole, castagnoli, pos))
}

// plausible tells what can be told cheaply: a scan for the next record asks it at every byte.
func plausible(b []byte) bool {
	length := le.Uint32(b[offLength:])
	return length >= headSize && length <= maxPayload && le.Uint16(b[offReserved:]) == 0
}

// decodeHead reads the first offBody bytes of a record. It fails unless the head's checksum matches.
func decodeHead(b []byte) (head, error) {
	if len(b) < offBody {
		return head{}, errCutShort
	}
	if !plausible(b) {
		return head{}, errHead
	}
	sum := crc32.Update(0, castagnoli, b[offKind:offBody])
	sum = crc32.Update(sum, castagnoli, b[offLength:offCRC])
	sum = crc32.Update(sum, castagnoli, b[offPosition:offHeadCRC])
	if sum != le.Uint32(b[offHeadCRC:]) {
		return head{}, errHead
	}
	h := head{
		length:   le.Uint32(b[offLength:]),
		position: Position(le.Uint64(b[offPosition:])),
		kind:     Kind(b[offKind]),
		codec:    b[offCodec],
		count:    le.Uint32(b[offCount:]),
		bodySize: le.Uint32(b[offBodySize:]),
		minTime:  int64(le.Uint64(b[offMinTime:])),
		maxTime:  int64(le.Uint64(b[offMaxTime:])),
		accepted: int64(le.Uint64(b[offAccepted:])),
	}
	if h.position == 0 || h.bodySize > MaxBody || h.count > math.MaxInt32 {
		return head{}, errHead
	}
	return h, nil
}

// checkWhole verifies the checksum of the whole record b.
func checkWhole(b []byte) error {
	s := unsealedSums(b)
	if crc32.Update(s.whole, castagnoli, b[offPosition:offHeadCRC]) != le.Uint32(b[offCRC:]) {
		return errBody
	}
	return nil
}

// decodeBody returns the uncompressed body of a record whose checksums match. The result is either part of packed or dst,
// grown as needed and returned as the second value for the next call.
func decodeBody(h *head, packed, dst []byte) (body, grown []byte, err error) {
	switch h.codec {
	case codecNone:
		if len(packed) != int(h.bodySize) {
			return nil, dst, errDecoded
		}
		return packed, dst, nil
	case codecS2:
		n, err := s2.DecodedLen(packed)
		if err != nil || n != int(h.bodySize) {
			return nil, dst, errDecoded
		}
		out, err := s2.Decode(dst[:cap(dst)], packed)
		if err != nil {
			return nil, dst, fmt.Errorf("%w: %w", errDecoded, err)
		}
		return out, out, nil
	}
	return nil, dst, fmt.Errorf("%w: codec %d", errCodec, h.codec)
}

// validate refuses what a record cannot hold.
func (r *Record) validate() error {
	switch {
	case len(r.Body) > MaxBody:
		return fmt.Errorf("%w: body of %d bytes, at most %d are possible; write in smaller batches", ErrTooLarge, len(r.Body), MaxBody)
	case r.Count < 0 || r.Count > math.MaxInt32:
		return fmt.Errorf("journal: record with a count of %d", r.Count)
	case r.Kind == 0:
		return errors.New("journal: record without a kind")
	}
	return nil
}
