package object

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one that is being read.
type document struct {
	file   *File
	keep   Kinds
	number int
	lines  int // before it
	nodes  int // converted so far
	depth  int // of the one that is converted
}

// place is where something begins in a file, from 1.
type place struct{ line, column int }

// bad is a complaint about what is in a place.
func (p place) bad(format string, args ...any) *Bad {
	return &Bad{Line: p.line, Column: p.column, Message: fmt.Sprintf(format, args...)}
}

// place is where a node begins; of an alias, where that begins which it names.
func (d *document) place(n *yaml.Node) place {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return place{d.lines + n.Line, n.Column}
}

// root reads the document's value: an object, a list of them, or nothing.
func (d *document) root(n *yaml.Node) *Bad {
	at := d.place(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return at.bad("%s", noObject)
	}
	d.repeated(n, nil)
	body, err := d.mapping(n)
	if err != nil {
		return at.bad("%v", err)
	}
	var places []place
	if items := value(n, "items"); items != nil {
		for _, item := range items.Content {
			places = append(places, d.place(item))
		}
	}
	return d.whole(at, body, places)
}

const noObject = "it is no object: a mapping with apiVersion, kind and metadata is wanted"

// whole reads the document's mapping: an object, or a list whose items begin in places.
func (d *document) whole(at place, body map[string]any, places []place) *Bad {
	if items, ok := body["items"]; ok {
		return d.list(at, items, places)
	}
	return d.object(at, body, 0)
}

// list reads the objects of a list, as deep as Argo CD flattens it: one level. Items whose places are not known, those of a list that was
// merged in, are where the list is.
func (d *document) list(at place, items any, places []place) *Bad {
	d.file.Lists = true
	if items == nil {
		return nil
	}
	bodies, ok := items.([]any)
	if !ok {
		return at.bad("items is no list")
	}
	for i, item := range bodies {
		there := at
		if len(places) == len(bodies) {
			there = places[i]
		}
		body, ok := item.(map[string]any)
		if !ok {
			return there.bad("item %d of the list is no object", i+1)
		}
		if bad := d.object(there, body, i+1); bad != nil {
			return bad
		}
	}
	return nil
}

// value returns the node of a key, of repeated ones the last.
func value(n *yaml.Node, key string) *yaml.Node {
	var found *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; k.Value == key && k.Kind == yaml.ScalarNode || k.Kind == yaml.AliasNode && k.Alias.Value == key {
			found = n.Content[i+1]
		}
	}
	if found != nil && found.Kind == yaml.AliasNode {
		found = found.Alias
	}
	return found
}

// object adds an object to the file.
func (d *document) object(at place, body map[string]any, item int) *Bad {
	o := Object{Document: d.number, Item: item, Line: at.line, Column: at.column}
	var apiVersion string
	for _, field := range []struct {
		name string
		to   *string
	}{{"apiVersion", &apiVersion}, {"kind", &o.Kind}} {
		text, ok := body[field.name].(string)
		if !ok || text == "" {
			return at.bad("%s is missing, or no text", field.name)
		}
		*field.to = intern(text)
	}
	o.Group = intern(Group(apiVersion))
	o.Version = intern(apiVersion[strings.LastIndexByte(apiVersion, '/')+1:])
	if bad := d.metadata(at, &o, body["metadata"]); bad != nil {
		return bad
	}
	if d.keep[o.GroupKind()] {
		o.Body = body
	}
	d.file.Objects = append(d.file.Objects, o)
	return nil
}

// metadata fills what an object's metadata says.
func (d *document) metadata(at place, o *Object, metadata any) *Bad {
	m, ok := metadata.(map[string]any)
	if !ok {
		return at.bad("the %s has no metadata", o.Kind)
	}
	var generate string
	for _, field := range []struct {
		name string
		to   *string
	}{{"name", &o.Name}, {"namespace", &o.Namespace}, {"generateName", &generate}} {
		switch v := m[field.name].(type) {
		case nil:
		case string:
			*field.to = v
		default:
			return at.bad("metadata.%s of the %s is %v, and no text: quote it", field.name, o.Kind, v)
		}
	}
	if o.Name == "" && generate == "" {
		return at.bad("the %s has no metadata.name", o.Kind)
	}
	o.Generated = o.Name == ""
	if o.Generated {
		o.Name = generate
	}
	o.Namespace = intern(o.Namespace)
	o.Annotations, o.Labels = texts(m["annotations"]), texts(m["labels"])
	return nil
}

// texts returns the retained entries of annotations or labels. Values that are no text are written as YAML has them: the API server would
// refuse the object, and rules say so.
func texts(v any) map[string]string {
	m, _ := v.(map[string]any)
	var kept map[string]string
	for key, value := range m {
		if !Retained(key) {
			continue
		}
		if kept == nil {
			kept = make(map[string]string)
		}
		if text, ok := value.(string); ok {
			kept[intern(key)] = intern(text)
		} else {
			kept[intern(key)] = fmt.Sprint(value)
		}
	}
	return kept
}

// repeated finds the mapping keys below a node that stand twice.
func (d *document) repeated(n *yaml.Node, way []string) {
	switch n.Kind {
	case yaml.SequenceNode:
		for i, c := range n.Content {
			d.repeated(c, append(way, fmt.Sprintf("[%d]", i)))
		}
	case yaml.MappingNode:
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			here := append(way, key.Value)
			if key.Kind == yaml.ScalarNode && seen[key.Value] {
				d.file.Repeated = append(d.file.Repeated, Repeated{Field(here), d.lines + key.Line, key.Column})
			}
			seen[key.Value] = true
			d.repeated(n.Content[i+1], here)
		}
	}
}

// Field writes the way to a field: "spec.containers[0].image", and keys that have a dot in brackets.
func Field(way []string) string {
	var b strings.Builder
	for i, step := range way {
		switch {
		case strings.HasPrefix(step, "["):
			b.WriteString(step)
		case strings.ContainsAny(step, "./ "):
			fmt.Fprintf(&b, "[%q]", step)
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		}
	}
	return b.String()
}

var (
	errTooLarge = fmt.Errorf("it has more than %d values, or aliases that become as many", MaxNodes)
	errTooDeep  = fmt.Errorf("it is more than %d levels deep, or an alias stands inside what it names", MaxDepth)
)

// mapping converts a mapping to what JSON would have; of repeated keys the last one stands.
func (d *document) mapping(n *yaml.Node) (map[string]any, error) {
	m := make(map[string]any, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a mapping key is no text", d.lines+key.Line)
		}
		if key.Tag == "!!merge" {
			merged = append(merged, value)
			continue
		}
		v, err := d.convert(value)
		if err != nil {
			return nil, err
		}
		m[key.Value] = v
	}
	for _, n := range merged {
		if err := d.merge(m, n); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// merge adds what "<<" names and the mapping itself does not have.
func (d *document) merge(m map[string]any, n *yaml.Node) error {
	v, err := d.convert(n)
	if err != nil {
		return err
	}
	sources, ok := v.([]any)
	if !ok {
		sources = []any{v}
	}
	for _, source := range sources {
		from, ok := source.(map[string]any)
		if !ok {
			return fmt.Errorf("line %d: what << names is no mapping", d.lines+n.Line)
		}
		for key, value := range from {
			if _, ok := m[key]; !ok {
				m[key] = value
			}
		}
	}
	return nil
}

// convert converts a node to what JSON would have.
func (d *document) convert(n *yaml.Node) (any, error) {
	if d.nodes++; d.nodes > MaxNodes {
		return nil, errTooLarge
	}
	if d.depth++; d.depth > MaxDepth { // an alias may stand inside what it names
		return nil, errTooDeep
	}
	defer func() { d.depth-- }()
	switch n.Kind {
	case yaml.AliasNode:
		return d.convert(n.Alias)
	case yaml.MappingNode:
		return d.mapping(n)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := d.convert(c)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return d.scalar(n)
}

// scalar converts a scalar. Numbers are as encoding/json has them.
func (d *document) scalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!str", "!!timestamp", "!!binary":
		return n.Value, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fmt.Errorf("line %d: %w", d.lines+n.Line, err)
	}
	switch number := v.(type) {
	case int:
		return float64(number), nil
	case int64:
		return float64(number), nil
	case uint64:
		return float64(number), nil
	case nil, bool, float64, string:
		return v, nil
	}
	return n.Value, nil
}
