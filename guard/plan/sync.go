package plan

import (
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// broken says why Argo CD cannot render an Application of the head, nothing where it can.
func (s *simulation) broken(h *inventory.Application) string {
	if h.Broken != nil {
		return h.Broken.Error()
	}
	return s.head.noFolder(h)
}

// triggers says whether there is something for which an Application is synced by itself: anything but hooks that come, change or go, and
// objects that are to be ignored when they are extraneous.
func (s *simulation) triggers(h *inventory.Application, gone, before, after map[object.Key]inventory.Target) bool {
	if !h.Spec.SyncPolicy.Syncs() {
		return false
	}
	for key, t := range gone {
		if !isDefinition(key) && !ignored(t) {
			return true
		}
	}
	for key, t := range after {
		if was, ok := before[key]; !t.Hook() && (!ok || was.Hook() || s.updated(was, t)) {
			return true
		}
	}
	return false
}

// ignored says whether an object counts for nothing once git does not have it.
func ignored(t inventory.Target) bool {
	return argo.ParseOptions(t.Object.Annotations[argo.CompareOptions]).Names("IgnoreExtraneous")
}

// applied computes what a sync does to objects that stay: hooks run again, and what is replaced by force is deleted first.
func (s *simulation) applied(o *outcome, h *inventory.Application, before, after map[object.Key]inventory.Target) {
	cluster, options := s.cluster(h), argo.OptionsOf(h.Spec.SyncPolicy.SyncOptions)
	for key, t := range after {
		was, ok := before[key]
		if !ok || t.Object.Generated {
			continue
		}
		if t.Hook() {
			if fate, why := rerun(was, t); fate != Untouched {
				s.effect(o, cluster, was, key, fate, why)
				e := o.effects[live{cluster, key}]
				e.Hook = true
				o.effects[live{cluster, key}] = e
			}
			continue
		}
		if fate, why := s.forced(options, was, t); fate != Untouched {
			s.effect(o, cluster, was, key, fate, why)
		}
	}
}

// rerun computes what a sync does with a hook that was there before.
func rerun(was, is inventory.Target) (Fate, string) {
	run := argo.HookRunOf(is.Object.Annotations)
	switch {
	case !was.Hook() || !left(was) || !run.Made:
		return Untouched, ""
	case !run.Stays:
		return Deleted, "it is a hook that goes when it has succeeded"
	case run.Replaced:
		return Recreated, "it is a hook, and every sync runs it again"
	}
	return Untouched, ""
}

// forced computes what becomes of an object that is replaced or applied by force.
func (s *simulation) forced(options argo.Options, was, is inventory.Target) (Fate, string) {
	own := argo.ParseOptions(is.Object.Annotations[argo.SyncOptions])
	if !own.Has("Force", "true") || isDefinition(is.Key) || is.Key.Kind == "Namespace" {
		return Untouched, ""
	}
	changes := s.updated(was, is)
	switch replaces := own.Has("Replace", "true") || options.Has("Replace", "true"); {
	case replaces && (changes || !options.Has("ApplyOutOfSyncOnly", "true")):
		return Recreated, "it has Replace=true and Force=true, with which every sync of its Application deletes it and makes it again"
	case !replaces && changes:
		return AtRisk, "it has Force=true, with which it is deleted and made again where the API server refuses the change"
	}
	return Untouched, ""
}

// meanwhile finds the objects that go where an Application reads the new files before its parent has given it its new definition: the two
// steps have no order.
func (s *simulation) meanwhile(o *outcome, h *inventory.Application, before map[object.Key]inventory.Target) {
	if reflect.DeepEqual(o.base.Spec, h.Spec) {
		return
	}
	old := s.head.Expand(o.base)
	if s.broken(old) != "" || len(old.Unanalysed) > 0 {
		return
	}
	p := s.pruning(o, old, before, old.Standing())
	for key, t := range p.gone {
		if fate, _ := p.fate(key, t); fate > Held {
			why := "for a moment Argo CD may read the new files by the old definition of " + o.base.Metadata.Name + ", which does not find it there"
			s.effect(o, s.cluster(old), t, key, AtRisk, why)
		}
	}
}

// waves are the places in a sync at which objects are pruned, in the reversed order of their waves.
func waves(options argo.Options, gone map[object.Key]inventory.Target) map[object.Key]int {
	var all []int
	for _, t := range gone {
		all = append(all, argo.Wave(t.Object.Annotations))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	places := make(map[object.Key]int, len(gone))
	for key, t := range gone {
		n, _ := slices.BinarySearch(all, argo.Wave(t.Object.Annotations))
		places[key] = all[len(all)-1-n]
		if options.Has("PruneLast", "true") || argo.ParseOptions(t.Object.Annotations[argo.SyncOptions]).Has("PruneLast", "true") {
			places[key] = math.MaxInt
		}
	}
	return places
}

// confirmation finds the pruning that has to be confirmed and comes first, and the place of it.
func confirmation(options argo.Options, gone map[object.Key]inventory.Target) (place int, why string) {
	places := waves(options, gone)
	for _, key := range sortedKeys(gone) {
		if t := gone[key]; argo.PruneProtection(t.Object.Annotations) == argo.Confirmed && (why == "" || places[key] < place) {
			place = places[key]
			why = fmt.Sprintf("the deletion of %s waits for an approval, and the whole sync with it; one approval deletes all of them", key)
		}
	}
	return place, why
}
