package plan

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

var claims = object.Kind{Kind: "PersistentVolumeClaim"}

// fixed are the fields of a specification that the API server refuses to change, with what counts where one is absent.
var fixed = map[object.Kind]map[string]any{
	statefulSets: {"selector": nil, "volumeClaimTemplates": nil, "serviceName": "", "podManagementPolicy": "OrderedReady"},
	// A claim gets its class and its volume in the cluster: those that come with git may be the same.
	claims: {
		"accessModes": nil, "storageClassName": given{}, "volumeName": given{}, "volumeMode": "Filesystem", "selector": nil,
		"dataSource": given{}, "dataSourceRef": given{},
	},
}

// given stands for what the cluster gives a field that is absent.
type given struct{}

// updates judges objects of state that stay and change.
func (j *judge) updates(c *Change) {
	for _, key := range c.Updated {
		kind := key.GroupKind()
		if fixed[kind] == nil && !isDefinition(key) {
			continue
		}
		was, is := j.target(j.base, c.Application, key), j.target(j.head, c.Application, key)
		if was.Object == nil || is.Object == nil {
			continue
		}
		if isDefinition(key) {
			j.definition(c.Application.Name, was, is)
			continue
		}
		at := finding.Place{Path: is.Path, Line: is.Object.Line}
		for _, f := range sortedFields(fixed[kind]) {
			from, to := specField(was.Object, f, fixed[kind][f]), specField(is.Object, f, fixed[kind][f])
			if _, unknown := from.(given); !unknown && !reflect.DeepEqual(from, to) {
				j.add("HG106", at, key, c.Application.Name, "%s changes spec.%s, which the API server refuses", key, f)
			}
		}
		if kind == statefulSets {
			j.scaled(c.Application.Name, was, is)
		}
	}
}

func sortedFields(fields map[string]any) []string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func specField(o *object.Object, name string, absent any) any {
	if v := field(o.Body, "spec", name); v != nil {
		return v
	}
	return absent
}

// scaled judges a StatefulSet that gets fewer replicas: none, or less than half. Without the field it has one.
func (j *judge) scaled(application string, was, is inventory.Target) {
	from, _ := specField(was.Object, "replicas", 1.0).(float64)
	to, _ := specField(is.Object, "replicas", 1.0).(float64)
	at := finding.Place{Path: is.Path, Line: is.Object.Line}
	switch {
	case to == 0 && from > 0:
		j.add("HG107", at, is.Key, application, "%s goes from %d replicas to none", is.Key, int(from))
	case to*2 < from && field(is.Object.Body, "spec", "replicas") == nil:
		j.add("HG107", at, is.Key, application, "%s goes from %d replicas to 1, which is what it has where nothing says how many", is.Key, int(from))
	case to*2 < from:
		j.add("HG107", at, is.Key, application, "%s goes from %d replicas to %d, less than half", is.Key, int(from), int(to))
	}
}

// definition judges a CustomResourceDefinition that stays, while objects of its kind do.
func (j *judge) definition(application string, was, is inventory.Target) {
	at := finding.Place{Path: is.Path, Line: is.Object.Line}
	if from, to := specField(was.Object, "scope", ""), specField(is.Object, "scope", ""); from != to {
		j.add("HG108", at, is.Key, application, "the CustomResourceDefinition %s changes its scope from %v to %v: the API server refuses that, and it has to be made again", is.Key.Name, from, to)
	}
	group, _ := specField(was.Object, "group", "").(string)
	kind, _ := field(was.Object.Body, "spec", "names", "kind").(string)
	still := served(is.Object)
	for _, version := range served(was.Object) {
		if slices.Contains(still, version) {
			continue
		}
		if path := j.head.using(object.Kind{Group: group, Kind: kind}, version); path != "" {
			j.add("HG108", at, is.Key, application, "the CustomResourceDefinition %s does not serve %s any more, of which %s is", is.Key.Name, version, path)
		}
	}
}

// served are the versions that a CustomResourceDefinition serves.
func served(definition *object.Object) []string {
	versions, _ := field(definition.Body, "spec", "versions").([]any)
	var names []string
	for _, v := range versions {
		version, _ := v.(map[string]any)
		if name, _ := version["name"].(string); version["served"] == true {
			names = append(names, name)
		}
	}
	return names
}

// using returns a file that an Application reads and that has an object of a version, nothing where none has.
func (s *side) using(kind object.Kind, version string) string {
	for _, a := range s.apps() {
		for n := range a.Targets {
			if t := &a.Targets[n]; t.Object.GroupKind() == kind && t.Object.Version == version {
				return t.Path
			}
		}
	}
	return ""
}

// renamed judges objects of state that leave an Application while one of their kind comes: under another name in the same place, or with the
// same name in another namespace.
func (j *judge) renamed(c *Change) {
	if len(c.Created) == 0 {
		return
	}
	for n := range c.Effects {
		e := &c.Effects[n]
		if !e.Stateful || e.Implied || e.Hook || e.Key.Namespace == "" || e.Fate < Kept || e.Fate == Recreated {
			continue
		}
		for _, key := range c.Created {
			if key.GroupKind() != e.Key.GroupKind() {
				continue
			}
			is := j.target(j.head, c.Application, key)
			if is.Object == nil {
				continue
			}
			at := finding.Place{Path: is.Path, Line: is.Object.Line}
			switch {
			case key.Name == e.Key.Name:
				j.add("HG106", at, e.Key, c.Application.Name, "%s would be another one in the namespace %s, without what it holds", e.Key, cmp.Or(key.Namespace, "of its Application"))
			case key.Namespace == e.Key.Namespace && j.replaced(c, e, is):
				j.add("HG106", at, e.Key, c.Application.Name, "%s would be another one under the name %s, without what it holds", e.Key, key.Name)
			}
		}
	}
}

// replaced says whether an object has the place of another: its document, or its specification beside the name.
func (j *judge) replaced(c *Change, e *Effect, is inventory.Target) bool {
	was := j.target(j.base, c.Application, e.Key)
	if was.Object == nil {
		return false
	}
	if was.Path == is.Path && was.Object.Document == is.Object.Document && was.Object.Item == is.Object.Item {
		return true
	}
	before, _ := was.Object.Body["spec"].(map[string]any)
	after, _ := is.Object.Body["spec"].(map[string]any)
	if len(before) == 0 || len(after) == 0 {
		return false
	}
	return reflect.DeepEqual(renaming{e.Key.Name, is.Key.Name}.in(before), any(after))
}

// renaming puts a name in the place of another.
type renaming struct{ from, to string }

func (n renaming) in(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, n.from, n.to)
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = n.in(v[i])
		}
		return all
	case map[string]any:
		all := make(map[string]any, len(v))
		for key := range v {
			all[strings.ReplaceAll(key, n.from, n.to)] = n.in(v[key])
		}
		return all
	}
	return v
}
