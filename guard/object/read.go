package object

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unique"

	"go.yaml.in/yaml/v3"
)

// Limits of a file. Beyond them it is bad, and not read in part.
const (
	MaxFile  = 64 << 20  // bytes
	MaxNodes = 4_000_000 // of YAML in one document, aliases counted each time they are used
	MaxDepth = 1000      // levels
)

// Read reads a file of YAML or JSON, told apart by the name's ending as Argo CD does. Objects of the kinds in keep are kept whole.
// It keeps nothing of data.
func Read(name string, data []byte, keep Kinds) *File {
	f := &File{}
	if bytes.Contains(data, []byte(SkipMarker)) {
		f.Skipped = true
		return f
	}
	if len(data) > MaxFile {
		f.Bad = &Bad{1, 1, fmt.Sprintf("the file has %d bytes, more than the %d that are read", len(data), MaxFile), true}
		return f
	}
	data = asUTF8(data)
	var bad *Bad
	if strings.HasSuffix(name, ".json") {
		bad = f.readJSON(data, keep)
	} else {
		bad = f.readYAML(data, keep)
	}
	if bad != nil { // Argo CD passes over no JSON, and over nothing of which it has read a part
		bad.Manifest = bad.Manifest || strings.HasSuffix(name, ".json") || len(f.Objects) > 0 || looksLikeManifest(data)
		*f = File{Bad: bad}
	} else if !strings.HasSuffix(name, ".json") {
		f.comments(data)
	}
	return f
}

// asUTF8 returns a text without the mark that says how it is encoded, as Argo CD reads it.
func asUTF8(data []byte) []byte {
	if text, ok := bytes.CutPrefix(data, []byte("\xef\xbb\xbf")); ok {
		return text
	}
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for rest := data[2:]; len(rest) > 1; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units)))
}

// looksLikeManifest says what Argo CD asks of a file that it cannot read before it fails.
func looksLikeManifest(data []byte) bool {
	for _, word := range []string{"apiVersion:", "kind:", "metadata:"} {
		if !bytes.Contains(data, []byte(word)) {
			return false
		}
	}
	return true
}

// readYAML reads documents one after the other, each for itself.
func (f *File) readYAML(data []byte, keep Kinds) *Bad {
	s := split(data)
	for number := 0; ; number++ {
		p, ok := s.next()
		if !ok {
			return nil
		}
		bad := p.bad
		if text, before := p.document(); bad == nil && p.json {
			bad = f.value(p.text, p.place, number, keep)
		} else if bad == nil {
			bad = f.document(text, number, before, keep)
		}
		if bad != nil {
			return bad
		}
	}
}

// isSeparator says whether a text begins with a line that starts a document in YAML. What separates documents is more: see splitter.
func isSeparator(data []byte) bool {
	return bytes.HasPrefix(data, []byte("---")) && (len(data) == 3 || data[3] == '\n' || data[3] == ' ' || data[3] == '\t' || data[3] == '\r')
}

// document reads one document that begins after some lines.
func (f *File) document(text []byte, number, lines int, keep Kinds) *Bad {
	if f.scan(text, number, lines, keep) {
		return nil
	}
	return f.parse(text, number, lines, keep)
}

// parse reads one document with the YAML parser.
func (f *File) parse(text []byte, number, lines int, keep Kinds) *Bad {
	d := document{number: number, lines: lines, keep: keep, file: f}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return yamlError(err, lines)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) { // after "..."
		if err == nil {
			err = errors.New("a second document begins without a line of three dashes")
		}
		bad := yamlError(err, lines)
		bad.Manifest = true // Argo CD reads what is before, and nobody sees that the rest is left out
		return bad
	}
	return d.root(root.Content[0])
}

// lineOf finds the line in yaml's messages.
var lineOf = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func yamlError(err error, lines int) *Bad {
	message := err.Error()
	m := lineOf.FindStringSubmatch(message)
	line, _ := strconv.Atoi(m[1])
	return &Bad{Line: lines + max(1, line), Column: 1, Message: "it is not YAML: " + strings.TrimPrefix(message, m[0])}
}

// intern keeps one copy of a text that many objects share.
func intern(s string) string { return unique.Make(s).Value() }
