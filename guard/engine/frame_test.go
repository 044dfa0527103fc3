package engine

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestAFrameIsReadAsItWasWritten(t *testing.T) {
	var b bytes.Buffer
	if err := writeFrame(&b, message{Op: readOf, Path: "a"}, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	var m message
	data, err := readFrame(bytes.NewReader(whole), &m, 1<<20)
	if err != nil || m.Op != readOf || m.Path != "a" || len(data) != 1<<20 {
		t.Errorf("it is %+v with %d bytes, %v", m, len(data), err)
	}
	if _, err := readFrame(bytes.NewReader(whole), &m, 1<<20-1); !errors.Is(err, errFrame) {
		t.Errorf("a frame that is too long gives %v", err)
	}
	for n := 1; n < len(whole); n += 4999 {
		if _, err := readFrame(bytes.NewReader(whole[:n]), &m, 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes of it give %v", n, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	if err := writeFrame(&b, message{Documents: []part{{"a", 1, 2}, {"b", 0, 1}}}, []byte("abc")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 0, '{', '}'})
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		var m message
		data, err := readFrame(bytes.NewReader(text), &m, 1<<16)
		if err != nil {
			return
		}
		if int64(len(data)) > 1<<16 {
			t.Fatalf("%d bytes are more than were allowed", len(data))
		}
		if r, err := m.result(data); err == nil {
			n := 0
			for _, d := range r.Documents {
				n += len(d.Data)
			}
			if n > len(data) {
				t.Fatalf("%d bytes became %d", len(data), n)
			}
		}
	})
}
