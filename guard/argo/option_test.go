package argo_test

import (
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
)

func TestProtectionIsWhatArgoCDTakesForIt(t *testing.T) {
	for annotation, want := range map[string]argo.Protection{
		"": argo.Open, "Prune=false": argo.Kept, " Prune=confirm , Delete=false": argo.Confirmed, "Prune=true": argo.Open,
		"prune=false": argo.Open, "Prune: false": argo.Open, "Prune = false": argo.Open, "Prune=False": argo.Open,
		"Prune=true,Prune=false": argo.Kept, "Prune=confirm,Prune=false": argo.Kept, // any entry counts, and not the first
	} {
		if got := argo.PruneProtection(map[string]string{argo.SyncOptions: annotation}); got != want {
			t.Errorf("%q protects from pruning by %v, want %v", annotation, got, want)
		}
	}
	keep := map[string]string{argo.HelmKeep: "keep"}
	if argo.DeleteProtection(keep) != argo.Kept || argo.PruneProtection(keep) != argo.Open {
		t.Error("Helm's keep protects from the deletion of the Application, and from nothing else")
	}
}
