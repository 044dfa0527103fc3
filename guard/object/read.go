package object

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
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
	var bad *Bad
	if strings.HasSuffix(name, ".json") {
		bad = f.readJSON(data, keep)
	} else {
		bad = f.readYAML(data, keep)
	}
	if bad != nil {
		bad.Manifest = strings.HasSuffix(name, ".json") || looksLikeManifest(data) // Argo CD passes over no JSON
		*f = File{Bad: bad}
	} else if !strings.HasSuffix(name, ".json") {
		f.comments(data)
	}
	return f
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

// readYAML reads documents one after the other, each for itself: a line that begins with three dashes ends one wherever it stands.
func (f *File) readYAML(data []byte, keep Kinds) *Bad {
	for number, line := 0, 0; ; number++ {
		text, lines, rest := firstDocument(data)
		if bad := f.document(text, number, line, keep); bad != nil {
			return bad
		}
		if rest == nil {
			return nil
		}
		data, line = rest, line+lines
	}
}

// firstDocument cuts the first document off: its text, the lines up to the next one, and the rest from the line that separates them,
// nil where there is none.
func firstDocument(data []byte) (text []byte, lines int, rest []byte) {
	for end := 0; ; {
		next := bytes.Index(data[end:], []byte("\n---"))
		if next < 0 {
			return data, 0, nil
		}
		end += next + 1
		if isSeparator(data[end:]) {
			return data[:end], bytes.Count(data[:end], []byte("\n")), data[end:]
		}
	}
}

// isSeparator says whether a text begins with a line that starts a document.
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
		return yamlError(err, lines)
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
