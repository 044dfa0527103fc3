package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// weaker says what of an admission policy, or of its binding, may refuse less than before. That it refuses more kinds, or denies what it only
// wrote down, is none of that; of another condition nobody knows, and it counts.
func weaker(was, is map[string]any) string {
	before, after := specOf(was), specOf(is)
	if before == nil || after == nil {
		return "it cannot be read"
	}
	if slices.Contains(before.ValidationActions, admissionv1.Deny) && !slices.Contains(after.ValidationActions, admissionv1.Deny) {
		return "validationActions has no Deny"
	}
	if lost := slices.DeleteFunc(before.kinds(), func(kind string) bool { return slices.Contains(after.kinds(), kind) }); len(lost) > 0 {
		return "it is not for " + strings.Join(lost, ", ") + " any more"
	}
	for _, name := range slices.Sorted(maps.Keys(before.rest)) {
		if !reflect.DeepEqual(before.rest[name], after.rest[name]) {
			return "spec." + name + " is another"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after.rest)) {
		if _, ok := before.rest[name]; !ok {
			return "spec." + name + " is new"
		}
	}
	return ""
}

// beltSpec is the specification of a policy or of a binding.
type beltSpec struct {
	MatchConstraints  admissionv1.MatchResources
	ValidationActions []admissionv1.ValidationAction
	rest              map[string]any
}

func specOf(body map[string]any) *beltSpec {
	spec, _ := body["spec"].(map[string]any)
	data, err := json.Marshal(spec)
	var s beltSpec
	if err != nil || spec == nil || json.Unmarshal(data, &s) != nil {
		return nil
	}
	s.rest = maps.Clone(spec)
	delete(s.rest, "matchConstraints")
	delete(s.rest, "validationActions")
	others := s.MatchConstraints
	others.ResourceRules = nil
	s.rest["matchConstraints (beside resourceRules)"] = others
	return &s
}

// kinds are the resources whose deletion it judges, as group/resource.
func (s *beltSpec) kinds() []string {
	var kinds []string
	for _, rule := range s.MatchConstraints.ResourceRules {
		if !slices.Contains(rule.Operations, admissionv1.Delete) && !slices.Contains(rule.Operations, admissionv1.OperationAll) {
			continue
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				kinds = append(kinds, strings.TrimPrefix(fmt.Sprintf("%s/%s", group, resource), "/"))
			}
		}
	}
	return kinds
}
