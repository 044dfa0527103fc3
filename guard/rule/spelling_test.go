package rule_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestAnAnnotationOfArgoCDIsNotTakenForAnotherOne has each on an object: HG044 is for those that nobody knows.
func TestAnAnnotationOfArgoCDIsNotTakenForAnotherOne(t *testing.T) {
	for key, finds := range map[string]bool{
		"argocd.argoproj.io/skip-reconcile": false, "argocd.argoproj.io/tracking-id": false, "argocd.argoproj.io/installation-id": false,
		"argocd.argoproj.io/deletion-approved": false, "argocd.argoproj.io/refresh": false, "argocd.argoproj.io/ignore-resource-updates": false,
		"argocd.argoproj.io/manifest-generate-paths": false, "argocd.argoproj.io/hook-delete-policy": false, "argocd.argoproj.io/sync-wave": false,
		"argocd.argoproj.io/sync-option": true, "argocd.argoproj.io/syncOptions": true, "argocd.argoproj.io/compare-option": true,
	} {
		r := files{"a.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: a, annotations: {%s: x}}\n", key)}.check(t)
		if found := of("HG044", r); len(found) > 0 != finds {
			t.Errorf("of %s it finds %q", key, strings.Join(found, "\n"))
		}
	}
}
