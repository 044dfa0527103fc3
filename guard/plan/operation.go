package plan

import (
	"fmt"
	"reflect"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// operated computes what becomes of objects where git itself asks for a sync.
func (s *simulation) operated(o *outcome, h *inventory.Application, before map[object.Key]inventory.Target) {
	definition := h.Operated()
	if definition == nil {
		return
	}
	as := *h
	as.Application = definition
	if !reflect.DeepEqual(definition.Spec.AllSources(), h.Spec.AllSources()) {
		as = *s.head.Expand(&as)
	}
	if s.broken(&as) != "" {
		return
	}
	p := s.pruning(o, &as, before, as.Standing())
	for key, t := range p.gone {
		if fate, why := p.fate(key, t); fate > Kept {
			s.effect(o, s.cluster(&as), t, key, fate, "the operation in its definition syncs and prunes at once: "+why)
		}
	}
}

// operations judges Applications that ask in git for something that Argo CD does at once.
func (j *judge) operations() {
	for _, key := range sortedKeys(j.head.applications) {
		before := j.base.applications[key]
		for _, is := range j.head.applications[key] {
			if is.Operation == nil || len(before) > 0 && reflect.DeepEqual(before[len(before)-1].Operation, is.Operation) {
				continue
			}
			what := "does at once, automated or not"
			if sync := is.Operation.Sync; sync != nil {
				what = fmt.Sprintf("syncs at once, automated or not (prune: %v)", sync.Prune)
			}
			at := finding.Place{Path: is.Path, Line: is.Object.Line}
			j.add("HG115", at, key, key.Name, "%s has an operation in git, which Argo CD %s", key.Name, what)
		}
	}
}
