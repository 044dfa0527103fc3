package journal

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzScan gives the scanner any bytes as a segment: it ends, never panics, covers every byte in order, and takes for records
// only what encodes to the same bytes again.
func FuzzScan(f *testing.F) {
	files, _, _ := small(f, true)
	f.Add(files["/j/"+segmentName(1)])
	f.Add(append(files["/j/"+segmentName(4)], files["/j/"+segmentName(1)][headerSize:]...))
	f.Add([]byte(segmentMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		sc := &scanner{next: 1, pos: headerSize}
		sc.src, sc.limit = bytes.NewReader(b), int64(len(b))
		at, last := int64(headerSize), Position(0)
		for {
			sp, err := sc.step()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if sp.off != at || sp.end <= at || sp.end > int64(len(b)) {
				t.Fatalf("span %d to %d begins at %d of %d", sp.off, sp.end, at, len(b))
			}
			at = sp.end
			if sp.known {
				if sp.head.position <= last {
					t.Fatalf("position %d follows %d", sp.head.position, last)
				}
				last = sp.head.position
			}
			if sp.err == nil {
				checkDecoded(t, sp, b[sp.off:sp.end])
			}
		}
		if at < int64(len(b)) {
			t.Fatalf("the scan ended at %d of %d", at, len(b))
		}
	})
}

// checkDecoded verifies that a record that was taken as whole is that.
func checkDecoded(t *testing.T, sp span, b []byte) {
	body, _, err := decodeBody(&sp.head, sp.packed, nil)
	if err == nil && len(body) != int(sp.head.bodySize) {
		t.Fatalf("a body of %d bytes where %d are due", len(body), sp.head.bodySize)
	}
	again := append([]byte(nil), b...)
	seal(again, unsealedSums(again), sp.head.position)
	if !bytes.Equal(again, b) {
		t.Fatal("sealing the record again changes it")
	}
}

// FuzzSealedRecord gives the decoder records whose checksums match and whose fields are anything.
func FuzzSealedRecord(f *testing.F) {
	files, _, _ := small(f, true)
	b := files["/j/"+segmentName(1)][headerSize:]
	f.Add(uint64(1), b[offKind:offBody], b[offBody:prefixSize+le.Uint32(b)])
	f.Add(uint64(1<<63), make([]byte, offBody-offKind), []byte{0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, position uint64, fields, body []byte) {
		b := make([]byte, offBody)
		copy(b[offKind:], fields[:min(len(fields), offBody-offKind)])
		b = append(b, body...)
		le.PutUint32(b, uint32(len(b)-prefixSize))
		seal(b, unsealedSums(b), Position(position))
		sc := &scanner{next: 1}
		sc.src, sc.limit = bytes.NewReader(b), int64(len(b))
		sp, err := sc.step()
		if err != nil {
			t.Fatal(err)
		}
		if sp.err != nil {
			if le.Uint16(b[offReserved:]) == 0 && position > 0 && le.Uint32(b[offBodySize:]) <= MaxBody && le.Uint32(b[offCount:]) < 1<<31 {
				t.Fatalf("a record with matching checksums is not taken: %v", sp.err)
			}
			return
		}
		checkDecoded(t, sp, b)
	})
}

// FuzzSlots gives any bytes as a slot file.
func FuzzSlots(f *testing.F) {
	files, _, _ := small(f, true)
	f.Add(files["/j/"+stateName])
	f.Add(files["/j/"+cursorDir+"/remote"+cursorSuffix])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, size := range []int{stateSlot, cursorSlot} {
			disk := restore(map[string][]byte{"/f": b})
			s, value, damaged, err := openSlots(disk, "/f", size)
			if err != nil {
				t.Fatal(err)
			}
			if value == nil && damaged == nil {
				t.Fatal("no value and no damage")
			}
			if st, err := decodeState(value); err == nil && len(st.encode()) != len(value) {
				t.Fatal("the state encodes to something else")
			}
			if _, _, err := decodeCursor(value); err == nil && len(value) != cursorBytes {
				t.Fatal("a cursor of another size was taken")
			}
			if s.seq > 1<<63 {
				continue // no file gets there
			}
			if err := s.write([]byte("next")); err != nil {
				t.Fatal(err)
			}
			if got, _, _, err := readSlots(s.file, size); err != nil || string(got) != "next" {
				t.Fatalf("read %q, %v after a write", got, err)
			}
		}
	})
}
