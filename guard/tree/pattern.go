package tree

import (
	"fmt"
	"regexp"
	"strings"
)

var part = regexp.MustCompile(`\(([a-z][a-z0-9-]*)\)`)

// Pattern is a path with parts in brackets: "env/(cluster)/(app)/yml". A part is a text without a slash.
type Pattern struct {
	match *regexp.Regexp
	parts []string
}

// ParsePattern reads a pattern. With prefix, more folders may follow what it matches.
func ParsePattern(text string, prefix bool) (*Pattern, error) {
	p := &Pattern{}
	var b strings.Builder
	b.WriteByte('^')
	at := 0
	for _, m := range part.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(regexp.QuoteMeta(text[at:m[0]]))
		b.WriteString(`([^/]+)`)
		p.parts = append(p.parts, text[m[2]:m[3]])
		at = m[1]
	}
	if strings.ContainsAny(part.ReplaceAllString(text, ""), "()") {
		return nil, fmt.Errorf("%q has a bracket that is no part such as (app)", text)
	}
	b.WriteString(regexp.QuoteMeta(text[at:]))
	if prefix {
		b.WriteString(`(?:/|$)`)
	} else {
		b.WriteByte('$')
	}
	p.match = regexp.MustCompile(b.String())
	return p, nil
}

// Of returns the parts of a path, nil where it does not match. A part that stands twice must be the same twice.
func (p *Pattern) Of(path string) map[string]string {
	m := p.match.FindStringSubmatch(path)
	if m == nil {
		return nil
	}
	parts := make(map[string]string, len(p.parts))
	for n, name := range p.parts {
		if before, ok := parts[name]; ok && before != m[n+1] {
			return nil
		}
		parts[name] = m[n+1]
	}
	return parts
}

// Prefix returns the beginning of a path that matches, "" where it does not.
func (p *Pattern) Prefix(path string) string { return p.match.FindString(path) }

// Parts are the names of the parts, in their order.
func (p *Pattern) Parts() []string { return p.parts }

// PartsOf returns the names of the parts that a text has.
func PartsOf(text string) []string {
	var names []string
	for _, m := range part.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// Fill puts parts into a text.
func Fill(text string, parts map[string]string) string {
	return part.ReplaceAllStringFunc(text, func(p string) string { return parts[p[1:len(p)-1]] })
}
