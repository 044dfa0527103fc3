package object

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Node returns the YAML node of an object of a file, and the lines that are before its document: the node's own lines begin there.
func (o *Object) Node(data []byte) (*yaml.Node, int, error) {
	p, err := documentAt(data, o.Document)
	if err != nil {
		return nil, 0, err
	}
	text, before := p.document()
	var root yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&root); err != nil {
		return nil, 0, fmt.Errorf("document %d: %w", o.Document+1, err)
	}
	n := root.Content[0]
	if o.Item > 0 {
		items := value(n, "items")
		if items == nil || len(items.Content) < o.Item {
			return nil, 0, fmt.Errorf("document %d has no item %d", o.Document+1, o.Item)
		}
		if n = items.Content[o.Item-1]; n.Kind == yaml.AliasNode {
			n = n.Alias
		}
	}
	return n, before, nil
}
