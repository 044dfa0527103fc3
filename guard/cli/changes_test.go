package cli

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// changed is a change of inFolder's files: what the base has beside them, and what the head has beside the base. An empty text takes a file away.
type changed struct {
	name       string
	base, head map[string]string
	// says is in the message of a finding of the rule; the fixture passes where it is empty.
	says string
}

// changeFixtures are those of each rule over changes. A rule needs one that it finds something in, and one like it in which it does not.
var changeFixtures = map[string][]changed{}

// changes adds the fixtures of a rule. Files with more of them call it from their init.
func changes(id string, more ...changed) { changeFixtures[id] = append(changeFixtures[id], more...) }

// TestEveryRuleOverChangesHasAFixtureThatFailsAndOneThatPasses holds that each rule finds what its fixtures say, as the command does it, and
// that no rule is without.
func TestEveryRuleOverChangesHasAFixtureThatFailsAndOneThatPasses(t *testing.T) {
	for _, r := range plan.Rules {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			fails, passes := 0, 0
			for _, f := range changeFixtures[r.ID] {
				if f.says == "" {
					passes++
				} else {
					fails++
				}
				t.Run(f.name, func(t *testing.T) { f.holds(t, r.ID) })
			}
			if fails == 0 || passes == 0 {
				t.Errorf("%s %s has %d fixtures that fail and %d that pass", r.ID, r.Name, fails, passes)
			}
		})
	}
	for id := range changeFixtures {
		if plan.RuleOf(id) == nil {
			t.Errorf("there are fixtures of %s, which is no rule over changes", id)
		}
	}
}

// holds wants a rule to find in a change what the fixture says, and in one that passes nothing.
func (f changed) holds(t *testing.T, id string) {
	base := overlaid(inFolder(), f.base)
	var said []string
	for _, found := range judged(t, base, overlaid(base, f.head)) {
		if found.Rule == id {
			said = append(said, found.Message)
		}
	}
	switch {
	case f.says == "" && len(said) > 0:
		t.Errorf("it finds what is right:\n%s", strings.Join(said, "\n"))
	case f.says != "" && !slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, f.says) }):
		t.Errorf("nothing that it finds says %q:\n%s", f.says, strings.Join(said, "\n"))
	}
}

// overlaid returns files with others over them; an empty text takes one away.
func overlaid(files, over map[string]string) map[string]string {
	all := maps.Clone(files)
	maps.Copy(all, over)
	maps.DeleteFunc(all, func(_, text string) bool { return text == "" })
	return all
}

// judged returns what diff finds between two trees, approved or not.
func judged(t *testing.T, base, head map[string]string) []finding.Finding {
	t.Helper()
	var out bytes.Buffer
	d := diff{app: &app{Options{Out: &out, Err: &out}}, repository: t.TempDir(), cacheFolder: t.TempDir()}
	from, to := treetest.Folder(t, base), treetest.Folder(t, head)
	g, err := d.gate(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	planned, err := d.plan(t.Context(), from, to, g)
	if err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("it says %s", &out)
	}
	return planned.Findings
}
