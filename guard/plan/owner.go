package plan

import (
	"reflect"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// orphaning says whether an object gets an owner in git that it did not have. The owner is named by a UID, which only a cluster knows: where
// there is none of it, Kubernetes deletes the object.
func orphaning(was, is *object.Object) bool {
	owners := field(is.Body, "metadata", "ownerReferences")
	if list, ok := owners.([]any); !ok || len(list) == 0 {
		return false
	}
	return was == nil || !reflect.DeepEqual(field(was.Body, "metadata", "ownerReferences"), owners)
}

// owned computes what becomes of objects that stay and get an owner.
func (s *simulation) owned(o *outcome, h *inventory.Application, before, after map[object.Key]inventory.Target) {
	for key, t := range after {
		if was, ok := before[key]; ok && orphaning(was.Object, t.Object) {
			s.effect(o, s.cluster(h), was, key, Recreated, "git gives it an owner, and Kubernetes deletes what has an owner that is not there")
		}
	}
}

// owners judges objects that get an owner in git.
func (j *judge) owners() {
	for _, key := range sortedKeys(j.head.applications) {
		was := j.base.applications[key]
		for _, is := range j.head.applications[key] {
			if is.Set == "" && len(is.Parents) == 0 {
				var before *object.Object
				if len(was) > 0 {
					before = was[len(was)-1].Object
				}
				j.owner(key.Name, key, before, is.Origin)
			}
			if len(was) > 0 && unchanged(was[len(was)-1], is) {
				continue
			}
			var had map[object.Key]inventory.Target
			if len(was) > 0 {
				had = was[len(was)-1].Standing()
			}
			wants := is.Standing()
			for _, k := range sortedKeys(wants) {
				j.owner(key.Name, k, had[k].Object, wants[k].Origin)
			}
		}
	}
}

func (j *judge) owner(application string, key object.Key, was *object.Object, is inventory.Origin) {
	if orphaning(was, is.Object) {
		j.add("HG116", finding.Place{Path: is.Path, Line: is.Object.Line}, key, application,
			"%s gets an owner in git (metadata.ownerReferences): where there is none with that UID, Kubernetes deletes it", key)
	}
}
