package object

import (
	"bytes"
	"encoding/binary"
	"sync"
	"unicode/utf8"
)

// scanner reads the YAML that renderers write in one pass and without a tree: block mappings and sequences, scalars on one line, block
// scalars without an indentation indicator, flow collections on one line, comments. It knows no errors: of all other documents, those with
// anchors, tags, merge keys, scalars over several lines or tabs in their structure and those that are broken, it says that they are odd, and
// they are left to the YAML parser. What it does not find odd it reads as that parser does; FuzzScannedIsRead holds it to that.
type scanner struct {
	src   []byte
	pos   int
	start int // of the line that pos is in
	line  int // of pos, from 1
	col   int // of the next content after a line has ended, from 0; -1 at the end
	odd   bool
	build bool // values are returned, and not only passed over
	depth int
	nodes int

	way      []step
	keys     []span // of the mappings that are open, the innermost last
	repeated []Repeated

	identity
	interned
}

// identity is what the scanner finds of an object while it passes over the rest.
type identity struct {
	apiVersion, kind, name, namespace, generateName []byte
	metadata                                        bool // there, and a mapping
	labels, annotations                             []pair
}

// pair is an entry of labels or annotations.
type pair struct{ key, value []byte }

// step is one on the way to a value: a key, or an index where the key is empty.
type step struct {
	key   span
	index int
}

// span is a part of the text.
type span struct{ from, to int }

// role says which mapping of an object is read.
type role uint8

const (
	roleOther role = iota
	roleObject
	roleMetadata
	roleLabels
	roleAnnotations
)

// maxScanDepth is how deep the scanner goes; MaxDepth holds for the documents it leaves.
const maxScanDepth = 200

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// scan adds the object of a document to the file, and says false, having changed nothing, where it is odd.
func (f *File) scan(text []byte, number, lines int, keep Kinds) bool {
	s := scanners.Get().(*scanner)
	defer s.release()
	root, ok := s.document(text, false)
	if !ok || root.line == 0 {
		return ok
	}
	o := Object{Document: number, Line: lines + root.line, Column: root.column}
	if !s.fill(&o) {
		return false
	}
	if keep[o.GroupKind()] {
		root, ok = s.document(text, true)
		if !ok {
			return false
		}
		o.Body = root.body
	}
	for _, r := range s.repeated {
		r.Line += lines
		f.Repeated = append(f.Repeated, r)
	}
	f.Objects = append(f.Objects, o)
	return true
}

// release forgets the text, so that a scanner that waits holds no file.
func (s *scanner) release() {
	clear(s.labels[:cap(s.labels)])
	clear(s.annotations[:cap(s.annotations)])
	s.src, s.repeated = nil, nil
	s.identity = identity{labels: s.labels[:0], annotations: s.annotations[:0]}
	scanners.Put(s)
}

// root is where the mapping of a document begins, with its value if one was asked for; line is 0 in empty documents.
type root struct {
	line, column int
	body         map[string]any
}

// document scans a document and says whether it could.
func (s *scanner) document(text []byte, build bool) (root, bool) {
	s.src, s.pos, s.start, s.line, s.odd, s.build, s.depth, s.nodes = text, 0, 0, 1, false, build, 0, 0
	s.way, s.keys, s.repeated = s.way[:0], s.keys[:0], nil
	s.identity = identity{labels: s.labels[:0], annotations: s.annotations[:0]}
	if !plainText(text) {
		return root{}, false
	}
	if isSeparator(text) {
		s.pos = 3
		s.endLine()
	} else {
		s.content()
	}
	if s.odd || s.col < 0 {
		return root{}, !s.odd
	}
	r := root{line: s.line, column: s.col + 1}
	t := s.token()
	if !t.key() {
		return root{}, false
	}
	body := s.mapping(r.column-1, t, roleObject)
	if s.odd || s.col >= 0 {
		return root{}, false
	}
	r.body = body
	return r, true
}

// give says that the document is odd, and ends the scan.
func (s *scanner) give() {
	s.odd = true
	s.pos, s.col = len(s.src), -1
}

// plainText says whether a text is UTF-8 without control characters but for line feeds and tabs, and without what YAML takes for a line
// break or a byte order mark.
func plainText(text []byte) bool {
	rest, ascii := text, true
	for ; len(rest) >= 8; rest = rest[8:] {
		if x := binary.LittleEndian.Uint64(rest); x&(each*0x80) != 0 {
			ascii = false
			break
		} else if controls(x) {
			return false
		}
	}
	for _, c := range rest {
		if c >= 0x80 {
			ascii = false
		} else if c == 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return false
		}
	}
	return ascii || plainUnicode(text)
}

// each is 1 in each of eight bytes.
const each = 0x0101010101010101

// controls says whether one of eight bytes, all of ASCII, is a control character but a line feed or tab. Adding to a byte sets its highest
// bit from a value on, and carries nothing into the next.
func controls(x uint64) bool {
	printable := x + each*(0x80-' ')
	notFeed := (x ^ each*'\n') + each*0x7f
	notTab := (x ^ each*'\t') + each*0x7f
	notDelete := (x ^ each*0x7f) + each*0x7f
	return (^printable&notFeed&notTab|^notDelete)&(each*0x80) != 0
}

func plainUnicode(text []byte) bool {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1, r >= 0x80 && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
			return false
		}
		text = text[n:]
	}
	return true
}

// spaces passes over spaces, and says whether the line ends there, or a comment begins.
func (s *scanner) spaces() (end bool) {
	p := s.pos
	for p < len(s.src) && s.src[p] == ' ' {
		p++
	}
	if p == len(s.src) || s.src[p] == '\n' || s.src[p] == '#' && p > s.pos {
		return true // s.pos stays, for endLine
	}
	s.pos = p
	return false
}

// endLine goes from the end of a value over the rest of its line to the next content.
func (s *scanner) endLine() {
	p := s.pos
	for p < len(s.src) && s.src[p] == ' ' {
		p++
	}
	if p < len(s.src) && s.src[p] == '#' && p > s.pos {
		p = s.lineEnd(p)
	}
	if p < len(s.src) && s.src[p] != '\n' {
		s.give()
		return
	}
	s.nextLine(p)
	s.content()
}

// lineEnd returns where the line ends that has a position: its line feed, or the end of the text.
func (s *scanner) lineEnd(p int) int {
	if n := bytes.IndexByte(s.src[p:], '\n'); n >= 0 {
		return p + n
	}
	return len(s.src)
}

// nextLine goes behind a line's end.
func (s *scanner) nextLine(end int) {
	s.pos = min(end+1, len(s.src))
	s.start = s.pos
	s.line++
}

// content goes from the beginning of a line to the next content, over empty lines and comments.
func (s *scanner) content() {
	for {
		p := s.pos
		for p < len(s.src) && s.src[p] == ' ' {
			p++
		}
		if p == len(s.src) {
			s.pos, s.col = p, -1
			return
		}
		switch s.src[p] {
		case '\n':
			s.nextLine(p)
			continue
		case '#':
			s.nextLine(s.lineEnd(p))
			continue
		}
		s.pos, s.col = p, p-s.start
		if s.col == 0 && (bytes.HasPrefix(s.src[p:], []byte("...")) || isSeparator(s.src[p:])) {
			s.give()
		}
		return
	}
}

// dash says whether an item of a block sequence begins here.
func (s *scanner) dash() bool {
	p := s.pos
	return p < len(s.src) && s.src[p] == '-' && (p+1 == len(s.src) || s.src[p+1] == ' ' || s.src[p+1] == '\n')
}

// enter counts a level, and leave ends it.
func (s *scanner) enter() {
	if s.depth++; s.depth > maxScanDepth {
		s.give()
	}
}

func (s *scanner) leave() { s.depth-- }

// count counts a value.
func (s *scanner) count() {
	if s.nodes++; s.nodes > MaxNodes {
		s.give()
	}
}
