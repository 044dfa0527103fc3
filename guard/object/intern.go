package object

import (
	"bytes"
	"strings"
)

// interned are texts and sets of labels that many objects of a repository have, each kept once.
type interned struct {
	texts map[string]string
	sets  map[string]map[string]string
	set   []byte // the key of a set while it is looked up
}

// Bounds of what a scanner keeps: it forgets all when there is more.
const (
	maxTexts    = 4096
	maxSets     = 1024
	maxInterned = 256 // bytes of a text that is kept
)

// text returns a text that does not hold the file's bytes.
func (n *interned) text(b []byte) string {
	if s, ok := n.texts[string(b)]; ok {
		return s
	}
	if len(b) > maxInterned {
		return string(b)
	}
	if n.texts == nil || len(n.texts) >= maxTexts {
		n.texts = make(map[string]string)
	}
	s := string(b)
	n.texts[s] = s
	return s
}

// pairs returns labels or annotations, nil where there are none.
func (n *interned) pairs(pairs []pair) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	n.set = n.set[:0]
	for _, p := range pairs {
		n.set = append(append(append(append(n.set, p.key...), 0), p.value...), 0)
	}
	if m, ok := n.sets[string(n.set)]; ok && len(m) == len(pairs) {
		return m
	}
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[n.text(p.key)] = n.text(p.value)
	}
	if len(n.set) > 4*maxInterned || bytes.Count(n.set, []byte{0}) != 2*len(pairs) { // a text with the byte that separates them
		return m
	}
	if n.sets == nil || len(n.sets) >= maxSets {
		n.sets = make(map[string]map[string]string)
	}
	n.sets[string(n.set)] = m
	return m
}

// fill makes an object of what was found. It says false where something is missing.
func (s *scanner) fill(o *Object) bool {
	if len(s.apiVersion) == 0 || len(s.kind) == 0 || !s.metadata || len(s.name) == 0 && len(s.generateName) == 0 {
		return false
	}
	apiVersion := s.text(s.apiVersion)
	o.Group, o.Version, o.Kind = Group(apiVersion), apiVersion[strings.LastIndexByte(apiVersion, '/')+1:], s.text(s.kind)
	o.Namespace = s.text(s.namespace)
	if o.Generated = len(s.name) == 0; o.Generated {
		o.Name = string(s.generateName)
	} else {
		o.Name = string(s.name)
	}
	o.Labels, o.Annotations = s.pairs(s.labels), s.pairs(s.annotations)
	return true
}

func retainedBytes(key []byte) bool {
	for _, prefix := range retained {
		if len(key) >= len(prefix) && string(key[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}
