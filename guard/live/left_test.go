package live

import (
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// TestWhatWasLeftBehindIsPlannedWherePruningBegins has a StatefulSet that left git while pruning was off, and lives.
func TestWhatWasLeftBehindIsPlannedWherePruningBegins(t *testing.T) {
	full := tree()
	left := with(full, path01, config("config", "")+config("more", ""))
	for name, held := range map[string]string{
		"pruning was off": strings.Replace(full[appFile], "{prune: true}", "{selfHeal: true}", 1), "nothing was automated": strings.Replace(full[appFile], "{prune: true}", "null", 1),
	} {
		t.Run(name, func(t *testing.T) {
			s := synced(t, with(full, appFile, held), settings{})
			base := with(left, appFile, held)
			got, p := between(t, base, left, s)
			if !strings.HasPrefix(got["StatefulSet db"], "deleted") {
				t.Errorf("there is %v", got)
			}
			rules := make(map[string]bool)
			for _, f := range plan.Findings(p, inventoryOf(t, base), inventoryOf(t, left), plan.Thresholds{}) {
				rules[f.Rule] = true
			}
			if !rules["HG101"] || rules["HG114"] {
				t.Errorf("findings are of %v: what lives is planned, and nothing is unseen", rules)
			}
		})
	}
}

func TestWhatWasLeftBehindBeforeIsNotLeftBehindByTheNextChange(t *testing.T) {
	full := tree()
	full[appFile] = strings.Replace(full[appFile], "{prune: true}", "null", 1)
	left := with(full, path01, config("config", "")+config("more", ""))
	head := with(left, path01, config("config", ""))
	_, p := between(t, left, head, synced(t, full, settings{}))
	for _, f := range plan.Findings(p, inventoryOf(t, left), inventoryOf(t, head), plan.Thresholds{}) {
		t.Errorf("finding %s: %s", f.Rule, f.Message)
	}
}
