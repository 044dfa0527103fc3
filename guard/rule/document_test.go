package rule_test

import (
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/rule"
)

func TestTheDocumentOfTheRulesIsCurrent(t *testing.T) {
	compare(t, "../../docs/guard/rules.md", rule.Documents())
}

func TestEveryRuleSaysWhatItCatchesWhyAndHowToMendIt(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range rule.Catalogue() {
		if r.Name == "" || r.Catches == "" || r.Why == "" || r.Mend == "" {
			t.Errorf("%s lacks a part of its document", r.ID)
		}
		if seen[r.ID] || seen[r.Name] {
			t.Errorf("%s %s is there twice", r.ID, r.Name)
		}
		seen[r.ID], seen[r.Name] = true, true
	}
}
