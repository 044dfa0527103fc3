package plan_test

import (
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// TestARootApplicationThatChangesIsListed has one that no other defines; of one that another defines that one lists it, and not it itself.
func TestARootApplicationThatChangesIsListed(t *testing.T) {
	key := func(name string) object.Key {
		return object.Key{Group: object.ArgoGroup, Kind: "Application", Namespace: "argocd", Name: name}
	}
	for file, child := range map[string]object.Key{rootFile: key("root"), appFile: key("app01-cluster01")} {
		head := base().and(files{file: strings.Replace(base()[file], "selfHeal: true", "selfHeal: false", 1)})
		p := plan.Between(inventoryOf(t, base()), inventoryOf(t, head), plan.Options{})
		if len(p.Changes) != 1 || p.Changes[0].Application != key("root") || len(p.Changes[0].Updated) != 1 || p.Changes[0].Updated[0] != child {
			t.Errorf("of %s the plan says %+v", file, p.Changes)
		}
	}
	commented := base().and(files{rootFile: "# why\n" + base()[rootFile]})
	if p := plan.Between(inventoryOf(t, base()), inventoryOf(t, commented), plan.Options{}); len(p.Changes) != 0 {
		t.Errorf("of a comment the plan says %+v", p.Changes)
	}
}
