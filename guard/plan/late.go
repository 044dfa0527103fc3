package plan

import (
	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// late judges protections that come with the deletion that they are against, or when an object is left behind: only what is live before it counts.
func (j *judge) late() {
	var protected map[object.Key][]inventory.Origin // made when the first asks
	for n := range j.plan.Changes {
		c := &j.plan.Changes[n]
		j.preserved(c)
		for m := range c.Effects {
			e := &c.Effects[m]
			was := j.base.at(e)
			if !e.counts() && e.Waits == "" || was == nil {
				continue
			}
			if protected == nil {
				protected = j.head.protected()
			}
			for _, is := range protected[was.Key] {
				if gained := gained(was, is.Object); gained != "" && (is.Path == e.Path || j.base.File(is.Path) == nil) {
					at := finding.Place{Path: is.Path, Line: is.Object.Line}
					j.add("HG104", at, e.Key, c.Application.Name, "%s gets %s in the change with which it leaves, which is too late: it has to be live before", e.Key, gained)
					break
				}
			}
		}
	}
}

// preserved judges a set that begins to leave what its Applications have when it deletes one of them.
func (j *judge) preserved(c *Change) {
	apps := j.base.applications[c.Application]
	if !c.Fate.Lost() || len(apps) == 0 || apps[0].Set == "" {
		return
	}
	key := setKey(apps[0].Metadata.Namespace, apps[0].Set)
	was, is := j.base.sets[key], j.head.sets[key]
	if was != nil && is != nil && is.Spec.SyncPolicy.PreserveResourcesOnDeletion && !was.Spec.SyncPolicy.PreserveResourcesOnDeletion {
		at := finding.Place{Path: is.Path, Line: is.Object.Line}
		j.add("HG104", at, key, c.Application.Name,
			"the ApplicationSet %s gets preserveResourcesOnDeletion in the change that deletes %s, which is too late: it has to be live before", key.Name, c.Application.Name)
	}
}

// at returns what a file has where an effect says that the object is, nil where it is of no file.
func (s *side) at(e *Effect) *object.Object {
	f := s.File(e.Path)
	if f == nil || f.File == nil {
		return nil
	}
	for n := range f.Objects {
		if o := &f.Objects[n]; o.Line == e.Line && o.Kind == e.Key.Kind && o.Name == e.Key.Name {
			return o
		}
	}
	return nil
}

// protected are the objects of all files that have a protection, by their keys as they are written.
func (s *side) protected() map[object.Key][]inventory.Origin {
	all := make(map[object.Key][]inventory.Origin)
	for n := range s.Files {
		f := &s.Files[n]
		if f.File == nil {
			continue
		}
		for m := range f.Objects {
			o := &f.Objects[m]
			if argo.PruneProtection(o.Annotations) != argo.Open || argo.DeleteProtection(o.Annotations) != argo.Open {
				all[o.Key] = append(all[o.Key], inventory.Origin{Path: f.Path, Object: o})
			}
		}
	}
	return all
}

// gained says what protects an object that did not before, nothing where that is not so.
func gained(was, is *object.Object) string {
	switch {
	case argo.PruneProtection(is.Annotations) > argo.PruneProtection(was.Annotations):
		return "protection from being pruned"
	case argo.DeleteProtection(is.Annotations) > argo.DeleteProtection(was.Annotations):
		return "protection from being deleted with its Application"
	}
	return ""
}
