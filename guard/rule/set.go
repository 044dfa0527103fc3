package rule

import (
	"regexp"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// setPath is the path of a set's template, in which anything may stand where the template has a parameter.
type setPath struct{ match *regexp.Regexp }

var parameter = regexp.MustCompile(`\{\{.*?\}\}`)

// indexSets finds which folders ApplicationSets may read.
func (c *check) indexSets() {
	seen := make(map[string]bool)
	for _, s := range c.Sets {
		spec := get(s.Object.Body, "spec", "template", "spec")
		sources := append(list(spec, "sources"), get(spec, "source"))
		for _, source := range sources {
			p := text(source, "path")
			if p == "" {
				continue
			}
			var b strings.Builder
			b.WriteByte('^')
			at := 0
			for _, m := range parameter.FindAllStringIndex(p, -1) {
				b.WriteString(regexp.QuoteMeta(p[at:m[0]]))
				b.WriteString(".+")
				at = m[1]
			}
			b.WriteString(regexp.QuoteMeta(strings.TrimSuffix(p[at:], "/")))
			b.WriteByte('/')
			if seen[b.String()] {
				continue
			}
			seen[b.String()] = true
			if match, err := regexp.Compile(b.String()); err == nil {
				c.sets = append(c.sets, setPath{match})
			}
		}
	}
}

// maySetRead says whether an ApplicationSet may read a file. Which folders its generators give is known to a cluster only, so every one
// that could be is taken to be.
func (c *check) maySetRead(file string) bool {
	for _, s := range c.sets {
		if s.match.MatchString(tree.Clean(file)) {
			return true
		}
	}
	return false
}
