package keystore

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// The layout of FORMAT.md: offsets and sizes in bytes, numbers big endian.
const (
	magic = "HFTKEY\x00\x01" // the last byte is the format's version

	offLength   = 8
	offName     = 12
	nameSize    = 64
	offKind     = 76
	offThreads  = 77
	offPasses   = 80
	offMemory   = 84
	offSalt     = 88
	offNonce    = 120
	offWrapped  = 144
	offNewest   = 192
	offCount    = 196
	headerSize  = 200
	versionSize = 4 + 8 + pointSize + chacha20poly1305.NonceSizeX + sealedSize
	trailerSize = 2 * sha256.Size

	pointSize  = 65
	sealedSize = 32 + chacha20poly1305.Overhead

	maxVersions = 1024
	maxNumber   = 1<<31 - 1
	maxFile     = headerSize + maxVersions*versionSize + trailerSize
)

// parsed is a file whose layout and checksum are right. What it says is not yet believed: open does that.
type parsed struct {
	text     []byte
	wrap     wrapping
	newest   int
	versions []sealed
}

// sealed is a version as it is in the file.
type sealed struct {
	number  int
	created int64  // µs since the epoch
	clear   []byte // number, time and point: what is bound to the private half
	point   []byte
	nonce   []byte
	private []byte
}

// parse reads the layout of the file of a key. Its error is a *DamagedError without a path.
func parse(text []byte, name string) (*parsed, error) {
	damaged := func(format string, args ...any) (*parsed, error) {
		return nil, &DamagedError{Reason: fmt.Sprintf(format, args...)}
	}
	if len(text) < headerSize+trailerSize {
		return damaged("it ends after %d bytes, and the shortest has %d", len(text), headerSize+trailerSize)
	}
	if length := int64(binary.BigEndian.Uint32(text[offLength:])); length != int64(len(text)) && string(text[:7]) == magic[:7] {
		return damaged("it has %d bytes and says %d", len(text), length)
	}
	end := len(text) - sha256.Size
	if sum := sha256.Sum256(text[:end]); !bytes.Equal(sum[:], text[end:]) {
		return damaged("its checksum is not that of its bytes")
	}
	if string(text[:len(magic)]) != magic {
		return damaged("it begins as no file of keys that this program knows; a newer one may have made it")
	}
	var padded [nameSize]byte
	copy(padded[:], name)
	if !bytes.Equal(text[offName:offKind], padded[:]) {
		return damaged("it is the file of the key %q, not of %q: the name is part of what is encrypted, and a file cannot be renamed", bytes.TrimRight(text[offName:offKind], "\x00"), name)
	}
	p := &parsed{text: text, wrap: wrapping{kind: text[offKind], cost: Cost{
		Passes:  int(binary.BigEndian.Uint32(text[offPasses:])),
		Memory:  int(binary.BigEndian.Uint32(text[offMemory:])),
		Threads: int(text[offThreads]),
	}}, newest: int(binary.BigEndian.Uint32(text[offNewest:]))}
	copy(p.wrap.salt[:], text[offSalt:])
	switch {
	case p.wrap.kind == kindPassphrase:
		if err := p.wrap.cost.check(); err != nil {
			return damaged("%v", err)
		}
	case p.wrap.kind != kindKey:
		return damaged("secrets of kind %d are not known", p.wrap.kind)
	case p.wrap.cost != Cost{}:
		return damaged("a key has no cost")
	}
	if text[offThreads+1] != 0 || text[offThreads+2] != 0 {
		return damaged("reserved bytes are not zero")
	}
	count := int64(binary.BigEndian.Uint32(text[offCount:]))
	if count < 1 || count > maxVersions || headerSize+count*versionSize+trailerSize != int64(len(text)) {
		return damaged("%d versions do not make %d bytes", count, len(text))
	}
	last := 0
	for rest := text[headerSize : len(text)-trailerSize]; len(rest) > 0; rest = rest[versionSize:] {
		const offPoint, offNonce, offPrivate = 12, 12 + pointSize, 12 + pointSize + chacha20poly1305.NonceSizeX
		v := sealed{
			number:  int(binary.BigEndian.Uint32(rest)),
			created: int64(binary.BigEndian.Uint64(rest[4:])),
			clear:   rest[:offNonce],
			point:   rest[offPoint:offNonce],
			nonce:   rest[offNonce:offPrivate],
			private: rest[offPrivate:versionSize],
		}
		if v.number <= last || v.number > p.newest {
			return damaged("version %d follows %d and the newest is %d", v.number, last, p.newest)
		}
		last = v.number
		p.versions = append(p.versions, v)
	}
	if last != p.newest || p.newest > maxNumber {
		return damaged("its last version is %d and the newest is %d", last, p.newest)
	}
	return p, nil
}

// dataKeys are what is derived from the data key.
type dataKeys struct {
	private cipher.AEAD // seals private halves
	file    []byte      // authenticates the file
}

func newDataKeys(data []byte) (*dataKeys, error) {
	material, err := hkdf.Key(sha256.New, data, nil, "holdfast keystore private halves", keySize)
	if err != nil {
		return nil, err
	}
	defer clear(material)
	k := &dataKeys{}
	if k.private, err = chacha20poly1305.NewX(material); err != nil {
		return nil, err
	}
	k.file, err = hkdf.Key(sha256.New, data, nil, "holdfast keystore file", keySize)
	return k, err
}

func (k *dataKeys) mac(text []byte) []byte {
	mac := hmac.New(sha256.New, k.file)
	mac.Write(text)
	return mac.Sum(nil)
}

// bound is what a data key is bound to: the format, the name, and how the wrapping key was made.
func bound(text []byte) []byte {
	return append(append([]byte{}, text[:offLength]...), text[offName:offNonce]...)
}

// boundPrivate is what a private half is bound to: the format, the name, and all that the file says of the version in the clear.
func boundPrivate(text, version []byte) []byte {
	return append(append(append([]byte{}, text[:offLength]...), text[offName:offKind]...), version...)
}

// open verifies all of the file and decrypts it.
func (p *parsed) open(material []byte) (*held, error) {
	wrapKey, err := p.wrap.derive(material)
	if err != nil {
		return nil, err
	}
	defer clear(wrapKey)
	wrap, err := chacha20poly1305.NewX(wrapKey)
	if err != nil {
		return nil, err
	}
	data, err := wrap.Open(nil, p.text[offNonce:offWrapped], p.text[offWrapped:offNewest], bound(p.text))
	if err != nil {
		return nil, ErrSecret
	}
	defer clear(data)
	keys, err := newDataKeys(data)
	if err != nil {
		return nil, err
	}
	defer clear(keys.file)
	end := len(p.text) - trailerSize
	if !hmac.Equal(keys.mac(p.text[:end]), p.text[end:end+sha256.Size]) {
		return nil, &DamagedError{Reason: "it was altered, with a right checksum, by someone without the secret"}
	}
	h := &held{newest: p.newest}
	for _, s := range p.versions {
		private, err := s.open(keys, p.text)
		if err != nil {
			return nil, &DamagedError{Reason: fmt.Sprintf("version %d: %v", s.number, err)}
		}
		h.versions = append(h.versions, version{s.number, time.UnixMicro(s.created).UTC(), private})
	}
	return h, nil
}

func (s *sealed) open(keys *dataKeys, text []byte) (*ecdsa.PrivateKey, error) {
	scalar, err := keys.private.Open(nil, s.nonce, s.private, boundPrivate(text, s.clear))
	if err != nil {
		return nil, fmt.Errorf("its private half is of another version or file")
	}
	defer clear(scalar)
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		return nil, fmt.Errorf("its private half is none")
	}
	if point, err := private.PublicKey.Bytes(); err != nil || !bytes.Equal(point, s.point) {
		return nil, fmt.Errorf("its halves are of two keys")
	}
	return private, nil
}

// seal makes a file, with a new salt and data key.
func seal(name string, h *held, kind byte, cost Cost, material []byte) ([]byte, error) {
	length := headerSize + len(h.versions)*versionSize + trailerSize
	text := make([]byte, headerSize, length)
	copy(text, magic)
	binary.BigEndian.PutUint32(text[offLength:], uint32(length))
	copy(text[offName:offKind], name)
	wrap := wrapping{kind: kind}
	text[offKind] = kind
	if kind == kindPassphrase {
		wrap.cost = cost
		text[offThreads] = byte(cost.Threads)
		binary.BigEndian.PutUint32(text[offPasses:], uint32(cost.Passes))
		binary.BigEndian.PutUint32(text[offMemory:], uint32(cost.Memory))
	}
	data := make([]byte, keySize)
	defer clear(data)
	for _, random := range [][]byte{wrap.salt[:], text[offNonce:offWrapped], data} {
		if _, err := rand.Read(random); err != nil {
			return nil, err
		}
	}
	copy(text[offSalt:], wrap.salt[:])
	wrapKey, err := wrap.derive(material)
	if err != nil {
		return nil, err
	}
	defer clear(wrapKey)
	wrapAEAD, err := chacha20poly1305.NewX(wrapKey)
	if err != nil {
		return nil, err
	}
	copy(text[offWrapped:], wrapAEAD.Seal(nil, text[offNonce:offWrapped], data, bound(text)))
	binary.BigEndian.PutUint32(text[offNewest:], uint32(h.newest))
	binary.BigEndian.PutUint32(text[offCount:], uint32(len(h.versions)))
	keys, err := newDataKeys(data)
	if err != nil {
		return nil, err
	}
	defer clear(keys.file)
	for _, v := range h.versions {
		if text, err = v.append(text, keys); err != nil {
			return nil, err
		}
	}
	text = append(text, keys.mac(text)...)
	sum := sha256.Sum256(text)
	return append(text, sum[:]...), nil
}

// append adds a version to a file.
func (v *version) append(text []byte, keys *dataKeys) ([]byte, error) {
	point, err := v.private.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	scalar, err := v.private.Bytes() // not to be cleared: these are the bytes that the private key signs with
	if err != nil {
		return nil, err
	}
	start := len(text)
	text = binary.BigEndian.AppendUint32(text, uint32(v.number))
	text = binary.BigEndian.AppendUint64(text, uint64(v.created.UnixMicro()))
	text = append(text, point...)
	var nonce [chacha20poly1305.NonceSizeX]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	additional := boundPrivate(text, text[start:])
	return keys.private.Seal(append(text, nonce[:]...), nonce[:], scalar, additional), nil
}
