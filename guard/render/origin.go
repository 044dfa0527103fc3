package render

import (
	"fmt"
	"strings"
)

// Origin is what an object was rendered from.
type Origin struct {
	// Path is in the tree: a file, a template, a chart or a kustomization.
	Path string
	// Line is the object's in a plain file, from 1, and 0 where it was made by a tool.
	Line int
	// Way is where it is in what the tool gives: ".kafka.service" or "[2]", and "" where it is all of it.
	Way string
}

// String returns "apps/kafka.jsonnet: .kafka.service" or "apps/kafka.yaml:12".
func (o Origin) String() string {
	var b strings.Builder
	b.WriteString(o.Path)
	if o.Line > 0 {
		fmt.Fprintf(&b, ":%d", o.Line)
	}
	if o.Way != "" {
		fmt.Fprintf(&b, ": %s", o.Way)
	}
	return b.String()
}

// Problem is why an output cannot be written.
type Problem struct {
	Origin  Origin
	Message string
	// Other is the second place, where there is one.
	Other *Origin
}

func (p *Problem) Error() string {
	if p.Other != nil {
		return fmt.Sprintf("%s: %s\n  the other is %s", p.Origin, p.Message, *p.Other)
	}
	return fmt.Sprintf("%s: %s", p.Origin, p.Message)
}

// Problems are all of an output, in the order of their places.
type Problems []*Problem

// maxShown is how many problems are written out.
const maxShown = 20

func (p Problems) Error() string {
	var lines []string
	for _, problem := range p[:min(len(p), maxShown)] {
		lines = append(lines, problem.Error())
	}
	if more := len(p) - maxShown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}
