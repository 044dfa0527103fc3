package rule

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// edit replaces length bytes at an offset of a file.
type edit struct {
	offset, length int
	text           string
}

// text is a file that is edited, with the offsets of its lines.
type source struct {
	data   []byte
	starts []int // of lines
	json   bool
}

func newSource(name string, data []byte) *source {
	s := &source{data: data, starts: []int{0}, json: strings.HasSuffix(name, ".json")}
	for n, b := range data {
		if b == '\n' {
			s.starts = append(s.starts, n+1)
		}
	}
	return s
}

// errShape is for values that are written in a way that is not edited: anchors, folded texts, and what is rarer still.
var errShape = errors.New("it is written in a way that --fix does not edit")

// offset returns where a node begins. Columns of the YAML library count characters.
func (s *source) offset(n *yaml.Node, before int) (int, error) {
	line := before + n.Line - 1
	if line < 0 || line >= len(s.starts) || n.Line == 0 {
		return 0, errShape
	}
	at := s.starts[line]
	for range n.Column - 1 {
		if at >= len(s.data) || s.data[at] == '\n' {
			return 0, errShape
		}
		_, width := utf8.DecodeRune(s.data[at:])
		at += width
	}
	return at, nil
}

// indent returns the blanks before an offset in its line, and false where something else is there.
func (s *source) indent(at int) (string, bool) {
	start := bytes.LastIndexByte(s.data[:at], '\n') + 1
	blanks := s.data[start:at]
	return string(blanks), len(bytes.Trim(blanks, " ")) == 0
}

// ending is the line ending of the file.
func (s *source) ending() string {
	if n := bytes.IndexByte(s.data, '\n'); n > 0 && s.data[n-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// replace replaces a scalar that stands in one line.
func (s *source) replace(n *yaml.Node, before int, value string) (edit, error) {
	if n.Kind != yaml.ScalarNode || n.Anchor != "" {
		return edit{}, errShape
	}
	at, err := s.offset(n, before)
	if err != nil {
		return edit{}, err
	}
	for _, quote := range []string{"", `"`, "'"} {
		if written := quote + n.Value + quote; bytes.HasPrefix(s.data[at:], []byte(written)) && (quote != "") == (n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0) {
			return edit{at, len(written), quote + value + quote}, nil
		}
	}
	return edit{}, errShape
}

// set has a way in an object hold a value: a text, or an item of a list.
type set struct {
	way   []string
	value string
	// item says that the value is to be in the list at the way.
	item bool
	// near is the key of the root before which a new one stands.
	near string
}

// apply returns the edit that has an object hold a value.
func (s *source) apply(root *yaml.Node, before int, want set) (edit, error) {
	n := root
	for depth, step := range want.way {
		if n.Kind != yaml.MappingNode || n.Anchor != "" {
			return edit{}, errShape
		}
		if slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Tag == "!!merge" }) {
			return edit{}, errShape
		}
		next := finding.Value(n, step)
		if next == nil {
			return s.insert(n, before, want, depth)
		}
		if next.Kind == yaml.AliasNode {
			return edit{}, errShape
		}
		n = next
	}
	if !want.item {
		return s.replace(n, before, want.value)
	}
	if n.Kind != yaml.SequenceNode || n.Anchor != "" || len(n.Content) == 0 {
		return edit{}, errShape
	}
	key, _, _ := strings.Cut(want.value, "=")
	for _, c := range n.Content {
		if strings.HasPrefix(c.Value, key+"=") {
			return s.replace(c, before, want.value)
		}
	}
	at, err := s.offset(n.Content[0], before)
	if err != nil {
		return edit{}, err
	}
	if s.json || n.Style&yaml.FlowStyle != 0 {
		return edit{at, 0, s.quoted(want.value) + ", "}, nil
	}
	dash := bytes.LastIndexByte(s.data[:at], '-')
	if dash < 0 || len(bytes.Trim(s.data[dash+1:at], " ")) != 0 {
		return edit{}, errShape
	}
	blanks, ok := s.indent(dash)
	if !ok {
		return edit{}, errShape
	}
	return edit{dash - len(blanks), 0, blanks + "- " + want.value + s.ending()}, nil
}

// insert adds the part of a way that is not there yet to a mapping.
func (s *source) insert(n *yaml.Node, before int, want set, depth int) (edit, error) {
	rest := want.way[depth:]
	if len(n.Content) == 0 || s.json || n.Style&yaml.FlowStyle != 0 {
		at, err := s.offset(n, before)
		if err != nil || at >= len(s.data) || s.data[at] != '{' {
			return edit{}, errors.Join(err, errShape)
		}
		text := s.flow(rest, want)
		if len(n.Content) > 0 {
			text += ", "
		}
		return edit{at + 1, 0, text}, nil
	}
	first := n.Content[0]
	for i := 0; i < len(n.Content); i += 2 {
		if want.near != "" && depth == 0 && n.Content[i].Value == want.near {
			first = n.Content[i]
		}
	}
	at, err := s.offset(first, before)
	if err != nil {
		return edit{}, err
	}
	blanks, ok := s.indent(at)
	if !ok {
		return edit{}, errShape
	}
	var b strings.Builder
	for level, step := range rest {
		b.WriteString(blanks + strings.Repeat("  ", level) + step + ":")
		if level < len(rest)-1 {
			b.WriteString(s.ending())
		}
	}
	if want.item {
		b.WriteString(s.ending() + blanks + strings.Repeat("  ", len(rest)-1) + "- " + want.value)
	} else {
		b.WriteString(" " + want.value)
	}
	b.WriteString(s.ending())
	return edit{at - len(blanks), 0, b.String()}, nil
}

// flow writes a way and its value as in JSON.
func (s *source) flow(way []string, want set) string {
	text := s.quoted(want.value)
	if want.item {
		text = "[" + text + "]"
	}
	for n := len(way) - 1; n >= 0; n-- {
		text = s.quoted(way[n]) + ": " + text
		if n > 0 {
			text = "{" + text + "}"
		}
	}
	return text
}

func (s *source) quoted(text string) string { return `"` + text + `"` }

// applyAll makes edits that do not overlap.
func applyAll(data []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return b.offset - a.offset })
	for _, e := range edits {
		data = slices.Concat(data[:e.offset], []byte(e.text), data[e.offset+e.length:])
	}
	return data
}

// withOptions returns sync options with some of them set, the others as they are.
func withOptions(annotation string, wanted ...string) string {
	var kept []string
	for _, option := range argo.ParseOptions(annotation) {
		if !slices.ContainsFunc(wanted, func(w string) bool { return strings.HasPrefix(w, option.Key+"=") }) && option.Key != "" {
			kept = append(kept, strings.TrimSuffix(option.Key+"="+option.Value, "="))
		}
	}
	return strings.Join(append(kept, wanted...), ",")
}

// verify says whether a file that was edited differs from what it was in what was wanted, and in nothing else.
func verify(name string, before, after []byte, objects []*object.Object, wants map[*object.Object][]set) error {
	every := make(object.Kinds)
	for _, o := range objects {
		every[o.GroupKind()] = true
	}
	was, is := object.Read(name, before, every), object.Read(name, after, every)
	if is.Bad != nil || len(was.Objects) != len(is.Objects) {
		return errShape
	}
	for n := range was.Objects {
		for _, o := range objects {
			if o.Document == was.Objects[n].Document && o.Item == was.Objects[n].Item {
				for _, want := range wants[o] {
					put(was.Objects[n].Body, want)
				}
			}
		}
		if was.Objects[n].Key != is.Objects[n].Key || !reflect.DeepEqual(was.Objects[n].Body, is.Objects[n].Body) {
			return fmt.Errorf("%s: editing it would change more than is wanted: %w", was.Objects[n].Key, errShape)
		}
	}
	return nil
}

// put sets a value in an object's body.
func put(body map[string]any, want set) {
	last := len(want.way) - 1
	for _, step := range want.way[:last] {
		next, ok := body[step].(map[string]any)
		if !ok {
			next = make(map[string]any)
			body[step] = next
		}
		body = next
	}
	if !want.item {
		body[want.way[last]] = want.value
		return
	}
	items, _ := body[want.way[last]].([]any)
	key, _, _ := strings.Cut(want.value, "=")
	for n, item := range items {
		if text, ok := item.(string); ok && strings.HasPrefix(text, key+"=") {
			items[n] = want.value
			return
		}
	}
	body[want.way[last]] = append([]any{want.value}, items...)
}
