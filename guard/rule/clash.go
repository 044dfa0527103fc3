package rule

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// repeatedKeys finds mapping keys that stand twice.
func repeatedKeys(p *pass) {
	for n := range p.Files {
		f := &p.Files[n]
		if f.File == nil || len(f.Repeated) == 0 || !p.looked(f) {
			continue
		}
		for _, r := range f.Repeated {
			found := p.findFile(finding.Place{Path: f.Path, Line: r.Line, Column: r.Column}, "%s stands twice: the last one counts, and this file says two things", r.Field)
			found.Key, found.In = p.around(f, r.Line)
		}
	}
}

// around returns the object that a line is in.
func (p *pass) around(f *inventory.File, line int) (object.Key, *object.Object) {
	for m := len(f.Objects) - 1; m >= 0; m-- {
		if o := &f.Objects[m]; o.Line <= line {
			return p.key(inventory.Origin{Path: f.Path, Object: o}), o
		}
	}
	return object.Key{}, nil
}

// pathClashes finds paths that some file systems take for one.
func pathClashes(p *pass) {
	seen := make(map[string]string)
	reported := make(map[string]bool)
	for _, f := range p.Tree().Files() {
		for at := f.Path; at != ""; at = parentOf(at) {
			folded := norm.NFC.String(strings.ToLower(at))
			before, ok := seen[folded]
			if !ok {
				seen[folded] = at
				continue
			}
			if before != at && !reported[at] {
				reported[at] = true
				found := p.findFile(finding.Place{Path: at}, "%s and %s are the same path to some file systems", at, before)
				found.Related = []finding.Place{{Path: before}}
			}
			if before == at {
				break // and so are the folders above it
			}
		}
	}
}

func parentOf(p string) string {
	n := strings.LastIndexByte(p, '/')
	if n < 0 {
		return ""
	}
	return p[:n]
}
