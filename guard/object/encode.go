package object

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// Encoding is the version of what AppendFile writes and of what Read finds: a cache of another one is of no use.
const Encoding = 4

// AppendFile appends a file in the form that DecodeFile reads.
//
// All numbers are unsigned varints, and texts are their length in bytes and their bytes. A file is: flags (1 skipped, 2 lists, 4 bad); its
// size; where it is bad line, column, message, and 1 for a manifest; the number of repeated keys, each with field, line and column; the number of
// comments, each with text, document and line; and the number of objects. An object is: group, kind, namespace, name, version; flags (1 generated, 2 body); document, item, line, column; annotations and
// labels, each as the number of entries and key and value of each in the order of the keys; and its body as JSON.
func AppendFile(dst []byte, f *File) ([]byte, error) {
	dst = binary.AppendUvarint(dst, bits(f.Skipped, f.Lists, f.Bad != nil))
	dst = binary.AppendUvarint(dst, uint64(f.Size))
	if f.Bad != nil {
		dst = appendNumbers(dst, f.Bad.Line, f.Bad.Column)
		dst = appendText(dst, f.Bad.Message)
		dst = binary.AppendUvarint(dst, bits(f.Bad.Manifest))
	}
	dst = appendNumbers(dst, len(f.Repeated))
	for _, r := range f.Repeated {
		dst = appendNumbers(appendText(dst, r.Field), r.Line, r.Column)
	}
	dst = appendNumbers(dst, len(f.Comments))
	for _, c := range f.Comments {
		dst = appendNumbers(appendText(dst, c.Text), c.Document, c.Line)
	}
	dst = appendNumbers(dst, len(f.Objects))
	for i := range f.Objects {
		var err error
		if dst, err = appendObject(dst, &f.Objects[i]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendObject(dst []byte, o *Object) ([]byte, error) {
	for _, text := range []string{o.Group, o.Kind, o.Namespace, o.Name, o.Version} {
		dst = appendText(dst, text)
	}
	dst = binary.AppendUvarint(dst, bits(o.Generated, o.Body != nil))
	dst = appendNumbers(dst, o.Document, o.Item, o.Line, o.Column)
	dst = appendMap(appendMap(dst, o.Annotations), o.Labels)
	if o.Body == nil {
		return dst, nil
	}
	body, err := json.Marshal(o.Body)
	return appendText(dst, string(body)), err
}

func appendNumbers(dst []byte, numbers ...int) []byte {
	for _, n := range numbers {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func appendMap(dst []byte, m map[string]string) []byte {
	dst = appendNumbers(dst, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		dst = appendText(appendText(dst, key), m[key])
	}
	return dst
}

func bits(flags ...bool) (n uint64) {
	for i, set := range flags {
		if set {
			n |= 1 << i
		}
	}
	return n
}

// ErrEncoding is a text that AppendFile did not write.
var ErrEncoding = errors.New("it is no encoded file")

// DecodeFile reads what AppendFile wrote. It keeps nothing of data.
func DecodeFile(data []byte) (*File, error) {
	d := decoder{rest: data}
	f := &File{}
	flags := d.number()
	f.Skipped, f.Lists = flags&1 != 0, flags&2 != 0
	f.Size = int64(d.number())
	if flags&4 != 0 {
		f.Bad = &Bad{Line: d.number(), Column: d.number(), Message: d.text(false), Manifest: d.number() == 1}
	}
	for range d.count() {
		f.Repeated = append(f.Repeated, Repeated{d.text(false), d.number(), d.number()})
	}
	for range d.count() {
		f.Comments = append(f.Comments, Comment{Text: d.text(false), Document: d.number(), Line: d.number()})
	}
	if n := d.count(); n > 0 {
		f.Objects = make([]Object, n)
	}
	for i := range f.Objects {
		d.object(&f.Objects[i])
	}
	if d.bad || len(d.rest) > 0 {
		return nil, ErrEncoding
	}
	return f, nil
}

// decoder reads numbers and texts until one is missing.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() int {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > 1<<40 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return int(n)
}

// count is a number of things, each of which takes a byte at least.
func (d *decoder) count() int {
	n := d.number()
	if n > len(d.rest) {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) bytes() []byte {
	n := d.count()
	text := d.rest[:n]
	d.rest = d.rest[n:]
	return text
}

// text reads a text; shared ones are there once for all that have them.
func (d *decoder) text(shared bool) string {
	if shared {
		return intern(string(d.bytes()))
	}
	return string(d.bytes())
}

func (d *decoder) object(o *Object) {
	o.Group, o.Kind, o.Namespace, o.Name, o.Version = d.text(true), d.text(true), d.text(true), d.text(false), d.text(true)
	flags := d.number()
	o.Generated = flags&1 != 0
	o.Document, o.Item, o.Line, o.Column = d.number(), d.number(), d.number(), d.number()
	o.Annotations, o.Labels = d.texts(), d.texts()
	if flags&2 != 0 && json.Unmarshal(d.bytes(), &o.Body) != nil {
		d.bad = true
	}
}

func (d *decoder) texts() map[string]string {
	n := d.count()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		key := d.text(true)
		m[key] = d.text(true)
	}
	return m
}
