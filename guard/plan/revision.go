package plan

import (
	"cmp"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
)

// revision returns the revisions that an Application reads, as far as its definition a reads the repository at hand with those sources.
func (s *simulation) revision(a, b *inventory.Application) string {
	var all []string
	sources := b.Spec.AllSources()
	for n, before := range a.Spec.AllSources() {
		if n < len(sources) && !s.base.Elsewhere(&before) && argo.Repository(before.RepoURL) == argo.Repository(sources[n].RepoURL) {
			all = append(all, read(sources[n].TargetRevision, sources[n].Hydrated))
		}
	}
	return strings.Join(all, " and ")
}

func read(revision string, hydrated bool) string {
	revision = cmp.Or(revision, "HEAD")
	if hydrated {
		revision += " (hydrated)"
	}
	return revision
}

// revised returns an Application that reads another revision than before as one of which the objects are not known: the tree at hand is not
// what it reads.
func (s *simulation) revised(a, b *inventory.Application) *inventory.Application {
	from, to := s.revision(a, a), s.revision(a, b)
	if from == to || len(b.Unanalysed) > 0 || len(a.Spec.AllSources()) != len(b.Spec.AllSources()) {
		return b
	}
	unknown := *b
	unknown.Targets, unknown.Unanalysed = nil, []string{"it reads the revision " + to + " instead of " + from + ", which is not what is read here"}
	return &unknown
}

// revisions judges sets that look for what they generate in another revision than before.
func (j *judge) revisions() {
	for _, key := range sortedKeys(j.head.sets) {
		was, is := j.base.sets[key], j.head.sets[key]
		if was == nil || len(was.Unanalysed)+len(is.Unanalysed) > 0 {
			continue
		}
		if from, to := looked(was.Spec.Generators), looked(is.Spec.Generators); from != to && from != "" && to != "" {
			j.add("HG102", finding.Place{Path: is.Path, Line: is.Object.Line}, key, key.Name,
				"the ApplicationSet %s looks for what it generates in the revision %s instead of %s, which is not what is read here: what it generates is not known", key.Name, to, from)
		}
	}
}

// looked are the revisions that generators read.
func looked(generators []argo.Generator) string {
	var all []string
	for n := range generators {
		switch g := &generators[n]; {
		case g.Git != nil:
			all = append(all, read(g.Git.Revision, false))
		case g.Matrix != nil:
			all = append(all, looked(g.Matrix.Generators))
		case g.Merge != nil:
			all = append(all, looked(g.Merge.Generators))
		}
	}
	return strings.Join(all, " and ")
}
