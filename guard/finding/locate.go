package finding

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Locate gives findings the line and the column of their field. Where the field is not there, it is the nearest one around it that is.
// Each file is read once.
func Locate(findings []Finding, read func(path string) ([]byte, error)) error {
	byPath := make(map[string][]*Finding)
	for n := range findings {
		if f := &findings[n]; f.In != nil && len(f.Field) > 0 {
			byPath[f.Path] = append(byPath[f.Path], f)
		}
	}
	for path, list := range byPath {
		data, err := read(path)
		if err != nil {
			return err
		}
		locate(data, list)
	}
	return nil
}

// locate places the findings of one file. A document that many of them are in is parsed once.
func locate(data []byte, list []*Finding) {
	type parsed struct {
		n      *yaml.Node
		before int
	}
	nodes := make(map[*object.Object]parsed)
	for _, f := range list {
		p, ok := nodes[f.In]
		if !ok {
			n, before, err := f.In.Node(data)
			if err != nil { // it was read before: the file has changed since, and the object's own place is the best there is
				continue
			}
			p = parsed{n, before}
			nodes[f.In] = p
		}
		n := Walk(p.n, f.Field)
		f.Line, f.Column = p.before+n.Line, n.Column
	}
}

// Walk follows the way to a field as far as it goes. It returns the key of the last step, or the item of a list.
func Walk(n *yaml.Node, way []string) *yaml.Node {
	at := n
	for _, step := range way {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		key, next := child(n, step)
		if next == nil {
			break
		}
		at, n = key, next
	}
	return at
}

// Value follows the way to a field, and returns its node, nil where there is none.
func Value(n *yaml.Node, way ...string) *yaml.Node {
	for _, step := range way {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if _, n = child(n, step); n == nil {
			return nil
		}
	}
	return n
}

// child returns the node of a step and that of its value.
func child(n *yaml.Node, step string) (key, next *yaml.Node) {
	switch n.Kind {
	case yaml.SequenceNode:
		i, err := strconv.Atoi(strings.Trim(step, "[]"))
		if err != nil || i < 0 || i >= len(n.Content) {
			return nil, nil
		}
		return n.Content[i], n.Content[i]
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 { // of repeated ones the last stands
			if n.Content[i].Value == step {
				key, next = n.Content[i], n.Content[i+1]
			}
		}
	}
	return key, next
}
