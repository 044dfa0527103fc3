package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// readJSON reads a file that must be one object.
func (f *File) readJSON(data []byte, keep Kinds) *Bad {
	if bad := jsonError(data); bad != nil {
		return bad
	}
	return f.value(data, place{1, 1}, 0, keep)
}

// value reads one valid value of JSON, which begins in a place.
func (f *File) value(data []byte, begins place, number int, keep Kinds) *Bad {
	r := jsonReader{decoder: json.NewDecoder(bytes.NewReader(data)), data: data, file: f, seen: begins}
	first, at, err := r.token()
	if err == nil && first == nil {
		return nil
	}
	if err == nil && first != json.Delim('{') {
		return at.bad("%s", noObject)
	}
	var body map[string]any
	if err == nil {
		body, err = r.object(nil)
	}
	if err != nil {
		return r.place(int(r.decoder.InputOffset())).bad("%v", err)
	}
	d := document{keep: keep, file: f, number: number}
	return d.whole(at, body, r.items)
}

// jsonError says where a text is no single JSON value.
func jsonError(data []byte) *Bad {
	decoder := json.NewDecoder(bytes.NewReader(data))
	var first json.RawMessage
	err := decoder.Decode(&first)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		return after(data, int(decoder.InputOffset())).bad("a JSON file has one object, and here another one begins; write each into a file of its own")
	}
	offset := len(data)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = max(0, int(syntax.Offset)-1)
	}
	return after(data, offset).bad("it is not JSON: %v", err)
}

// after returns the place of an offset in a text.
func after(data []byte, offset int) place {
	return place{1, 1}.plus(data[:min(offset, len(data))])
}

// plus returns the place behind a text that begins here. Columns count characters.
func (p place) plus(text []byte) place {
	if n := bytes.Count(text, []byte("\n")); n > 0 {
		p.line += n
		p.column = 1
		text = text[bytes.LastIndexByte(text, '\n')+1:]
	}
	p.column += utf8.RuneCount(text)
	return p
}

// jsonReader decodes valid JSON as encoding/json does, of repeated keys the last one, and finds their places and those of a list's items.
type jsonReader struct {
	decoder *json.Decoder
	data    []byte
	file    *File
	items   []place
	nodes   int

	offset int   // that was asked for last
	seen   place // its place
}

// place returns the place of an offset, which is none before the last.
func (r *jsonReader) place(offset int) place {
	r.seen = r.seen.plus(r.data[r.offset:offset])
	r.offset = offset
	return r.seen
}

// token returns the next token and its place.
func (r *jsonReader) token() (json.Token, place, error) {
	offset := int(r.decoder.InputOffset())
	for offset < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[offset]) >= 0 {
		offset++
	}
	at := r.place(offset)
	if r.nodes++; r.nodes > 2*MaxNodes { // a key and a value
		return nil, at, errTooLarge
	}
	t, err := r.decoder.Token()
	return t, at, err
}

// value decodes the next value of the way, and says where it is.
func (r *jsonReader) value(way []string) (any, place, error) {
	t, at, err := r.token()
	if err != nil {
		return nil, at, err
	}
	if len(way) > MaxDepth {
		return nil, at, errTooDeep
	}
	var v any = t
	switch t {
	case json.Delim('{'):
		v, err = r.object(way)
	case json.Delim('['):
		v, err = r.list(way)
	}
	return v, at, err
}

// object decodes an object whose brace was read.
func (r *jsonReader) object(way []string) (map[string]any, error) {
	body := make(map[string]any)
	for r.decoder.More() {
		t, at, err := r.token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string) // JSON has no other keys
		here := append(way, key)
		if _, ok := body[key]; ok {
			r.file.Repeated = append(r.file.Repeated, Repeated{Field(here), at.line, at.column})
		}
		v, _, err := r.value(here)
		if err != nil {
			return nil, err
		}
		body[key] = v
	}
	_, _, err := r.token()
	return body, err
}

// list decodes a list whose bracket was read.
func (r *jsonReader) list(way []string) ([]any, error) {
	list := []any{}
	var places []place
	items := len(way) == 1 && way[0] == "items"
	for r.decoder.More() {
		v, at, err := r.value(append(way, fmt.Sprintf("[%d]", len(list))))
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if items {
			places = append(places, at)
		}
	}
	if items {
		r.items = places
	}
	_, _, err := r.token()
	return list, err
}
