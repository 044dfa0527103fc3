package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode"
	"unicode/utf8"
)

// part is a document of a file of YAML, or what is wrong where the next one would be.
type part struct {
	text  []byte // with the line of three dashes before it
	skip  int    // the bytes of that line, which is no part of the document
	place        // where text begins
	json  bool   // it is a value of JSON
	bad   *Bad
}

// document is the text without the line that separates it, and the lines before that.
func (p *part) document() (text []byte, before int) {
	if p.skip > 0 {
		return p.text[p.skip:], p.line
	}
	return p.text, p.line - 1
}

// splitter cuts a file of YAML into documents as the reader of Kubernetes does that Argo CD uses (YAMLOrJSONDecoder in k8s.io/apimachinery).
//
// A line that begins with three dashes separates documents wherever it stands, and nothing but a comment may follow them; right after another
// such line, and at the beginning, it is a part of the document. A file that begins with a brace is read as values of JSON, one after the other.
// Where the first or the second of them is none, YAML goes on from there. FuzzDocumentsAreThoseOfKubernetes holds it to that reader.
type splitter struct {
	data  []byte // that is left
	place        // where it begins
	later bool   // a document was there before
	ended bool

	values *json.Decoder // of a file that begins with a brace
	offset int           // of what is left, in what the decoder reads
	count  int           // of the values that it read
}

// guessed is how much of a file decides whether it is JSON.
const guessed = 4096

func split(data []byte) *splitter {
	s := &splitter{data: data, place: place{1, 1}}
	if n := len(data); n > 0 && (data[0] <= ' ' || data[0] == '{' || data[0] >= 0x80) {
		if bytes.HasPrefix(bytes.TrimLeftFunc(data[:min(n, guessed)], unicode.IsSpace), []byte("{")) {
			s.values = json.NewDecoder(bytes.NewReader(data))
		}
	}
	return s
}

// next returns the next document, and false where there is none.
func (s *splitter) next() (part, bool) {
	if s.values != nil {
		if p, ok := s.value(); ok || s.ended {
			return p, ok
		}
	}
	if s.ended {
		return part{}, false
	}
	p := part{text: s.data, place: s.place}
	if s.later {
		p.skip = lineLength(s.data)
	}
	s.later = true
	if p.bad = s.separates(p.skip); p.bad != nil {
		return p, true
	}
	end := p.skip
	next := bytes.Index(s.data[end:], []byte("\n---"))
	if next < 0 {
		s.ended = true
		return p, true
	}
	end += next + 1
	p.text = s.data[:end]
	s.take(end)
	p.bad = s.separates(0)
	return p, true
}

// take goes on behind some bytes.
func (s *splitter) take(n int) {
	s.place = s.plus(s.data[:n])
	s.data = s.data[n:]
}

// separates says what is wrong with a line of three dashes, where one begins at an offset of what is left.
func (s *splitter) separates(offset int) *Bad {
	if !bytes.HasPrefix(s.data[offset:], []byte("---")) {
		return nil
	}
	line := s.data[offset : offset+lineLength(s.data[offset:])]
	if more := bytes.TrimSpace(line[3:]); len(more) > 0 && more[0] != '#' {
		s.ended = true
		return s.plus(s.data[:offset]).bad("a line that begins with three dashes ends a document, and only a comment may follow them: Argo CD does not read %.40q", line)
	}
	return nil
}

// lineLength is how long the first line of a text is, with its end.
func lineLength(text []byte) int {
	if n := bytes.IndexByte(text, '\n'); n >= 0 {
		return n + 1
	}
	return len(text)
}

// value returns the next value of JSON. It says false at the end, and where YAML goes on.
func (s *splitter) value() (part, bool) {
	var raw json.RawMessage
	err := s.values.Decode(&raw)
	if err == nil {
		p := part{place: s.place, json: true}
		end := int(s.values.InputOffset()) - s.offset
		p.text = s.data[:end]
		s.take(end)
		s.offset += end
		s.count++
		return p, true
	}
	if errors.Is(err, io.EOF) {
		s.ended = true
		return part{}, false
	}
	if s.count > 1 {
		s.ended = true
		return part{bad: s.bad("after %d values of JSON comes what is none: %v", s.count, err)}, true
	}
	blank, ok := s.blank()
	if !ok {
		s.ended = true
		return part{bad: s.bad("it begins as JSON, and is none: %v", err)}, true
	}
	s.values = nil
	s.take(blank)
	return part{}, false
}

// blank counts the spaces before what is left, up to the first line feed, and says whether YAML can follow: the reader wants four bytes more
// wherever it looks.
func (s *splitter) blank() (n int, ok bool) {
	for len(s.data)-n >= utf8.UTFMax {
		r, size := utf8.DecodeRune(s.data[n:])
		switch {
		case r == utf8.RuneError:
			return n, false
		case !unicode.IsSpace(r):
			return n, true
		}
		if n += size; r == '\n' {
			return n, true
		}
	}
	return n, false
}

// Documents returns the texts of a YAML file's documents in order, each with the number of the lines before it.
func Documents(data []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for s := split(data); ; {
			p, ok := s.next()
			if !ok {
				return
			}
			if text, before := p.document(); !yield(before, text) {
				return
			}
		}
	}
}

// documentAt returns a document by its place, counted from 0.
func documentAt(data []byte, number int) (part, error) {
	for s := split(data); ; number-- {
		p, ok := s.next()
		if !ok {
			return part{}, fmt.Errorf("it has no document %d", number+1)
		}
		if number == 0 {
			return p, nil
		}
	}
}

// DocumentText returns the text of a document with the line that separates it, its place counted from 0, and the lines before it.
func DocumentText(data []byte, document int) (text []byte, before int) {
	p, _ := documentAt(data, document)
	return p.text, p.line - 1
}
