package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// reached returns what an Application has before, without the protections that git gives and that may never have come to be live, for its
// ignoreDifferences covers annotations.
func (s *simulation) reached(o *outcome) map[object.Key]inventory.Target {
	before, ignored := o.base.Standing(), 0
	if len(o.base.Spec.IgnoreDifferences) == 0 {
		return before
	}
	for key, t := range before {
		known := s.alive != nil && s.alive.lives[t.Object] && s.alive.source(o.base.Key(), live{s.cluster(o.base), key}) == FromLive
		if known || !protected(t) || !o.base.Spec.IgnoresAnnotations(key) {
			continue
		}
		bare := *t.Object
		bare.Annotations = maps.Clone(t.Object.Annotations)
		delete(bare.Annotations, argo.SyncOptions)
		delete(bare.Annotations, argo.HelmKeep)
		t.Object = &bare
		before[key] = t
		ignored++
	}
	if ignored > 0 {
		note := fmt.Sprintf("ignoreDifferences covers annotations of %d objects that git protects: those protections may not be live, and do not count", ignored)
		if !slices.Contains(o.notes, note) {
			o.notes = append(o.notes, note)
		}
	}
	return before
}

func protected(t inventory.Target) bool {
	return argo.PruneProtection(t.Object.Annotations) > argo.Open || argo.DeleteProtection(t.Object.Annotations) > argo.Open
}
